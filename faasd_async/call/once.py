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
from faasd_async.call.callback_url import CallbackUrl
from faasd_async.call.ids import CallKey, adopted

#: Of an idempotency key.
MAX_KEY_BYTES = 255

_KEYED = "k"

#: How much of a digest there is of a call, and how much of where its end is told.
_CALL_DIGITS = 32
_TOLD_DIGITS = 16


class Repeatable(NamedTuple):
    """What makes two requests the same call.

    :ivar accept: of function and key.
    :ivar call_id: for a call whose caller chose none; the same each time.
    :ivar digest: of target and body, and behind them of where the end is to be told, if anywhere:
        a caller that uses a key for something else is mistaken.
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

    def telling(self, callback: CallbackUrl | None, on_failure: CallbackUrl | None) -> Repeatable:
        """The same, for a call whose end is told."""
        if callback is None and on_failure is None:
            return self
        urls = " ".join("" if url is None else url.text for url in (callback, on_failure))
        told = hashlib.sha256(urls.encode()).hexdigest()[:_TOLD_DIGITS]
        return self._replace(digest=self.digest + told)


def why_another(digest: str, earlier: str) -> str | None:
    """What tells a request from the one that was accepted under its key; ``None``: nothing."""
    if digest == earlier:
        return None
    if digest[:_CALL_DIGITS] == earlier[:_CALL_DIGITS]:
        return "X-Callback-Url or X-Callback-On-Failure"
    return "path or body"


def idempotency_key(said: Mapping[bytes, bytes]) -> bytes | None:
    """The key that a caller sent, if any; an empty one is one, and no good.

    :param said: header fields by lower-case name.
    """
    key = said.get(b"idempotency-key")
    return said.get(b"webhook-id") if key is None else key


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
        digest=digest.hexdigest()[:_CALL_DIGITS],
    )


def is_keyed(key: CallKey) -> bool:
    """Whether a call may have been accepted more than once."""
    return key.accept.startswith(_KEYED)
