"""Call ids, and names as tokens of a subject."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.call.ids import (
    MAX_TOKEN_BYTES,
    TokenTooLong,
    adopt_call_key,
    decode_token,
    draw_call_key,
    encode_token,
)

#: What bytes become when they are read as text: names come from nowhere else.
NAMES = st.binary(min_size=1, max_size=MAX_TOKEN_BYTES // 3).map(
    lambda raw: raw.decode("utf-8", "surrogateescape")
)
PLAIN = st.from_regex(re.compile(r"[A-Za-z0-9-]{1,128}", re.ASCII), fullmatch=True)


@given(NAMES)
def test_a_token_can_be_read_back(name: str) -> None:
    """Whatever bytes a name is made of."""
    assert decode_token(encode_token(name)) == name


@given(NAMES, NAMES)
def test_two_names_have_two_tokens(one: str, other: str) -> None:
    """The encoding is injective."""
    assert (encode_token(one) == encode_token(other)) == (one == other)


@given(NAMES)
def test_the_alphabet_of_a_token(name: str) -> None:
    """No dot, no wildcard, no space: nothing that means something in a subject."""
    assert re.fullmatch(r"(?:[A-Za-z0-9-]|_[0-9A-F]{2})+", encode_token(name), re.ASCII)


@given(PLAIN)
def test_a_plain_name_is_its_own_token(name: str) -> None:
    """What an operator sees in the broker is what stands in the settings."""
    assert encode_token(name) == name


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_a_token_has_a_bound(name: str) -> None:
    """It has 1 to 128 bytes, or there is none."""
    try:
        token = encode_token(name)
    except TokenTooLong:
        assert not name or len(name.encode()) * 3 > MAX_TOKEN_BYTES
    else:
        assert 0 < len(token) <= MAX_TOKEN_BYTES


@pytest.mark.parametrize(("name", "token"), [("a_b", "a_5Fb"), ("a.b", "a_2Eb"), ("é", "_C3_A9")])
def test_escapes(name: str, token: str) -> None:
    """Each byte of UTF-8 for itself, the escape character included."""
    assert encode_token(name) == token


@pytest.mark.parametrize(("name", "length"), [("", 0), ("a" * 129, 129), ("." * 43, 129)])
def test_what_does_not_fit(name: str, length: int) -> None:
    """The error says how long it is, how long it may be, and how that is counted."""
    with pytest.raises(TokenTooLong) as raised:
        encode_token(name)
    assert str(raised.value).endswith(
        f" is of {length} bytes; 1 to 128 are allowed, and each that is no letter, digit or hyphen"
        " counts as three"
    )


def test_a_drawn_key() -> None:
    """The id is new each time, and its only acceptance is 0."""
    one, other = draw_call_key(), draw_call_key()
    assert one.call_id != other.call_id
    assert (one.accept, other.accept) == ("0", "0")


@given(st.binary(max_size=60))
def test_a_chosen_id_is_kept_or_replaced(chosen: bytes) -> None:
    """Visible ASCII is kept if it fits, else refused; anything else counts as absent."""
    try:
        key = adopt_call_key(chosen)
    except TokenTooLong:
        assert len(re.sub(rb"[^A-Za-z0-9-]", b"___", chosen)) > MAX_TOKEN_BYTES
        return
    if re.fullmatch(rb"[!-~]+", chosen):
        assert key.call_id == chosen.decode("ascii")
    else:
        assert key.accept == "0"
        assert encode_token(key.call_id) == key.call_id


def test_calls_may_share_an_id() -> None:
    """Each acceptance of a chosen id is another."""
    one, other = adopt_call_key(b"trace-1"), adopt_call_key(b"trace-1")
    assert one.call_id == other.call_id
    assert len({one.accept, other.accept, "0"}) == 3


def test_no_id_was_chosen() -> None:
    """One is drawn."""
    assert adopt_call_key(None).accept == "0"
