"""What was tried of callbacks, noted beside them if that can be done.

The queue keeps the time of the next try without it, too.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.call.posting import Posting
from faasd_async.call.request import CallbackRequest
from faasd_async.callback.post import Post
from faasd_async.errors import QueueError
from faasd_async.queue.interface import Queue


class Notes:
    """Notes it, and tells the log where it could not."""

    _log = Logger()

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def note(self, callback: CallbackRequest, posting: Posting) -> Deferred[None]:
        """:return: fires when it is noted, or cannot be."""

        def failed(failure: Failure) -> None:
            failure.trap(QueueError)
            self._cannot_note(callback, failure.value)

        return self._queue.records.note_posting(callback.name, posting).addErrback(failed)

    def told(self, post: Post, reason: QueueError | None) -> None:
        """Hear what came of a note; ``None``: it is noted."""
        if reason is not None:
            self._cannot_note(post.callback, reason)

    def _cannot_note(self, callback: CallbackRequest, reason: object) -> None:
        self._log.warn(
            "what was tried of the callback of {call_id} cannot be noted: {reason}",
            call_id=callback.key.call_id,
            reason=reason,
        )
