"""The adaptive ceiling: how many calls of a function may run at a time, found by trying.

A function that answers 429 or 503 has more calls than it can take. How many it can take nobody
has said, and it changes; what is known is ``max_inflight``, over which nobody wants to go. So the
ceiling begins there (a healthy function is not slowed), is halved by a refusal, and grows by one
after as many successes as it is wide: additive increase, multiplicative decrease, as TCP has it.

Three things keep it from hunting:

- *Rounds.* A refusal counts only for a call that began after the last halving: a burst that is
  refused as a whole halves the ceiling once.
- *Use.* It grows only if as many calls as it allows did run meanwhile; a ceiling that nobody
  comes up to would grow on no evidence.
- *The wall.* A width that was refused is tried again only after more successes than usual, twice
  as many each time, so that a function of fixed size is bothered less and less.

A function that refuses even a single call is not too narrow, it is down. When it is back, the
ceiling doubles rather than grows, and there is no wall.

Nothing here knows a clock, a queue or a call: times are passed in.
"""

from __future__ import annotations

#: The statuses by which a function says that it has too much to do.
REFUSALS = frozenset((429, 503))

#: A ``Retry-After`` closes a function no longer than this.
LONGEST_CLOSED_SECONDS = 300.0

#: How many times its width in successes a refused width costs, at first and at most.
_FIRST_PATIENCE = 4
_LONGEST_PATIENCE = 64


class Ceiling:
    """One function's.

    :param most: what is configured; it never goes over that.
    :ivar width: how many calls may run at a time; at least 1.
    :ivar closed_until_seconds: until then none may begin, on the clock of those who ask.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.width = most
        self.closed_until_seconds = float("-inf")
        self._round = 0
        self._peak = 0
        self._successes = 0
        self._wall = most + 1
        self._patience = _FIRST_PATIENCE
        self._recovering = False

    def room(self, running: int, now_seconds: float) -> int:
        """How many more calls may begin.

        :param running: how many run, whoever asked for them.
        """
        if now_seconds < self.closed_until_seconds:
            return 0
        return max(self.width - running, 0)

    def is_wide(self, now_seconds: float) -> bool:
        """Whether it bounds nothing: what it would let begin is what is configured. How many run
        need not be told then, as nothing is to be found out."""
        return self.width >= self.most and now_seconds >= self.closed_until_seconds

    @property
    def round(self) -> int:
        """That of a call that begins while the ceiling bounds nothing; otherwise :meth:`begin`
        tells it."""
        return self._round

    def begin(self, running: int) -> int:
        """A call begins.

        :param running: how many run, this one included.
        :return: its round, for :meth:`succeeded` and :meth:`refused`.
        """
        if running > self._peak:
            if self._peak < self.width <= running:
                # Now it is used up: what has succeeded with fewer beside it tells nothing of that.
                self._successes = 0
            self._peak = running
        return self._round

    def succeeded(self, its_round: int) -> bool:
        """The function took a call and had room for it.

        :return: whether the ceiling has changed.
        """
        if its_round != self._round or self.width >= self.most:
            return False
        if self._recovering:
            return self._double()
        self._successes += 1
        price = self.width * (self._patience if self.width + 1 == self._wall else 1)
        if self._peak < self.width or self._successes < price:
            return False
        if self.width >= self._wall:
            # It holds where it did not before.
            self._wall, self._patience = self.most + 1, _FIRST_PATIENCE
        self._become(self.width + 1)
        return True

    def _double(self) -> bool:
        """One more for each that succeeds, up to twice as many as have run at a time."""
        if self.width >= 2 * self._peak:
            return False
        self.width += 1
        return True

    def refused(self, its_round: int) -> bool:
        """The function had no room for a call.

        :return: whether the ceiling has changed.
        """
        if its_round != self._round:
            return False
        if self.width == 1:
            self._wall, self._patience = self.most + 1, _FIRST_PATIENCE
            self._recovering, self._peak = True, 1
            return False
        self._patience = (
            min(self._patience * 2, _LONGEST_PATIENCE)
            if self.width == self._wall
            else _FIRST_PATIENCE
        )
        self._wall = self.width
        self._recovering = False
        self._round += 1
        self._become(self.width // 2)
        return True

    def close(self, now_seconds: float, seconds: float) -> None:
        """The function has said for how long nothing of it would succeed."""
        until = now_seconds + min(seconds, LONGEST_CLOSED_SECONDS)
        self.closed_until_seconds = max(self.closed_until_seconds, until)

    def _become(self, width: int) -> None:
        self.width = width
        self._peak = self._successes = 0
