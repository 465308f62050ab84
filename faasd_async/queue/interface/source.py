"""Which calls are meant: those of a function, or those of a queue."""

from __future__ import annotations

from dataclasses import dataclass

from faasd_async.call.request import QueueRequest


@dataclass(frozen=True, slots=True)
class OfFunction:
    """The calls of one function, whatever queue they stand in."""

    function: str

    def __str__(self) -> str:
        return f"function {self.function}"


@dataclass(frozen=True, slots=True)
class OfQueue:
    """The calls of one queue, in the order they came, whatever function they are for."""

    queue: str

    def __str__(self) -> str:
        return f"queue {self.queue}"


Source = OfFunction | OfQueue


def is_of(request: QueueRequest, source: Source) -> bool:
    """Whether a call is one of a source's."""
    if isinstance(source, OfFunction):
        return request.function == source.function
    return request.queue == source.queue
