"""Callback URLs: well formed, and safe to show."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from faasd_async.call.callback_url import MAX_URL_BYTES, MalformedCallbackUrl, parse

SECRETS = st.from_regex(r"s3cr3t[A-Za-z0-9:@%!$&'()*+,;=._~\[\]-]{0,12}", fullmatch=True)
PIECES = st.sampled_from(
    [
        b" ",
        *b"http https :// : // / @ ? # [ ] ::1 h user 80 0 99999 % %40 \\ . \xff \xe2\x84".split(),
    ]
)


@given(st.binary(max_size=60) | st.lists(PIECES, max_size=12).map(b"".join))
def test_parsing_fails_in_one_way(raw: bytes) -> None:
    """Any bytes are a callback URL, or malformed."""
    try:
        url = parse(raw)
    except MalformedCallbackUrl:
        return
    assert url.scheme in ("http", "https")
    assert url.host
    assert 0 < url.port < 65536
    assert url.path.startswith("/")
    assert url.text.isascii()
    assert "#" not in url.text


@given(st.lists(PIECES, max_size=12).map(b"".join))
def test_what_is_shown_can_be_parsed_again(raw: bytes) -> None:
    """It leads to the same place, without credentials."""
    try:
        url = parse(raw)
    except MalformedCallbackUrl:
        return
    again = parse(url.without_credentials.encode("ascii"))
    assert (again.scheme, again.host, again.port, again.path) == (
        url.scheme,
        url.host,
        url.port,
        url.path,
    )
    assert (again.username, again.password) == (None, None)
    assert again.without_credentials == url.without_credentials


@given(SECRETS, st.sampled_from(["", "/", "/a@b", "?q=@", "/x?y#z@w", ":8080/"]))
def test_a_password_is_never_shown(secret: str, rest: str) -> None:
    """Neither by the URL's texts nor by the error, if it is malformed."""
    raw = f"http://user:{secret}@caller.test{rest}".encode()
    url, shown = None, ""
    try:
        url = parse(raw)
    except MalformedCallbackUrl as reason:
        shown = str(reason)
    assert "s3cr3t" not in shown
    if url is None:
        return
    assume(url.password is not None)
    assert "s3cr3t" not in url.without_credentials
    assert "s3cr3t" not in str(url)
    assert "s3cr3t" not in repr(url)
    assert "s3cr3t" not in f"{url}"
    assert "s3cr3t" in (url.password or "")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"http://h", ("http", "h", 80, "/", None, None)),
        (b"HTTPS://H/p?q", ("https", "h", 443, "/p", None, None)),
        (b"http://u:p@h:81/a/b", ("http", "h", 81, "/a/b", "u", "p")),
        (b"http://u@h/", ("http", "h", 80, "/", "u", None)),
        (b"http://:@h/", ("http", "h", 80, "/", "", "")),
        (b"http://u%40:p%3A@h/", ("http", "h", 80, "/", "u@", "p:")),
        (b"http://[2001:db8::1]:8/", ("http", "2001:db8::1", 8, "/", None, None)),
        (b"http://h/%2F//..?", ("http", "h", 80, "/%2F//..", None, None)),
        (b"http://h/\xff", ("http", "h", 80, "/%FF", None, None)),
        (b"http://h/x#y", ("http", "h", 80, "/x", None, None)),
        (b"http://my_service:9/", ("http", "my_service", 9, "/", None, None)),
    ],
)
def test_the_parts(raw: bytes, expected: tuple[str, str, int, str, str | None, str | None]) -> None:
    """Scheme, host, port, raw path, and the credentials decoded."""
    url = parse(raw)
    assert (url.scheme, url.host, url.port, url.path, url.username, url.password) == expected


def test_what_is_shown() -> None:
    """Neither credentials nor the query, which may hold a token; both are part of the request."""
    url = parse(b"http://u:p@h:81/a@b?c=d@e#f")
    assert str(url) == "http://h:81/a@b?…"
    assert url.without_credentials == "http://h:81/a@b?c=d@e"
    assert repr(url) == "<CallbackUrl http://h:81/a@b?…>"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"h",
        b"/p",
        b"//h/p",
        b"ftp://h/",
        b"http:h",
        b"http:/h",
        b"http://",
        b"http:///p",
        b"http://@/",
        b"http://:80/",
        b"http://h:/x y",
        b"http://h\r\nX: y",
        b"http://h\t/",
        b"http://h:0/",
        b"http://h:65536/",
        b"http://h:-1/",
        b"http://h:x/",
        b"http://[::1/",
        b"http://::1/",
        b"http://[h]/",
        b"http://h\\@e/",
        b"http://h^/",
        b"http://169%2e254.169.254/",
        b"http://%EF%BC%91.test/",
        "http://b\u00fccher.test/".encode(),
        b"javascript:alert(1)",
    ],
)
def test_what_is_none(raw: bytes) -> None:
    """Nothing relative, nothing but HTTP, and a host that can be looked up as it is written."""
    with pytest.raises(MalformedCallbackUrl):
        parse(raw)


@pytest.mark.parametrize(
    "raw", [b"http://u:a[s3cr3t]@h/", b"http://u:s3cr3t/x@h/", b"http://u:s3cr3t?@h/"]
)
def test_what_is_wrong_is_said_without_the_password(raw: bytes) -> None:
    """Even where the password is what is wrong."""
    with pytest.raises(MalformedCallbackUrl) as caught:
        parse(raw)
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_url_has_a_bound() -> None:
    """4096 bytes as they came."""
    longest = b"http://h/" + b"x" * (MAX_URL_BYTES - 9)
    assert parse(longest).path.endswith("x")
    with pytest.raises(MalformedCallbackUrl, match="4096"):
        parse(longest + b"x")


@pytest.mark.parametrize(
    ("url", "moved"),
    [
        (b"http://gateway:8080/function/f?a=1", "http://[::1]:81/function/f?a=1"),
        (b"http://u:p%40@gateway", "http://u:p%40@[::1]:81"),
        (b"http://gateway?a=/@", "http://[::1]:81?a=/@"),
    ],
)
def test_a_url_is_moved(url: bytes, moved: str) -> None:
    """Host and port are others, and all else is as it was."""
    assert parse(url).moved_to("::1", 81).text == moved
