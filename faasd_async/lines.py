"""Cutting a stream of bytes into lines."""

from __future__ import annotations

#: A longer line comes in parts of this size.
LINE_BYTES = 64 * 1024


class Lines:
    """Cuts a stream into its lines, however it comes in pieces.

    :param longest_bytes: a longer line comes in parts of this size, wherever its end is.
    """

    def __init__(self, longest_bytes: int = LINE_BYTES) -> None:
        self._longest_bytes = longest_bytes
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """:return: the lines and parts that are whole now, without their ends (LF or CR LF)."""
        *lines, rest = (self._rest + piece).split(b"\n")
        found = [part for line in lines for part in self._parts(line.removesuffix(b"\r"))]
        # A last CR may be half of the line's end.
        while len(rest) > self._longest_bytes and rest[self._longest_bytes :] != b"\r":
            found.append(rest[: self._longest_bytes])
            rest = rest[self._longest_bytes :]
        self._rest = rest
        return found

    def finish(self) -> list[bytes]:
        """:return: what is left of a last line that nobody ended."""
        rest, self._rest = self._rest, b""
        return self._parts(rest) if rest else []

    def _parts(self, line: bytes) -> list[bytes]:
        return [
            line[start : start + self._longest_bytes]
            for start in range(0, max(len(line), 1), self._longest_bytes)
        ]
