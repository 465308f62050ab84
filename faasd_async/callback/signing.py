"""Callbacks are signed, as Standard Webhooks has it: so a receiver knows who sent one, and when.

What is signed is ``<webhook-id>.<webhook-timestamp>.<body>``, by HMAC-SHA256, with each secret in
turn: while a receiver changes from one to the next, either will do. Each try is signed anew, for a
receiver does not take what is older than some minutes.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Callable, Iterable

from msgspec.structs import replace
from twisted.internet.defer import Deferred

from faasd_async.call.body import StoredBody, is_stored
from faasd_async.call.headers import first, replaced
from faasd_async.call.request import CallbackRequest
from faasd_async.callback.chain import Sends
from faasd_async.callback.tried import Try
from faasd_async.queue.bodies import Bodies
from faasd_async.settings import Secret


class Signing:
    """Makes tries, of callbacks with their signatures.

    :param secrets_of: what a function's callbacks are signed with; none: they are not.
    :param now_seconds: the wall clock.
    :param bodies: where large ones lie: they are read once more, for their signature.
    """

    def __init__(
        self,
        sends: Sends,
        secrets_of: Callable[[str], tuple[Secret, ...]],
        now_seconds: Callable[[], float],
        bodies: Bodies | None = None,
    ) -> None:
        self._sends = sends
        self._secrets_of = secrets_of
        self._now_seconds = now_seconds
        self._bodies = bodies

    def send(self, callback: CallbackRequest) -> Deferred[Try]:
        """As :meth:`.chain.Sends.send`."""
        secrets = self._secrets_of(callback.function)
        if not secrets:
            return self._sends.send(callback)
        signature = _Signature(callback, secrets, b"%d" % self._now_seconds())
        if is_stored(callback.body):
            return Deferred.fromCoroutine(self._send_stored(callback, callback.body, signature))
        assert isinstance(callback.body, bytes)
        signature.update(callback.body)
        return self._sends.send(signature.on(callback))

    async def _send_stored(
        self, callback: CallbackRequest, body: StoredBody, signature: _Signature
    ) -> Try:
        assert self._bodies is not None
        pieces = self._bodies.open(body)
        try:
            while piece := await pieces.read():
                signature.update(piece)
        finally:
            pieces.close()
        return await self._sends.send(signature.on(callback))


class _Signature:
    """What says who sent a callback, in the making."""

    def __init__(
        self, callback: CallbackRequest, secrets: tuple[Secret, ...], timestamp: bytes
    ) -> None:
        name = first(callback.headers, b"webhook-id") or b""
        self._timestamp = timestamp
        self._digests = [_begun(secret.value, name, timestamp) for secret in secrets]

    def update(self, piece: bytes) -> None:
        for digest in self._digests:
            digest.update(piece)

    def on(self, callback: CallbackRequest) -> CallbackRequest:
        """The callback with it."""
        written = b" ".join(map(_written, self._digests))
        ours = ((b"Webhook-Timestamp", self._timestamp), (b"Webhook-Signature", written))
        return replace(callback, headers=replaced(callback.headers, ours))


def sign(secret: bytes, name: bytes, timestamp: bytes, pieces: Iterable[bytes]) -> bytes:
    """A signature as it stands in ``Webhook-Signature``.

    :param pieces: those of the body.
    """
    digest = _begun(secret, name, timestamp)
    for piece in pieces:
        digest.update(piece)
    return _written(digest)


def _begun(secret: bytes, name: bytes, timestamp: bytes) -> hmac.HMAC:
    return hmac.new(secret, b"%b.%b." % (name, timestamp), "sha256")


def _written(digest: hmac.HMAC) -> bytes:
    return b"v1," + b64encode(digest.digest())
