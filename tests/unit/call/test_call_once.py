"""Calls that their callers may repeat."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.call.headers import by_name
from faasd_async.call.ids import CallKey, TokenTooLong, draw_call_key, encode_token
from faasd_async.call.once import idempotency_key, is_keyed, repeatable

SECRET = b"s" * 32


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40))
def test_the_same_key_is_the_same_call(key: bytes, target: bytes, body: bytes) -> None:
    """Accept, id and digest are all made again, and fit into a subject as they are."""
    once = repeatable(SECRET, "f", key, target, body)
    assert repeatable(SECRET, "f", key, target, body) == once
    assert (encode_token(once.accept), encode_token(once.call_id)) == once[:2]
    assert is_keyed(once.key(None))


@pytest.mark.parametrize(
    ("secret", "function", "key"),
    [(SECRET, "f", b"other"), (SECRET, "g", b"key"), (b"t" * 32, "f", b"key")],
)
def test_another_key_function_or_installation_is_another_call(
    secret: bytes, function: str, key: bytes
) -> None:
    """None of them can be told from the others' marks."""
    once, other = (
        repeatable(SECRET, "f", b"key", b"/", b""),
        repeatable(secret, function, key, b"/", b""),
    )
    assert (once.accept != other.accept, once.call_id != other.call_id) == (True, True)


def test_where_the_target_ends_and_the_body_begins_counts() -> None:
    """Moving a byte from one to the other makes another request."""
    one = repeatable(SECRET, "f", b"k", b"/a", b"b")
    assert repeatable(SECRET, "f", b"k", b"/", b"ab").digest != one.digest
    assert repeatable(SECRET, "f", b"k", b"/a b", b"").digest != one.digest


def test_a_caller_may_still_choose_the_call_id() -> None:
    """What is no id is none; what is too long is refused."""
    once = repeatable(SECRET, "f", b"k", b"/", b"")
    assert once.key(b"mine") == CallKey("mine", once.accept)
    assert once.key(b"not mine") == CallKey(once.call_id, once.accept)
    with pytest.raises(TokenTooLong):
        once.key(b"x" * 129)


def test_other_calls_are_not_keyed() -> None:
    """An id that was drawn, or that its caller chose."""
    assert not is_keyed(draw_call_key())
    assert not is_keyed(CallKey("k", "0123456789abcdef"))


def test_which_header_is_the_key() -> None:
    """``Idempotency-Key`` before ``webhook-id``, were it empty: then it is refused."""
    both = [(b"Webhook-Id", b"w"), (b"IDEMPOTENCY-KEY", b"i")]
    assert idempotency_key(by_name(both)) == b"i"
    assert idempotency_key(by_name(both[:1])) == b"w"
    assert idempotency_key(by_name([(b"Idempotency-Key", b""), *both[:1]])) == b""
    assert idempotency_key({}) is None
