"""A call that was just accepted and of which nothing is ordered besides that it be made: most are.

What is stored of it is there already, so of the whole of a :class:`.QueueRequest` nothing else is
put together, unless somebody wants it.
"""

from __future__ import annotations

from typing import NamedTuple

from faasd_async.call import http_form
from faasd_async.call.ids import CallKey
from faasd_async.call.request import QueueRequest


class PlainCall(NamedTuple):
    """Such a call; see :class:`.QueueRequest`.

    :ivar key: drawn here.
    :ivar written: as :func:`.http_form.write` writes it.
    :ivar body_bytes: how much of that is the body, at its end.
    """

    function: str
    queue: str
    key: CallKey
    start_time_ns: int
    written: bytes
    body_bytes: int

    @property
    def traceparent(self) -> bytes:
        """None that was noted: what the caller said of a trace would have been."""
        return b""

    @property
    def body(self) -> bytes:
        return self.written[len(self.written) - self.body_bytes :]

    def request(self) -> QueueRequest:
        """The whole of it."""
        target, headers, body = http_form.read(self.written)
        queue, key = self.queue, self.key
        return QueueRequest(self.function, queue, key, self.start_time_ns, target, headers, body)
