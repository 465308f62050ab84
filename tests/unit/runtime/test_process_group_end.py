"""How a process ended, in words."""

from __future__ import annotations

import pytest

from faasd_async.runtime.process.group import how_it_ended


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (0, "exited with 0"),
        (3, "exited with 3"),
        (-9, "was killed by SIGKILL"),
        (-35, "was killed by signal 35"),
    ],
)
def test_in_words(exit_code: int, words: str) -> None:
    """Exit codes and signals are told apart; a signal without a name has a number."""
    assert how_it_ended(exit_code) == words
