"""Server-sent events, as far as the daemon sends them."""

from __future__ import annotations

#: Longer ones are not the daemon's.
_LONGEST_BYTES = 1024 * 1024


class EventReader:
    """Takes bytes as they come, and gives each event's data."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[str]:
        """The data of each event that has ended with these bytes.

        :raises ValueError: one does not end.
        """
        *whole, self._held = (self._held + data).split(b"\n\n")
        if len(self._held) > _LONGEST_BYTES:
            raise ValueError("an event without an end")
        return [text for text in map(_data, whole) if text]


def _data(event: bytes) -> str:
    lines = event.decode("utf-8", "replace").split("\n")
    return "\n".join(line[5:].lstrip(" ") for line in lines if line.startswith("data:"))
