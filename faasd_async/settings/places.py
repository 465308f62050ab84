"""Where somebody listens, and who meets whom there."""

from __future__ import annotations

from typing import NamedTuple

_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - nothing is bound


class Place(NamedTuple):
    """What can be listened on by one at a time.

    :ivar port: of TCP, or the path of a socket, or what systemd is asked for.
    :ivar interface: an address; empty for everything but TCP.
    """

    port: int | str
    interface: str = ""

    def meets(self, other: Place) -> bool:
        """Whether the two cannot be listened on at the same time, as Linux has it."""
        if self.port != other.port or self.port == 0:
            return False
        if self.interface == other.interface or "::" in (self.interface, other.interface):
            return True
        if ":" in self.interface + other.interface:
            return False
        return self.interface in _EVERYWHERE or other.interface in _EVERYWHERE


class Places:
    """Who listens where."""

    def __init__(self) -> None:
        self._held: list[tuple[Place, str]] = []

    def claim(self, place: Place, who: str) -> str | None:
        """Take a place, unless somebody has it.

        :return: who has it.
        """
        holder = self.holder_of(place)
        if holder is None:
            self._held.append((place, who))
        return holder

    def holder_of(self, place: Place) -> str | None:
        """Who has a place, if anybody."""
        return next((who for held, who in self._held if held.meets(place)), None)
