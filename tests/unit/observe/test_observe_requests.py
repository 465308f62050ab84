"""Requests that were answered, counted."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from faasd_async.observe.requests import Requests


def shown(requests: Requests) -> str:
    registry = CollectorRegistry()
    registry.register(requests)
    return generate_latest(registry).decode()


def test_a_histogram_of_durations() -> None:
    """Each bucket holds what is below it, and the sum is of all."""
    requests = Requests()
    for seconds in (0.001, 0.3, 60.0):
        requests.answered(b"POST", "/function", 200, seconds)
    labels = 'method="POST",path="/function",status="200"'
    text = shown(requests)
    assert f"http_requests_total{{{labels}}} 3.0" in text
    buckets = {"0.005": 1.0, "0.25": 1.0, "0.5": 2.0, "10.0": 2.0, "+Inf": 3.0}
    for bound, count in buckets.items():
        named = f'http_request_duration_seconds_bucket{{le="{bound}",{labels}}} {count}'
        assert named in text
    assert f"http_request_duration_seconds_sum{{{labels}}} 60.301" in text


def test_methods_that_are_made_up_share_a_row() -> None:
    """However many there are."""
    requests = Requests()
    for number in range(100):
        requests.answered(b"M%d" % number, "/function", 405, 0.0)
    assert 'http_requests_total{method="other",path="/function",status="405"} 100.0' in shown(
        requests
    )
