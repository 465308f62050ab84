"""One try by treq: a POST, and what came of it, in words an operator can use."""

from __future__ import annotations

from collections.abc import Callable

from OpenSSL.SSL import Error as TlsError
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.web.client import (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http_headers import Headers as HttpHeaders

from faasd_async.call.body import Body
from faasd_async.call.request import CallbackRequest
from faasd_async.callback.address import request_url
from faasd_async.callback.flowing import StoredProducer
from faasd_async.callback.reading import read_away
from faasd_async.callback.tried import Try
from faasd_async.callback.written import fields_of
from faasd_async.queue.bodies import Bodies

_WRAPPERS = (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)


class Sender:
    """Makes tries.

    :param client: the way out into the world.
    :param timeout_seconds: how long one may take, given the function's name.
    :param bodies: where large ones lie.
    """

    def __init__(
        self,
        clock: IReactorTime,
        client: HTTPClient,
        timeout_seconds: Callable[[str], float],
        bodies: Bodies | None = None,
    ) -> None:
        self._bodies = bodies
        self._clock = clock
        self._client = client
        self._timeout_seconds = timeout_seconds

    async def send(self, callback: CallbackRequest) -> Try:
        """Try once. Whatever goes wrong is told by what it returns; it can be cancelled."""
        limit_seconds = self._timeout_seconds(callback.function)
        began = self._clock.seconds()
        heads: list[tuple[int, bytes | None]] = []
        exchange = Deferred.fromCoroutine(self._exchange(callback, heads))
        exchange.addTimeout(limit_seconds, self._clock)
        error = ""
        try:
            await exchange
        except TimeoutError:
            error = f"no answer within {limit_seconds:g} s"
        except CancelledError:
            raise
        except Exception as reason:
            # Whatever happens between here and a receiver is the same to the callback.
            error = _in_words(reason)
        seconds = self._clock.seconds() - began
        if heads:
            # The status is the answer, even if its body did not come to an end.
            status, retry_after = heads[0]
            return Try(status, seconds, retry_after=retry_after)
        return Try(0, seconds, error)

    async def _exchange(
        self, callback: CallbackRequest, heads: list[tuple[int, bytes | None]]
    ) -> None:
        response = await self._client.post(
            request_url(callback.url),
            headers=_fields(callback),
            data=self._data(callback.body),
            allow_redirects=False,
            unbuffered=True,
        )
        retry_after = response.headers.getRawHeaders(b"retry-after")
        heads.append((response.code, retry_after[0] if retry_after else None))
        await read_away(response)

    def _data(self, body: Body) -> bytes | StoredProducer:
        if isinstance(body, bytes):
            return body
        assert self._bodies is not None
        return StoredProducer(self._bodies, body)


def _fields(callback: CallbackRequest) -> HttpHeaders:
    fields = HttpHeaders()
    for name, value in fields_of(callback):
        fields.addRawHeader(name, value)
    return fields


def _in_words(reason: BaseException) -> str:
    """What lies under the wrappers of the HTTP client."""
    while isinstance(reason, _WRAPPERS) and reason.reasons:
        reason = reason.reasons[0].value
    if isinstance(reason, TlsError):
        told = reason.args[0] if reason.args else ()
        words = "; ".join(str(each[-1]) for each in told if each)
        return f"TLS: {words or 'the connection broke off'}"
    return str(reason).rstrip(".") or type(reason).__name__
