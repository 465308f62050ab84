"""What an observer may count."""

from dataclasses import dataclass


@dataclass(slots=True)
class Statistics:
    """Totals of one client, over all its connections.

    :ivar connects: handshakes completed; all but the first are reconnects.
    """

    in_messages: int = 0
    in_bytes: int = 0
    out_messages: int = 0
    out_bytes: int = 0
    connects: int = 0

    @property
    def reconnects(self) -> int:
        """How often a connection was replaced."""
        return max(0, self.connects - 1)
