"""A callback's URL as the HTTP client takes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.web.client import URI

from faasd_async.call.callback_url import MalformedCallbackUrl, parse
from faasd_async.callback.address import request_url, why_undeliverable

PIECES = st.sampled_from(
    [*b"http https :// : / // @ ? # [ ] ::1 h u_v xn-- 80 % %zz . .. - | { \xff".split(), b"a.b"]
)


@pytest.mark.parametrize(
    ("raw", "requested"),
    [
        (b"http://h", "http://h"),
        (b"http://u:p@h:81/a//b?c=d", "http://h:81/a//b?c=d"),
        (b"https://H.test/", "https://h.test/"),
        (b"http://h/a|b?{c}", "http://h/a%7Cb?%7Bc%7D"),
        (b"http://[::1]:81/a?b", "http://[::1]:81/a?b"),
        (b"http://u:p@[2001:db8::1]", "http://[2001:db8::1]/"),
        (b"http://[::1]:81?a", "http://[::1]:81/?a"),
        (b"http://10.0.0.1/", "http://10.0.0.1/"),
        (b"http://my_service:9/a?b", "http://my_service:9/a?b"),
        (b"http://u:p@_dns.My_Service.test", "http://_dns.my_service.test/"),
        (b"http://my_service.:9?a", "http://my_service.:9/?a"),
        (b"http://xn--bcher-kva.test/", "http://xn--bcher-kva.test/"),
    ],
)
def test_what_is_requested(raw: bytes, requested: str) -> None:
    """Without credentials; IPv6 addresses as they are."""
    url = parse(raw)
    assert why_undeliverable(url) is None
    assert request_url(url).to_uri().to_text() == requested


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"https://my_service:9/", "my_service"),
        (b"http://my_service../", "my_service"),
        (b"http://-my_service/", "hyphen"),
        (b"http://my_s+ervice/", "my_s+ervice"),
        (b"http://a..b/", "Empty Label"),
        (b"http://-a/", "hyphen"),
        (b"http://xn--999/", "A-label"),
        (b"http://" + b"a" * 64 + b"/", "too long"),
        (b"http://h:/", "port"),
        (b"http://[v1.a]/", "v1.a"),
        (b"http://a+b/", "a+b"),
    ],
)
def test_what_nobody_can_reach(raw: bytes, why: str) -> None:
    """A host that is no name and no address; the reason names it."""
    said = why_undeliverable(parse(raw))
    assert said is not None
    assert why in said


def test_the_reason_shows_no_credentials() -> None:
    """It is for the caller's eyes, and for logs."""
    assert "s3cr3t" not in (why_undeliverable(parse(b"https://u:s3cr3t@a_b/")) or "s3cr3t")


@given(st.binary(max_size=40) | st.lists(PIECES, max_size=10).map(b"".join))
def test_what_is_not_refused_can_be_requested(rest: bytes) -> None:
    """So no callback is accepted that fails before it has left."""
    try:
        url = parse(b"http://" + rest)
    except MalformedCallbackUrl:
        return
    if why_undeliverable(url) is None:
        requested = request_url(url).to_uri().to_text().encode("ascii")
        uri = URI.fromBytes(requested)
        assert uri.port == url.port
        assert uri.originForm.startswith(b"/")
