"""``${VAR}`` before the YAML is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.settings.mistakes import Refusal
from faasd_async.settings.openfaas.substitution import substitute

VARIABLES = {"A": "a", "EMPTY": "", "LOOKS": "${A}"}


@pytest.mark.parametrize(
    ("text", "substituted"),
    [
        ("x ${A} y ${A}", "x a y a"),
        ("${NONE}", ""),
        ("${A:-b}${A:=b}", "aa"),
        ("${NONE:-b}${NONE:=c}${EMPTY:-d}", "bcd"),
        ("${NONE:-}", ""),
        ("${NONE:-http://h:80/p}", "http://h:80/p"),
        ("${NONE:-${A}}${NONE:-${NONE:=z}}", "az"),
        ("${A:-${NONE}}x", "ax"),
        ("$${A} $A $ {} } ${LOOKS}", "${A} $A $ {} } ${A}"),
        ("${NONE:-$${A}", "${A"),
    ],
)
def test_what_is_understood(text: str, substituted: str) -> None:
    """Variables, defaults for what is not set or empty, one within the other; what came out of a
    variable is not looked at again, and a dollar elsewhere is a dollar."""
    assert substitute(text, VARIABLES) == substituted


@pytest.mark.parametrize(
    "text", ["${", "${}", "${A", "${A^^}", "${#A}", "${A:?x}", "${A:-", "${1}", "${A:-${B}"]
)
def test_what_is_not(text: str) -> None:
    """It is refused with its line, and with what would be understood."""
    with pytest.raises(Refusal, match=r"in line 2; allowed: \$\{VAR\}"):
        substitute("one\n" + text, VARIABLES)


def test_no_end_of_defaults() -> None:
    """A default within a default within a default, and so on, ends somewhere."""
    with pytest.raises(Refusal):
        substitute("${N:-" * 1000 + "}" * 1000, {})


@given(st.text("${}:-=AN \n", max_size=60))
def test_anything(text: str) -> None:
    """Whatever it is, it is substituted or refused."""
    try:
        substitute(text, VARIABLES)
    except Refusal:
        assert "${" in text
