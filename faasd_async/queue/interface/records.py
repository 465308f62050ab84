"""What is known of calls and callbacks apart from themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred

from faasd_async.call.ending import Ending
from faasd_async.call.history import History
from faasd_async.call.ids import CallKey
from faasd_async.call.posting import Posting
from faasd_async.call.request import CallbackName, QueueRequest
from faasd_async.errors import QueueError
from faasd_async.settings import ResultSettings


class Records(Protocol):
    """What is known of calls apart from the calls themselves.

    Nothing here waits for the disk: whoever writes several things asks once, at the end, with
    :meth:`.Queue.when_durable`.
    """

    def record_ending(
        self, request: QueueRequest, ending: Ending, keep: ResultSettings
    ) -> Deferred[bool]:
        """Write a call's terminal record, unless it has one.

        Where a callback is owed the answer is in it, whatever *keep* says: after a crash the
        callback is written from there. An answer that is not to be kept is marked as private
        then, and is as long on the disk as the record is. So is one that is kept for a shorter
        time than the record, which has to be there for as long as the call may come again.

        :return: whether this is the call's first; fails as :meth:`.Queue.put_call` does.
        """

    def record_ending_then(
        self,
        request: QueueRequest,
        ending: Ending,
        keep: ResultSettings,
        recorded: Callable[[bool | QueueError], None],
    ) -> None:
        """As :meth:`record_ending`; *recorded* is called once, perhaps at once."""

    def find_ending(
        self, function: str, key: CallKey, generation: int = 0
    ) -> Deferred[Ending | None]:
        """A call's terminal record, if it has ended.

        :param generation: what was written of the call before it was replayed so often counts
            for nothing.
        """

    def note_history(self, request: QueueRequest, history: History) -> Deferred[None]:
        """Remember what was tried of a call that goes back to the queue."""

    def find_history(
        self, function: str, key: CallKey, generation: int = 0
    ) -> Deferred[History | None]:
        """What was noted last; *generation* as for :meth:`find_ending`."""

    def forget(self, function: str, key: CallKey) -> Deferred[None]:
        """Forget how a call ended and what was tried of it."""

    def note_posting(self, name: CallbackName, posting: Posting) -> Deferred[None]:
        """Remember what was tried of a callback, or that nothing more is to be done with it."""

    def note_posting_then(
        self, name: CallbackName, posting: Posting, noted: Callable[[QueueError | None], None]
    ) -> None:
        """As :meth:`note_posting`; *noted* is called once, perhaps at once."""

    def find_posting(self, name: CallbackName) -> Deferred[Posting | None]:
        """What was noted last."""
