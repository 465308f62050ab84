"""What is known of calls apart from themselves, in this process's memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from msgspec.structs import replace
from twisted.internet.defer import Deferred, succeed

from faasd_async.call.ending import Ending, callback_url_of
from faasd_async.call.history import History
from faasd_async.call.ids import CallKey
from faasd_async.call.posting import Posting
from faasd_async.call.request import CallbackName, QueueRequest
from faasd_async.errors import QueueError
from faasd_async.queue.kept import why_withheld
from faasd_async.settings import ResultSettings

Record = TypeVar("Record")


class MemoryRecords:
    """See :class:`~faasd_async.queue.interface.Records`."""

    def __init__(self) -> None:
        self.endings: dict[tuple[str, CallKey], tuple[QueueRequest, Ending]] = {}
        self.histories: dict[tuple[str, CallKey], tuple[int, History]] = {}
        self.postings: dict[CallbackName, Posting] = {}

    def record_ending(
        self, request: QueueRequest, ending: Ending, keep: ResultSettings
    ) -> Deferred[bool]:
        return succeed(self._record(request, ending, keep))

    def record_ending_then(
        self,
        request: QueueRequest,
        ending: Ending,
        keep: ResultSettings,
        recorded: Callable[[bool | QueueError], None],
    ) -> None:
        recorded(self._record(request, ending, keep))

    def _record(self, request: QueueRequest, ending: Ending, keep: ResultSettings) -> bool:
        about = request.function, request.key
        if self._ending(*about, request.generation) is not None:
            return False
        withheld = why_withheld(keep, len(ending.outcome.body))
        if withheld is not None and callback_url_of(request, ending) is None:
            ending = replace(ending, outcome=replace(ending.outcome, headers=(), body=b""))
        self.endings[about] = request, replace(ending, withheld=withheld)
        return True

    def find_ending(
        self, function: str, key: CallKey, generation: int = 0
    ) -> Deferred[Ending | None]:
        return succeed(self._ending(function, key, generation))

    def _ending(self, function: str, key: CallKey, generation: int) -> Ending | None:
        ended, ending = self.endings.get((function, key), (None, None))
        return None if ended is None or ended.generation < generation else ending

    def note_history(self, request: QueueRequest, history: History) -> Deferred[None]:
        self.histories[request.function, request.key] = request.generation, history
        return succeed(None)

    def find_history(
        self, function: str, key: CallKey, generation: int = 0
    ) -> Deferred[History | None]:
        return succeed(_in_generation(self.histories.get((function, key)), generation))

    def note_posting(self, name: CallbackName, posting: Posting) -> Deferred[None]:
        self.postings[name] = posting
        return succeed(None)

    def note_posting_then(
        self, name: CallbackName, posting: Posting, noted: Callable[[QueueError | None], None]
    ) -> None:
        noting = self.note_posting(name, posting)
        noting.addCallbacks(noted, lambda failure: noted(failure.value))

    def find_posting(self, name: CallbackName) -> Deferred[Posting | None]:
        return succeed(self.postings.get(name))

    def forget(self, function: str, key: CallKey) -> Deferred[None]:
        self.endings.pop((function, key), None)
        self.histories.pop((function, key), None)
        return succeed(None)


def _in_generation(record: tuple[int, Record] | None, generation: int) -> Record | None:
    """A record, unless its call was replayed since it was written."""
    return None if record is None or record[0] < generation else record[1]
