"""What a caller is told when the answer is no."""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred

from faasd_async.errors import (
    CallTooLarge,
    FaasdAsyncError,
    InvocationError,
    MaybeStored,
    NoSchedules,
    QueueError,
)
from faasd_async.provider.errors import ProviderError

Fields = tuple[tuple[bytes, bytes], ...]

Told = TypeVar("Told")

RETRY_SOON: Fields = ((b"Retry-After", b"1"),)
RETRY_LATER: Fields = ((b"Retry-After", b"10"),)


class Refusal(FaasdAsyncError):
    """An HTTP status and one line that says why.

    :ivar fields: header fields that belong to the status.
    """

    def __init__(self, status: int, text: str, fields: Fields = ()) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.fields = fields


def failed_inside() -> Refusal:
    """There is a bug."""
    return Refusal(500, "the daemon failed; its log says why")


def unknown_function(name: str) -> Refusal:
    return Refusal(404, f"no function is called {name}")


def not_allowed(*allowed: bytes) -> Refusal:
    listed = b", ".join(allowed)
    return Refusal(405, f"only {listed.decode()} here", ((b"Allow", listed),))


def body_too_large(limit_bytes: int, fields: Fields = ()) -> Refusal:
    """:param fields: those that name the call, as far as it has a name yet."""
    return Refusal(413, f"a body of at most {limit_bytes} bytes is accepted here", fields)


def no_room(why: str) -> Refusal:
    return Refusal(507, f"no new call is stored: {why}", RETRY_LATER)


def of_queue_error(error: QueueError, fields: Fields) -> Refusal:
    """The refusal for a call that the queue did not (surely) take.

    :param fields: those that name the call, for a caller who is left in doubt.
    """
    if isinstance(error, CallTooLarge):
        return body_too_large(error.limit_bytes)
    if isinstance(error, MaybeStored):
        return Refusal(504, "the queue did not answer in time; the call may still run", fields)
    if isinstance(error, NoSchedules):
        return Refusal(501, str(error))
    return Refusal(503, f"the queue cannot take the call: {error}", RETRY_SOON)


def of_invocation_error(error: InvocationError) -> Refusal:
    return Refusal(error.status, str(error), RETRY_SOON if error.status == 503 else ())


def of_provider_error(error: ProviderError) -> Refusal:
    return Refusal(error.status, str(error), RETRY_SOON if error.status == 503 else ())


async def answered(answer: Deferred[Told]) -> Told:
    """What the queue says.

    :raises Refusal: 503, it says nothing.
    """
    try:
        return await answer
    except QueueError as reason:
        raise Refusal(503, f"the queue cannot be asked: {reason}", RETRY_SOON) from None
