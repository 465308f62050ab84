"""The stored form of a request: ``application/http``, as it will be sent.

``POST <target> HTTP/1.1``, the header fields in their order and case, ``Content-Length`` last, an
empty line, the body. A worker hands it on as it is; ``Host`` is spliced in when it is sent. A body
that lies elsewhere is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import overload

from faasd_async.call.body import Body, StoredBody
from faasd_async.call.headers import FRAMING, HOP_BY_HOP, Headers

Field = tuple[bytes, bytes]

#: What does not go on to the far end, or is written anew for it.
_NOT_AS_IT_IS = re.compile(
    rb"\r\n(?:%b):" % b"|".join(sorted({b"host", *HOP_BY_HOP, *FRAMING})), re.IGNORECASE
)


class UnreadableForm(ValueError):
    """Stored bytes are not a request in this form."""


class StoredFields(Sequence[Field]):
    """Header fields as they are stored. They are read when somebody looks at one, which mostly
    nobody does.

    :ivar lines: each of them, the end of the line before it in front.
    """

    __slots__ = ("_fields", "lines")

    def __init__(self, lines: bytes) -> None:
        self.lines = lines
        self._fields: list[Field] | None = None

    @property
    def go_on(self) -> bool:
        """Whether all of them may be sent as they stand here."""
        return _NOT_AS_IT_IS.search(self.lines) is None

    def may_hold(self, name: bytes) -> bool:
        """Whether there can be a field of this name, in lower case, among them."""
        return name in self.lines.lower()

    def with_one_more(self, field: Field) -> StoredFields:
        return StoredFields(b"%b\r\n%b: %b" % (self.lines, *field))

    def _read(self) -> list[Field]:
        if self._fields is None:
            lines = self.lines.split(b"\r\n")[1:]
            parts = [line.partition(b": ") for line in lines]
            self._fields = [(name, value) for name, _, value in parts]
        return self._fields

    @overload
    def __getitem__(self, index: int) -> Field: ...

    @overload
    def __getitem__(self, index: slice) -> list[Field]: ...

    def __getitem__(self, index: int | slice) -> Field | list[Field]:
        return self._read()[index]

    def __len__(self) -> int:
        return len(self._read())

    def __iter__(self) -> Iterator[Field]:
        return iter(self._read())

    def __reversed__(self) -> Iterator[Field]:
        return reversed(self._read())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (StoredFields, list, tuple)):
            return self._read() == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._read())


def write(target: bytes, headers: Headers, body: Body) -> bytes:
    """Put a request into its stored form.

    :param headers: end to end, without ``Content-Length``; values hold no CR, LF or NUL.
    """
    lines = [b"POST %b HTTP/1.1" % target]
    lines += [b"%b: %b" % field for field in headers]
    lines += [b"Content-Length: %d" % len(body), b"", body if type(body) is bytes else b""]
    return b"\r\n".join(lines)


def read(stored: bytes, elsewhere: StoredBody | None = None) -> tuple[bytes, StoredFields, Body]:
    """Take a request out of its stored form.

    :param elsewhere: the body, if it was left out.
    :return: target, headers without ``Content-Length``, body.
    :raises UnreadableForm: it was not written by :func:`write`.
    """
    head, found, rest = stored.partition(b"\r\n\r\n")
    body: Body = rest if elsewhere is None else elsewhere
    first, end, _ = head.partition(b"\r\n")
    parts = first.split(b" ")
    if not found or len(parts) != 3 or parts[0] != b"POST":
        raise UnreadableForm(f"no request line in {first[:80]!r}")
    length = b"\r\nContent-Length: %d" % len(body)
    if not end or not head.endswith(length):
        raise UnreadableForm(f"no Content-Length of {len(body)} at the end of the head")
    return parts[1], StoredFields(head[len(first) : -len(length)]), body
