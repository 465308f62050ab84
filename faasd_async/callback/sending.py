"""One try: a POST, and what came of it, in words an operator can use."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass

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

from faasd_async import __version__
from faasd_async.call.request import CallbackRequest
from faasd_async.callback.address import request_url
from faasd_async.callback.reading import read_away

_USER_AGENT = f"faasd-async/{__version__}".encode()

#: The status of a callback that would have gone on for ever.
LOOPED = 508

_WRAPPERS = (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)


@dataclass(frozen=True, slots=True)
class Try:
    """What came of one try.

    :ivar status: the receiver's; 0 if there was none.
    :ivar error: why there was none; empty if there was one.
    :ivar retry_after: its ``Retry-After``.
    """

    status: int
    seconds: float
    error: str = ""
    retry_after: bytes | None = None

    @property
    def delivered(self) -> bool:
        return 200 <= self.status < 300

    def __str__(self) -> str:
        return self.error or f"status {self.status}"


class Sender:
    """Makes tries.

    :param client: the way out into the world.
    :param timeout_seconds: how long one may take, given the function's name.
    """

    def __init__(
        self, clock: IReactorTime, client: HTTPClient, timeout_seconds: Callable[[str], float]
    ) -> None:
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
            data=callback.body,
            allow_redirects=False,
            unbuffered=True,
        )
        retry_after = response.headers.getRawHeaders(b"retry-after")
        heads.append((response.code, retry_after[0] if retry_after else None))
        await read_away(response)


def _fields(callback: CallbackRequest) -> HttpHeaders:
    fields = HttpHeaders()
    for name, value in (*callback.headers, (b"User-Agent", _USER_AGENT)):
        fields.addRawHeader(name, value)
    url = callback.url
    if url.username is not None:
        pair = f"{url.username}:{url.password or ''}".encode()
        fields.setRawHeaders(b"Authorization", [b"Basic " + b64encode(pair)])
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
