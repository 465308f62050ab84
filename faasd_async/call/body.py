"""A body: as bytes, or, where it is too large for one message, where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard


@dataclass(frozen=True, slots=True)
class StoredBody:
    """A body that lies in the queue's store, in pieces.

    :ivar name: what the store calls it.
    :ivar sha256: of its bytes, in hexadecimal digits.
    """

    name: str
    size_bytes: int
    sha256: str

    def __len__(self) -> int:
        return self.size_bytes


Body = bytes | StoredBody


def is_stored(body: Body) -> TypeGuard[StoredBody]:
    """Whether a body lies in the store."""
    return type(body) is StoredBody
