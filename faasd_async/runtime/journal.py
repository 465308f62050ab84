"""The last lines that functions have written, for whoever asks, and new ones as they come.

Of each function so many lines and characters are kept, and the oldest go first. Lines are numbered,
so that somebody who reads more slowly than a function writes is told what is missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from twisted.internet.defer import Deferred, succeed

#: What is kept of each function.
MOST_LINES = 1000
MOST_CHARACTERS = 1024 * 1024

#: How many may follow at a time.
MOST_FOLLOWERS = 100

#: Is given a function's name, an instance of it and a line.
Keep = Callable[[str, str, str], None]


def unkept(function: str, instance: str, text: str) -> None:
    """Keep nothing."""


class Line(NamedTuple):
    """One line.

    :ivar number: of this function's.
    :ivar at_ns: when it came, Unix nanoseconds.
    :ivar instance: who of the function wrote it.
    """

    number: int
    at_ns: int
    instance: str
    text: str


class Follower:
    """Somebody who waits for new lines.

    :ivar is_over: there will be none.
    """

    def __init__(self) -> None:
        self.is_over = False
        self._rung = False
        self._bell: Deferred[None] | None = None

    def ring(self) -> None:
        """It is worth looking."""
        self._rung = True
        bell, self._bell = self._bell, None
        if bell is not None:
            bell.callback(None)

    def when_rung(self) -> Deferred[None]:
        """Fires when it has been rung since the last time."""
        if self._rung:
            self._rung = False
            return succeed(None)
        self._bell = Deferred()
        return self._bell.addCallback(self._heard)

    def _heard(self, _: None) -> None:
        self._rung = False


class _Ring:
    """What is kept of one function."""

    def __init__(self) -> None:
        self.lines: deque[Line] = deque()
        self.characters = 0
        self.next_number = 0
        self.followers: set[Follower] = set()


class Journal:
    """Keeps lines.

    :param now_ns: the wall clock, Unix nanoseconds.
    """

    def __init__(
        self,
        now_ns: Callable[[], int],
        *,
        most_lines: int = MOST_LINES,
        most_characters: int = MOST_CHARACTERS,
    ) -> None:
        self._now_ns = now_ns
        self._most_lines = most_lines
        self._most_characters = most_characters
        self._rings: dict[str, _Ring] = {}
        self._closed = False

    def keep(self, function: str, instance: str, text: str) -> None:
        """A function has written a line."""
        ring = self._ring(function)
        ring.lines.append(Line(ring.next_number, self._now_ns(), instance, text))
        ring.next_number += 1
        ring.characters += len(text)
        while len(ring.lines) > self._most_lines or ring.characters > self._most_characters:
            ring.characters -= len(ring.lines.popleft().text)
        for follower in tuple(ring.followers):
            follower.ring()

    def lines(self, function: str, after: int = -1) -> Sequence[Line]:
        """Those that there are after a number."""
        ring = self._rings.get(function)
        if ring is None or ring.next_number <= after + 1:
            return ()
        skipped = max(after + 1 - (ring.next_number - len(ring.lines)), 0)
        return list(ring.lines)[skipped:]

    @property
    def followers(self) -> int:
        return sum(len(ring.followers) for ring in self._rings.values())

    def follow(self, function: str) -> tuple[Follower, Callable[[], None]]:
        """Be told of a function's new lines.

        :return: who is told, and what ends it.
        """
        ring, follower = self._ring(function), Follower()
        ring.followers.add(follower)
        follower.is_over = self._closed
        return follower, lambda: ring.followers.discard(follower)

    def forget_others(self, functions: Collection[str]) -> None:
        """Keep the lines of *functions* alone; who follows another one is let go."""
        for name in self._rings.keys() - set(functions):
            _let_go(self._rings.pop(name))

    def close(self) -> None:
        """Let everybody go who follows: the daemon stops."""
        self._closed = True
        for ring in self._rings.values():
            _let_go(ring)

    def _ring(self, function: str) -> _Ring:
        return self._rings.setdefault(function, _Ring())


def _let_go(ring: _Ring) -> None:
    for follower in tuple(ring.followers):
        follower.is_over = True
        follower.ring()
