"""Dead letters, in this process's memory."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.defer import Deferred, succeed

from faasd_async.call.ending import DeadCallback, DeadLetter, Kind, Letter
from faasd_async.call.ids import CallKey
from faasd_async.call.request import CallbackRequest, QueueRequest
from faasd_async.queue.interface import Filed, Page, Selection


class MemoryDeadLetters:
    """See :class:`~faasd_async.queue.interface.DeadLetters`."""

    def __init__(self) -> None:
        self._letters: dict[tuple[Kind, str, CallKey], Filed] = {}
        self._newest = 0

    def all(self) -> Iterator[Letter]:
        """Every one of them, oldest first."""
        return (filed.letter for filed in list(self._letters.values()))

    def put(self, letter: DeadLetter) -> Deferred[None]:
        return self._put(letter, "call", letter.request)

    def put_callback(self, letter: DeadCallback) -> Deferred[None]:
        return self._put(letter, "callback", letter.callback)

    def _put(
        self, letter: Letter, kind: Kind, parcel: QueueRequest | CallbackRequest
    ) -> Deferred[None]:
        self._newest += 1
        about = kind, parcel.function, parcel.key
        self._letters.pop(about, None)
        self._letters[about] = Filed(self._newest, letter)
        return succeed(None)

    def look_through(self, selection: Selection, after: int, limit: int) -> Deferred[Page]:
        found = [each for each in self._meant(selection) if each.place > after]
        page = found[:limit]
        return succeed(Page(page, page[-1].place if len(found) > limit else None))

    def _meant(self, selection: Selection) -> list[Filed]:
        return [
            filed
            for (kind, function, key), filed in self._letters.items()
            if selection.kind in (None, kind)
            and selection.function in (None, function)
            and selection.call_id in (None, key.call_id)
            and selection.accept in (None, key.accept)
            and selection.reason in (None, getattr(filed.letter, "reason", None))
        ]

    def newest(self) -> Deferred[int]:
        return succeed(self._newest)

    def remove(self, place: int) -> Deferred[bool]:
        for about, filed in self._letters.items():
            if filed.place == place:
                del self._letters[about]
                return succeed(True)
        return succeed(False)

    def purge(self, selection: Selection) -> Deferred[int]:
        meant = self._meant(selection)
        for filed in meant:
            self.remove(filed.place)
        return succeed(len(meant))
