"""How another provider is spoken to: with treq, under its own password.

The header fields of whoever asks us stay here, their password among them; and of what is sent and
answered nothing is logged, for it may be secret.
"""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlencode

from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH

from faasd_async.provider.errors import ProviderAway, ProviderError, ProviderRefused
from faasd_async.provider.interface import Query, Receiver
from faasd_async.settings import ProviderSettings, Secret

CONNECT_SECONDS = 5.0

#: A list of functions may be long.
MOST_ANSWER_BYTES = 16 * 2**20

_MOST_REASON_CHARACTERS = 1000


class Asking:
    """Asks one provider.

    :param settings: with a ``url``.
    :param authorization: what ``Authorization`` says, if anything.
    """

    def __init__(
        self, reactor: Any, settings: ProviderSettings, authorization: Secret | None
    ) -> None:
        assert settings.url is not None
        self.url = settings.url.rstrip("/")
        self._reactor = reactor
        self._logs_url = (settings.logs_url or settings.url).rstrip("/")
        self._timeout_seconds = settings.timeout_seconds
        self._fields = Headers({b"Content-Type": [b"application/json"]})
        if authorization is not None:
            self._fields.setRawHeaders(b"Authorization", [authorization.value])
        self._pool = HTTPConnectionPool(reactor)
        # It cannot be known how long the other side keeps a connection.
        self._pool.cachedConnectionTimeout = 4
        agent = Agent(reactor, connectTimeout=CONNECT_SECONDS, pool=self._pool)
        no_cookies = IndexableCookieJar(policy=DefaultCookiePolicy(allowed_domains=()))
        self._client = HTTPClient(agent, cookiejar=no_cookies)

    async def ask(self, method: str, path: str, query: Query = (), body: bytes = b"") -> bytes:
        """
        :param path: below ``/system/``.
        :return: the answer's body.
        :raises ProviderError: it is none.
        """
        answering = Deferred.fromCoroutine(self._ask(method, path, query, body))
        answering.addTimeout(self._timeout_seconds, self._reactor)
        try:
            return await answering
        except TookTooLong:
            raise self._away(f"did not answer within {self._timeout_seconds:g} s") from None

    async def _ask(self, method: str, path: str, query: Query, body: bytes) -> bytes:
        response = await self._request(method, self.url, path, query, body)
        content = await self._whole(response)
        if not 200 <= response.code < 300:
            raise self._refused(response.code, content)
        # Go writes a list of nothing in either way.
        return b"[]" if content.strip() == b"null" else content

    async def follow(self, path: str, query: Query, receiver: Receiver) -> Deferred[None]:
        """Ask for an answer that may never end.

        :return: fires when it has ended; cancelling it lets go of the provider.
        :raises ProviderError: there is none.
        """
        response = await self._request("GET", self._logs_url, path, query, b"")
        if response.code != 200:
            raise self._refused(response.code, await self._whole(response))
        ended: Deferred[None] = Deferred(lambda _: flow.leave())
        flow = _Flow(receiver, ended)
        response.deliverBody(flow)
        return ended

    async def close(self) -> None:
        await self._pool.closeCachedConnections()

    async def _request(self, method: str, url: str, path: str, query: Query, body: bytes) -> Any:
        target = f"{url}/system/{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            return await self._client.request(
                method, target, headers=self._fields, data=body or None, allow_redirects=False,
                unbuffered=True,
            )  # fmt: skip
        except ConnectingCancelledError:
            raise CancelledError from None
        except (ConnectError, DNSLookupError, ResponseFailed) as reason:
            if isinstance(reason, ResponseFailed) and reason.reasons[0].check(CancelledError):
                raise CancelledError from None
            raise self._away(f"cannot be asked: {_said(reason)}") from None

    async def _whole(self, response: Any) -> bytes:
        if response.length is not UNKNOWN_LENGTH and response.length > MOST_ANSWER_BYTES:
            raise self._away(f"answers more than {MOST_ANSWER_BYTES} bytes")
        whole: Deferred[bytes] = Deferred(lambda _: gathering.leave())
        gathering = _Gathering(whole)
        response.deliverBody(gathering)
        try:
            return await whole
        except (ResponseFailed, OverflowError) as reason:
            raise self._away(f"broke off: {_said(reason)}") from None

    def _away(self, why: str) -> ProviderAway:
        return ProviderAway(f"the provider at {self.url} {why}")

    def _refused(self, status: int, content: bytes) -> ProviderError:
        if status in (401, 403):
            # It is we who were refused, and not whoever has asked us.
            return ProviderError(
                502,
                f"the provider at {self.url} refuses the password that it is told ({status}): see"
                " [provider] secret_mount_path",
            )
        text = " ".join(content.decode("utf-8", "replace").split())[:_MOST_REASON_CHARACTERS]
        return ProviderRefused(status if status >= 400 else 502, text or "the provider says no")


class _Body(Protocol):
    """A body on its way."""

    def leave(self) -> None:
        """Let go of the connection."""
        if self.transport is not None:
            self.transport.loseConnection()


class _Flow(_Body):
    def __init__(self, receiver: Receiver, ended: Deferred[None]) -> None:
        self._receiver = receiver
        self._ended = ended

    def connectionMade(self) -> None:
        assert self.transport is not None
        self._receiver.begins(self.transport)

    def dataReceived(self, data: bytes) -> None:
        self._receiver.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._ended.called:
            self._ended.callback(None)


class _Gathering(_Body):
    def __init__(self, whole: Deferred[bytes]) -> None:
        self._whole = whole
        self._pieces: list[bytes] = []
        self._size_bytes = 0

    def dataReceived(self, data: bytes) -> None:
        self._size_bytes += len(data)
        if self._size_bytes > MOST_ANSWER_BYTES:
            if not self._whole.called:
                self._whole.errback(OverflowError(f"more than {MOST_ANSWER_BYTES} bytes"))
            self.leave()
            return
        self._pieces.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._whole.called:
            return
        if reason.check(ResponseDone):
            self._whole.callback(b"".join(self._pieces))
        else:
            self._whole.errback(ResponseFailed([reason]))


def _said(reason: Exception) -> str:
    if isinstance(reason, ResponseFailed):
        return "; ".join(each.getErrorMessage() for each in reason.reasons)
    return str(reason)
