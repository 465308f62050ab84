"""What another provider says of its functions, read."""

from __future__ import annotations

from typing import Any

from faasd_async.provider.listed import MOST_FUNCTIONS, ListReader
from faasd_async.settings import FunctionSettings, load

URL = "http://other:8081/"


def read(
    *sheets: Any, namespace: str = "openfaas-fn", **environment: str
) -> tuple[dict[str, FunctionSettings], list[str]]:
    settings = load(None, {"functions_provider_url": URL, **environment})
    return ListReader(settings).read({namespace: sheets})


def test_a_function_is_called_at_the_provider() -> None:
    """Under its name, and behind a dot its namespace, if that is not ours."""
    here, _ = read({"name": "a"})
    assert here["a"].url == "http://other:8081/function/a"
    there, _ = read({"name": "a"}, namespace="staging")
    assert there["a.staging"].url == "http://other:8081/function/a.staging"
    assert there["a.staging"].is_provided


def test_what_it_says_counts_over_the_defaults() -> None:
    """Annotations, and the variables of its watchdog that concern who calls it."""
    sheet = {
        "name": "a",
        "labels": None,
        "annotations": {"com.openfaas.queue": "slow", "com.openfaas.retry.attempts": "4"},
        "envVars": {"exec_timeout": "10m", "max_inflight": "3"},
        "replicas": 2,
    }
    functions, notices = read(sheet, upstream_timeout="65s")
    a = functions["a"]
    assert (a.queue, a.retry.attempts, a.max_inflight, a.replicas) == ("slow", 4, 3, 2)
    assert (a.timeout_seconds, a.async_timeout_seconds) == (600.0, 600.0)
    assert notices == []
    (b,) = read({"name": "b"}, upstream_timeout="65s")[0].values()
    assert (b.timeout_seconds, b.max_inflight) == (65.0, 100)


def test_no_limit_is_none() -> None:
    """0 leaves what holds without it."""
    functions, notices = read({"name": "a", "envVars": {"exec_timeout": "0s", "max_inflight": "0"}})
    assert (functions["a"].timeout_seconds, functions["a"].max_inflight) == (60.0, 100)
    assert notices == []


def test_what_cannot_be_read_is_left_out() -> None:
    """The operator is told, and the others are there; of a bad variable likewise."""
    functions, notices = read(
        {"name": "a", "envVars": {"exec_timeout": "soon"}}, {"name": 7}, {"name": "b c"}, {}
    )
    assert list(functions) == ["a"]
    assert len(notices) == 4
    assert "functions.a exec_timeout is ignored" in notices[0]


def test_without_scaling_from_zero_it_is_called_as_it_is() -> None:
    """Replicas of which there are none are for the provider to tell of. Go leaves out a zero."""
    for none in ({"name": "a", "replicas": 0}, {"name": "a"}):
        assert read(none)[0]["a"].replicas == 0
        assert read(none, scale_from_zero="false")[0]["a"].replicas == 1


def test_there_are_so_many_at_most() -> None:
    """A list without an end does not fill the memory."""
    functions, notices = read(*({"name": f"f{n}"} for n in range(MOST_FUNCTIONS + 5)))
    assert len(functions) == MOST_FUNCTIONS
    assert len(notices) == 1
