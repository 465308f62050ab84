"""What a try brought, whichever way it went."""

from __future__ import annotations

from dataclasses import dataclass

#: The status of a callback that would have gone on for ever.
LOOPED = 508


@dataclass(frozen=True, slots=True)
class Try:
    """What came of one try.

    :ivar status: the receiver's; 0 if there was none.
    :ivar error: why there was none, or why this daemon's own door said so.
    :ivar retry_after: its ``Retry-After``.
    :ivar is_refused: this daemon's own door said no, and would say so again.
    """

    status: int
    seconds: float
    error: str = ""
    retry_after: bytes | None = None
    is_refused: bool = False

    @property
    def delivered(self) -> bool:
        return 200 <= self.status < 300

    def __str__(self) -> str:
        return self.error or f"status {self.status}"
