"""The function a target names, cut from its raw bytes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.call.route import FunctionRoute, cut, origin_form, without_namespace

NAMES = st.from_regex(re.compile(r"[-a-zA-Z_0-9.]{1,20}", re.ASCII), fullmatch=True)
DOORS = st.sampled_from([b"/function/", b"/async-function/"])


@given(DOORS, NAMES, st.binary(max_size=40), st.none() | st.binary(max_size=40))
def test_rest_and_query_are_cut_byte_for_byte(
    prefix: bytes, name: str, rest: bytes, query: bytes | None
) -> None:
    """Whatever stands behind the name reaches the function as it was written."""
    behind = b"/" + rest + (b"" if query is None else b"?" + query)
    assert cut(prefix + name.encode() + behind) == FunctionRoute(
        prefix.startswith(b"/async-"), name, behind
    )


@given(DOORS, NAMES, st.binary(max_size=40))
def test_a_query_without_a_path(prefix: bytes, name: str, query: bytes) -> None:
    """The path is ``/`` then."""
    route = cut(prefix + name.encode() + b"?" + query)
    assert route is not None
    assert route.target == b"/?" + query


@given(DOORS, NAMES)
def test_a_name_alone(prefix: bytes, name: str) -> None:
    """The function sees at least ``/``."""
    route = cut(prefix + name.encode())
    assert route is not None
    assert (route.name, route.target) == (name, b"/")


@given(st.binary(max_size=60))
def test_any_bytes_can_be_cut(target: bytes) -> None:
    """A target either names a function, and can be put together again, or it does not."""
    for candidate in (target, b"/function/" + target, b"/async-function/" + target):
        route = cut(candidate)
        if route is not None:
            door = b"/async-function/" if route.asynchronous else b"/function/"
            written = door + route.name.encode()
            assert candidate in (written, written + route.target, written + route.target[1:])
            assert route.target.startswith(b"/")


@pytest.mark.parametrize(
    "target",
    [
        b"/function/",
        b"/function",
        b"/function//f",
        b"//function/f",
        b"/function/f%2Fx",
        b"/function/f\n",
        b"/function/f;x",
        b"/function/\xff",
        b"/Function/f",
        b" /function/f",
        b"/async-function",
        b"/sync-function/f",
        b"/system/functions",
        b"",
    ],
)
def test_no_function_is_named(target: bytes) -> None:
    """Names are compared as they are written."""
    assert cut(target) is None


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/a//b?c", b"/a//b?c"),
        (b"http://h/a?b", b"/a?b"),
        (b"HTTP://h:1/a", b"/a"),
        (b"http://u:p@h", b"/"),
        (b"http://h?q", b"/?q"),
        (b"http://h//a", b"//a"),
        (b"*", b"*"),
        (b"h:443", b"h:443"),
        (b"//h/a", b"//h/a"),
        (b"/http://h/a", b"/http://h/a"),
    ],
)
def test_origin_form(target: bytes, expected: bytes) -> None:
    """Without scheme and authority, if it had any."""
    assert origin_form(target) == expected


@given(st.binary(max_size=60))
def test_origin_form_is_final(target: bytes) -> None:
    """A target in origin form stays one."""
    once = origin_form(b"/" + target)
    assert once == b"/" + target
    if origin_form(target).startswith(b"/"):
        assert origin_form(origin_form(target)) == origin_form(target)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("f", "f"), ("f.ns", "f"), ("f.other", "f.other"), ("f.ns.ns", "f.ns"), ("fns", "fns")],
)
def test_a_namespace_may_stand_behind_a_name(name: str, expected: str) -> None:
    """Once, and only the configured one."""
    assert without_namespace(name, "ns") == expected
