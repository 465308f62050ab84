"""A daemon as the command line sees it: questions and answers over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import treq
from treq.client import HTTPClient
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.web.client import Agent, HTTPConnectionPool, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from faasd_async.errors import FaasdAsyncError

#: Who asks the operator's routes is not kept waiting for longer.
PATIENCE_SECONDS = 60.0

#: Those that are kept for the next question.
_MOST_CONNECTIONS = 32

Query = Mapping[str, str | None]


class Unreachable(FaasdAsyncError):
    """No daemon answers there."""


class Refused(FaasdAsyncError):
    """The daemon's answer is a refusal.

    :ivar status: of HTTP.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Headers
    body: bytes

    def field(self, name: str) -> str:
        """A header field's first value; empty if there is none."""
        return (self.headers.getRawHeaders(name) or [""])[0]

    @property
    def reason(self) -> str:
        """The status in words, and what the daemon said about it."""
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = ""
        said = self.body.decode("utf-8", "replace").strip()
        return f"{self.status} {phrase}" + (f": {said}" if said else "")


@dataclass(frozen=True, slots=True)
class Credentials:
    """For basic auth."""

    user: str
    password: str

    @classmethod
    def read(cls, directory: Path) -> Credentials:
        """From the files ``basic-auth-user`` and ``basic-auth-password``, as the daemon does.

        :raises OSError: one is not there, or not to be read.
        """
        user, password = (
            (directory / name).read_text("utf-8").strip()
            for name in ("basic-auth-user", "basic-auth-password")
        )
        return cls(user, password)


class Daemon:
    """A daemon at a URL.

    :param reactor: whatever treq and Twisted's Agent take for one.
    :param url: of its gateway, as ``http://127.0.0.1:8080``.
    """

    def __init__(self, reactor: Any, url: str, credentials: Credentials | None = None) -> None:
        pool = HTTPConnectionPool(reactor)
        pool.maxPersistentPerHost = _MOST_CONNECTIONS
        self._client = HTTPClient(Agent(reactor, pool=pool))
        self._reactor = reactor
        self.url = url.rstrip("/")
        self._auth = (credentials.user, credentials.password) if credentials else None

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        patience_seconds: float | None = PATIENCE_SECONDS,
    ) -> Answer:
        """Ask, and take any answer.

        :param path: with what is not ASCII, or would end a segment, quoted (see :func:`segment`).
        :raises Unreachable: there is none.
        """
        response = await self._begin(method, path, query, headers, body, patience_seconds)
        try:
            content = await treq.content(response)
        except ResponseFailed as reason:
            raise Unreachable(f"{self.url} broke off its answer") from reason
        return Answer(response.code, response.headers, content)

    async def order(self, method: str, path: str, *, query: Query | None = None) -> Any:
        """Ask, and take the JSON of a success.

        :raises Refused: it is none.
        :raises Unreachable: there is no answer.
        """
        return decoded(await self.ask(method, path, query=query))

    async def follow(
        self, path: str, tell: Callable[[bytes], None], *, query: Query | None = None
    ) -> None:
        """Have what comes told as it comes, until it ends.

        :raises Refused: there is nothing to follow.
        :raises Unreachable: there is no answer.
        """
        response = await self._begin("GET", path, query, (), None, None)
        if response.code != HTTPStatus.OK:
            body = await treq.content(response)
            raise Refused(response.code, Answer(response.code, response.headers, body).reason)
        try:
            await treq.collect(response, tell)
        except ResponseFailed as reason:
            raise Unreachable(f"{self.url} broke off its answer") from reason

    async def _begin(
        self,
        method: str,
        path: str,
        query: Query | None,
        headers: Sequence[tuple[str, str]],
        body: bytes | None,
        patience_seconds: float | None,
    ) -> IResponse:
        fields = Headers()
        for name, value in headers:
            fields.addRawHeader(name, value)
        given = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            return await self._client.request(
                method,
                self.url + path,
                params=given or None,
                headers=fields,
                data=body,
                auth=self._auth,
                reactor=self._reactor,
                timeout=patience_seconds,
                allow_redirects=False,
                unbuffered=True,
            )
        except (ConnectError, DNSLookupError, ResponseFailed, TimeoutError, OSError) as reason:
            why = str(reason) or type(reason).__name__
            raise Unreachable(f"no daemon answers at {self.url}: {why}") from reason


def decoded(answer: Answer) -> Any:
    """The JSON of a success.

    :raises Refused: it is none.
    """
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise Refused(answer.status, answer.reason)
    try:
        return json.loads(answer.body)
    except ValueError:
        raise Refused(answer.status, "this is no answer of a faasd-async daemon") from None


def segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")
