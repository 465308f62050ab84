"""What OpenFaaS' clients order: read from bodies and queries, with the one namespace there is."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.call.route import without_namespace
from faasd_async.functions.errors import RosterError
from faasd_async.gateway.refusal import Refusal, of_provider_error
from faasd_async.provider.errors import ProviderError

_log = Logger()

Order = TypeVar("Order")


def decoded(body: bytes, kind: type[Order]) -> Order:
    """
    :raises Refusal: 400, it says something else.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise Refusal(400, f"the body cannot be read: {error}") from None


class Namespace:
    """The one that there is.

    :ivar name: what clients may append to a function's.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def is_meant(self, asked: str | None) -> bool:
        return not asked or asked == self.name

    def expect(self, asked: str | None) -> None:
        """
        :raises Refusal: 404, it is another one.
        """
        if asked is not None and not self.is_meant(asked):
            raise Refusal(
                404, f"there is no namespace {asked[:63]}: all functions are in {self.name}"
            )

    def bare(self, name: str, asked: str | None = None) -> str:
        """A function's name, without it.

        :raises Refusal: 404, another one is asked for.
        """
        self.expect(asked)
        return without_namespace(name, self.name)


def carried_out(order: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
    """Carry out an order, whether or not the client stays to hear of it: one that was carried out
    in part would leave what runs and what is written different from each other."""
    told: Deferred[None] = Deferred()

    def failed(failure: Failure) -> None:
        if not told.called:
            told.errback(failure)
        elif not failure.check(RosterError, ProviderError, Refusal):
            _log.failure("an order was not carried out: this is a bug", failure=failure)

    def done(_: None) -> None:
        if not told.called:
            told.callback(None)

    Deferred.fromCoroutine(order).addCallback(done).addErrback(failed)
    return told


@contextmanager
def refusing() -> Iterator[None]:
    """Turn the reason why an order was not carried out into a :class:`Refusal`."""
    try:
        yield
    except RosterError as reason:
        raise Refusal(reason.status, str(reason)) from None
    except ProviderError as reason:
        raise of_provider_error(reason) from None
