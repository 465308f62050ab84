"""What an exchange comes to, in the words of the runtimes."""

from __future__ import annotations

from collections.abc import Callable

from faasd_async.call.headers import HOP_BY_HOP, Headers, named_by_connection
from faasd_async.errors import InvocationBroken, InvocationError, NotHandedOver
from faasd_async.http.errors import ExchangeError, NotSent
from faasd_async.http.exchange import Upload
from faasd_async.http.flowing import FlowingBody
from faasd_async.http.reader import Fields
from faasd_async.runtime.interface import FlowingBody as StoredElsewhere

#: Why a call was not handed over whose connection was still being made.
GIVEN_UP = "given up before there was a connection"


def upload(body: bytes | StoredElsewhere, failed: Callable[[Exception], object]) -> bytes | Upload:
    """A call's body as an exchange takes it.

    :param failed: told if it cannot be read.
    """
    return body if isinstance(body, bytes) else FlowingBody(body.open(), failed)


def end_to_end(fields: Fields) -> Headers:
    """The fields of a reply that are not for its connection alone."""
    if HOP_BY_HOP.isdisjoint([field[0].lower() for field in fields]):
        return fields
    dropped = HOP_BY_HOP | named_by_connection(fields)
    return [field for field in fields if field[0].lower() not in dropped]


def not_reached(function: str, address: str, why: object) -> NotHandedOver:
    """The function has seen nothing."""
    return NotHandedOver(f"{function} was not reached at {address}: {why}")


def no_reply(function: str, address: str, reason: ExchangeError) -> InvocationError:
    """There is not even a head."""
    if isinstance(reason, NotSent):
        return not_reached(function, address, reason)
    return InvocationBroken(f"{function} broke off before it answered: {reason}")


def reply_broken(function: str, reason: ExchangeError) -> InvocationBroken:
    """The reply's body is not whole."""
    return InvocationBroken(f"{function} broke off its answer: {reason}")


def body_not_sent(reason: Exception) -> InvocationBroken:
    """The call's body could not be read to its end."""
    return InvocationBroken(f"the call's body could not be sent: {reason}")
