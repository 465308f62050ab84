"""The tokens of a function: one for each of its invocations that may run at a time.

The limit is the function's, not the deployment's. One that takes another's place shares the room
with it, so that a change of the settings has no more run than they allow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


class Room:
    """What the deployments of one function have in common, one after the other.

    :ivar limit: how many tokens there are.
    :ivar in_use: how many are out; after :meth:`resize` these may be more than there are.
    :ivar when_freed: called after one came back.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_use = 0
        self.when_freed: Callable[[], None] = nobody
        self._waiting: deque[Deferred[None]] = deque()

    @property
    def free(self) -> int:
        return max(0, self.limit - self.in_use)

    def acquire(self) -> Deferred[None]:
        """:return: fires with a token, in the order of asking. Cancelling it asks no more."""
        token: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(token)
        self._hand_out()
        return token

    def take(self) -> bool:
        """Take a token, if one is free that nobody waits for; :return: whether there was one."""
        if self._waiting or self.in_use >= self.limit:
            return False
        self.in_use += 1
        return True

    def release(self) -> None:
        self.in_use -= 1
        self._hand_out()
        self.when_freed()

    def resize(self, limit: int) -> None:
        """Have another number of tokens from now on; those that are out stay out."""
        self.limit = limit
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self.free:
            self.in_use += 1
            self._waiting.popleft().callback(None)


class Tokens:
    """One deployment's share in a room."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self._users = 0
        self._when_unused: list[Deferred[None]] = []

    @property
    def limit(self) -> int:
        return self.room.limit

    def acquire(self) -> Deferred[None]:
        """As :meth:`Room.acquire`."""
        self._users += 1
        return self.room.acquire().addErrback(self._asks_no_more)

    def take(self) -> bool:
        """As :meth:`Room.take`."""
        if not self.room.take():
            return False
        self._users += 1
        return True

    def release(self) -> None:
        """As :meth:`Room.release`."""
        self.room.release()
        self._one_less()

    def when_unused(self) -> Deferred[None]:
        """:return: fires when nobody has a token of this deployment, or waits for one."""
        unused: Deferred[None] = Deferred()
        self._when_unused.append(unused)
        self._look_whether_unused()
        return unused

    def _asks_no_more(self, reason: Failure) -> Failure:
        self._one_less()
        return reason

    def _one_less(self) -> None:
        self._users -= 1
        self._look_whether_unused()

    def _look_whether_unused(self) -> None:
        if not self._users:
            waiting, self._when_unused = self._when_unused, []
            for each in waiting:
                each.callback(None)


def nobody() -> None:
    """Nobody has asked to be told."""
