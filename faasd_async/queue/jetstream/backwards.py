"""Reading a stream from its end towards its beginning.

A stream is read the other way only: the messages to a subject from a place on. So windows are laid
over it from its end, each before the last one. A window in which hardly anything is found is
followed by a wider one, and one that holds more than can be read at a time is narrowed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from faasd_async.nats.jetstream import StoredMessage

#: How wide the first window is, and how wide one may get.
_NARROW, _WIDEST = 128, 2**40

#: How much wider or narrower the next one is.
_STEP = 8

#: What is looked at for one page: so many windows, and so much of what stands in them.
_MOST_WINDOWS = 24
_MOST_BYTES = 16 * 2**20

#: Returns so many messages at most from a place on, in their order; fewer where they are large, and
#: whether that is all there is from there on.
Look = Callable[[int, int], Awaitable[tuple[Sequence[StoredMessage], bool]]]


class Backwards:
    """One way back through a stream.

    :param before: the place to begin before; everything there is lies before ``last + 1``.
    :param first: the first place there is.
    :ivar before: how far it has come.
    """

    def __init__(self, look: Look, before: int, first: int) -> None:
        self._look = look
        self._first = max(first, 1)
        self._width = _NARROW
        self._windows, self._bytes = _MOST_WINDOWS, _MOST_BYTES
        self.before = before

    @property
    def is_over(self) -> bool:
        """The beginning of the stream is reached."""
        return self.before <= self._first

    @property
    def is_tired(self) -> bool:
        """Enough was looked at."""
        return self._windows <= 0 or self._bytes <= 0

    async def some(self) -> list[StoredMessage]:
        """The messages of the next window that can be read, newest first; perhaps none."""
        while not (self.is_over or self.is_tired):
            self._windows -= 1
            start = max(self.before - self._width, self._first)
            count = min(self._width, _NARROW * _STEP)
            found, is_all = await self._look(start, count)
            self._bytes -= sum(len(each.payload) for each in found)
            inside = [each for each in found if each.sequence < self.before]
            if len(inside) == len(found) and not is_all:
                # The newest of the window may not be among them.
                dense = len(found) == count
                narrow = max(self._width // _STEP if dense else len(found), 1)
                if narrow < self._width:
                    self._width = narrow
                    continue
            self.before = start
            if len(inside) < _NARROW // _STEP:
                self._width = min(self._width * _STEP, _WIDEST)
            if inside:
                return inside[::-1]
        return []
