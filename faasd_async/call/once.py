"""Calls that their callers may repeat: the same key, the same call.

A caller who is not sure whether a call was taken sends it again under the same
``Idempotency-Key`` (or the ``webhook-id`` of Standard Webhooks), and it runs once. The key becomes
the call's *accept* token, keyed with a secret of the installation: nobody who can read or guess
keys can tell which calls are theirs.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from faasd_async.call.body import Body
from faasd_async.call.ids import CallKey, adopted

#: Of an idempotency key.
MAX_KEY_BYTES = 255

_KEYED = "k"


class Repeatable(NamedTuple):
    """What makes two requests the same call.

    :ivar accept: of function and key.
    :ivar call_id: for a call whose caller chose none; the same each time.
    :ivar digest: of target and body: a caller that uses a key for something else is mistaken.
    """

    accept: str
    call_id: str
    digest: str

    def key(self, chosen: bytes | None) -> CallKey:
        """The call's key.

        :param chosen: the caller's ``X-Call-Id``, if there is one.
        :raises TokenTooLong: it does not fit into a subject.
        """
        return CallKey(adopted(chosen) or self.call_id, self.accept)


def idempotency_key(said: Mapping[bytes, bytes]) -> bytes | None:
    """The key that a caller sent, if any.

    :param said: header fields by lower-case name.
    """
    return said.get(b"idempotency-key") or said.get(b"webhook-id") or None


def repeatable(secret: bytes, function: str, key: bytes, target: bytes, body: Body) -> Repeatable:
    """What a keyed request for a function is known by.

    :param secret: the installation's.
    """
    mark = hmac.digest(secret, function.encode() + b"\0" + key, "sha256")
    digest = hashlib.sha256(b"%d %b " % (len(target), target))
    digest.update(body if isinstance(body, bytes) else b"sha256:" + body.sha256.encode())
    return Repeatable(
        accept=_KEYED + mark[:16].hex(),
        call_id=str(UUID(bytes=mark[16:], version=4)),
        digest=digest.hexdigest()[:32],
    )


def is_keyed(key: CallKey) -> bool:
    """Whether a call may have been accepted more than once."""
    return key.accept.startswith(_KEYED)
