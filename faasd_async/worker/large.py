"""Bodies too large for a message, between the queue's store and the function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from faasd_async.call.body import StoredBody
from faasd_async.errors import QueueError
from faasd_async.queue.bodies import Bodies, Intake, Pace, Pieces


@dataclass(frozen=True, slots=True)
class FromStore:
    """A call's body; see :class:`~faasd_async.runtime.interface.FlowingBody`."""

    bodies: Bodies
    body: StoredBody

    def __len__(self) -> int:
        return len(self.body)

    def open(self) -> Pieces:
        return self.bodies.open(self.body)


class AnswerStore:
    """Where large answers go; see :class:`~faasd_async.runtime.spill.Spill`.

    :param bodies: ``None``: there is no such place.
    """

    def __init__(self, bodies: Bodies | None, largest_answer_bytes: Callable[[], int]) -> None:
        self._bodies = bodies
        self._largest_answer_bytes = largest_answer_bytes

    @property
    def gathered_bytes(self) -> int:
        return self._largest_answer_bytes()

    def begin(self, source: Pace) -> Intake:
        if self._bodies is None:
            most = f"{self.gathered_bytes} bytes of header fields and body"
            raise QueueError(f"the queue takes no more than {most}")
        # The function has run, and is not to run again because the broker was away for a moment.
        return self._bodies.begin("outcome", source, insistent=True)
