"""What is asked of a container engine, in the words of Docker's API.

Every question has a connection of its own: they are rare, and some stay open for as long as a
container lives.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from faasd_async.lines import Lines
from faasd_async.runtime.container import logins
from faasd_async.runtime.container.body import Written, read, read_whole
from faasd_async.runtime.container.errors import EngineError, EngineUnreachable, NoSuchThing
from faasd_async.runtime.container.logins import LoginFor

if TYPE_CHECKING:
    from treq.client import HTTPClient

#: What the engine may take for an ordinary answer, and to fetch an image.
ANSWER_SECONDS = 30.0
PULL_SECONDS = 30 * 60.0

_ANSWER_BYTES = 16 * 2**20

Fields = Mapping[str, list[str]]

NONE: Fields = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Listed:
    """One of the containers there are.

    :ivar image_id: of the image it was made of.
    """

    name: str
    labels: Mapping[str, str]
    image_id: str
    is_running: bool


@dataclass(frozen=True, slots=True)
class Inspected:
    """One container, as it is now.

    :ivar ports: where of this machine's loopback its ports are, as ``{8080: 41033}``.
    """

    is_running: bool
    ports: Mapping[int, int]


class Engine:
    """One engine. Whatever is asked fails with an :class:`EngineError`.

    :param agent: reaches it, whatever host is asked for.
    :param login_for: how it is to log in where an image is pulled from.
    """

    def __init__(
        self, clock: IReactorTime, agent: IAgent, login_for: LoginFor = logins.nobody
    ) -> None:
        self._clock = clock
        self._agent = agent
        self._login_for = login_for
        self._prefix: str | None = None

    @cached_property
    def _client(self) -> HTTPClient:
        # With the first question: a daemon without containers needs none of it.
        from treq.client import HTTPClient

        return HTTPClient(self._agent)

    # -- images

    async def image_id(self, image: str) -> str:
        """:raises NoSuchThing: it is not there."""
        found = await self._ask("GET", f"/images/{quote(image)}/json")
        return bare_id(found["Id"])

    async def pull(self, image: str) -> None:
        """Fetch an image, however long it takes."""
        lines, last_words = Lines(), ""

        def look(piece: bytes) -> None:
            nonlocal last_words
            for line in lines.feed(piece):
                last_words = _error_in(line) or last_words

        path = f"/images/create?fromImage={quote(tagged(image), safe='')}"
        login = self._login_for(image)
        fields = {} if login is None else {"X-Registry-Auth": [login]}
        await self._bound(PULL_SECONDS, self._stream("POST", path, look, fields))
        for line in lines.finish():
            last_words = _error_in(line) or last_words
        if last_words:
            raise EngineError(f"the image {image} cannot be pulled: {last_words}")

    # -- containers

    async def create(self, name: str, description: Mapping[str, Any]) -> None:
        await self._ask("POST", f"/containers/create?name={quote(name)}", description)

    async def start(self, name: str) -> None:
        await self._ask("POST", f"/containers/{quote(name)}/start")

    async def stop(self, name: str, grace_seconds: float) -> None:
        """Ask it to end, and kill it if it has not by then; fires when it has ended."""
        path = f"/containers/{quote(name)}/stop?t={max(1, round(grace_seconds))}"
        await self._ask("POST", path, seconds=grace_seconds + ANSWER_SECONDS)

    async def remove(self, name: str) -> None:
        """Kill it if need be, and leave nothing of it. One that is not there is removed."""
        with suppress(NoSuchThing):
            await self._ask("DELETE", f"/containers/{quote(name)}?force=1&v=1")

    async def inspect(self, name: str) -> Inspected:
        found = await self._ask("GET", f"/containers/{quote(name)}/json")
        published = (found.get("NetworkSettings") or {}).get("Ports") or {}
        ports = {
            int(port.partition("/")[0]): int(places[0]["HostPort"])
            for port, places in published.items()
            if places and places[0].get("HostPort")
        }
        return Inspected(bool(found["State"]["Running"]), ports)

    async def when_ended(self, name: str) -> int:
        """:return: its exit code, as soon as it has ended."""
        ended = await self._ask("POST", f"/containers/{quote(name)}/wait", seconds=None)
        return int(ended["StatusCode"])

    async def follow(
        self, name: str, since_seconds: float | None, received: Callable[[bytes], object]
    ) -> None:
        """Have what a container writes, in :class:`~.frames.Frames`, until it ends.

        :param since_seconds: what it wrote before is left out, Unix time.
        """
        since = "tail=all" if since_seconds is None else f"since={since_seconds:.3f}"
        path = f"/containers/{quote(name)}/logs?follow=1&stdout=1&stderr=1&{since}"
        await self._stream("GET", path, received)

    async def labelled(self, label: str) -> list[Listed]:
        """All containers with a label, ``key=value``, whether they run or not."""
        filters = quote(json.dumps({"label": [label]}), safe="")
        found = await self._ask("GET", f"/containers/json?all=1&filters={filters}")
        return [
            Listed(
                name=each["Names"][0].lstrip("/"),
                labels=each.get("Labels") or {},
                image_id=bare_id(each.get("ImageID") or ""),
                is_running=each.get("State") == "running",
            )
            for each in found
        ]

    # -- how it is asked

    async def _ask(
        self,
        method: str,
        path: str,
        content: Mapping[str, Any] | None = None,
        seconds: float | None = ANSWER_SECONDS,
    ) -> Any:
        async def ask() -> bytes:
            return await read_whole(await self._request(method, path, content), _ANSWER_BYTES)

        answer = await (self._translated(ask()) if seconds is None else self._bound(seconds, ask()))
        try:
            return json.loads(answer) if answer.strip() else None
        except ValueError:
            raise EngineError("the engine's answer is no JSON") from None

    async def _stream(
        self, method: str, path: str, received: Callable[[bytes], object], fields: Fields = NONE
    ) -> None:
        async def stream() -> None:
            await read(await self._request(method, path, None, fields), received)

        await self._translated(stream())

    async def _request(
        self, method: str, path: str, content: Mapping[str, Any] | None, fields: Fields = NONE
    ) -> IResponse:
        if self._prefix is None:
            # Without a version it would be the engine's newest, whatever that is.
            answer = await self._send("GET", "/_ping", None)
            await read_whole(answer, _ANSWER_BYTES)
            version = answer.headers.getRawHeaders("Api-Version") or [""]
            self._prefix = f"/v{version[0]}" if version[0] else ""
        response = await self._send(method, self._prefix + path, content, fields)
        if response.code < 400:
            return response
        said = await read_whole(response, _ANSWER_BYTES)
        why = _message_in(said) or f"HTTP {response.code}"
        raise NoSuchThing(why) if response.code == 404 else EngineError(why)

    async def _send(
        self, method: str, path: str, content: Mapping[str, Any] | None, fields: Fields = NONE
    ) -> IResponse:
        if content is not None:
            fields = {**fields, "Content-Type": ["application/json"]}
        response: IResponse = await self._client.request(
            method,
            f"http://engine{path}",
            headers=Headers(fields),
            data=None if content is None else Written(json.dumps(content).encode()),
            allow_redirects=False,
            unbuffered=True,
        )
        return response

    async def _bound(self, seconds: float, asked: Any) -> Any:
        try:
            return await Deferred.fromCoroutine(self._translated(asked)).addTimeout(
                seconds, self._clock
            )
        except TimeoutError:
            raise EngineUnreachable(f"the engine did not answer within {seconds:g} s") from None

    async def _translated(self, asked: Any) -> Any:
        try:
            return await asked
        except (EngineError, CancelledError):
            raise
        except Exception as reason:
            # Whatever happens between here and the engine is the same to a container.
            self._prefix = None
            raise _translated(reason) from None


def bare_id(image_id: str) -> str:
    """Docker's and Podman's answers differ in whether the kind of hash is said."""
    return image_id.removeprefix("sha256:")


def tagged(image: str) -> str:
    """Without a tag, all that there are would be pulled."""
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in last else f"{image}:latest"


def _message_in(said: bytes) -> str:
    try:
        return str(json.loads(said).get("message") or "")
    except (ValueError, AttributeError):
        return ""


def _error_in(line: bytes) -> str:
    try:
        return str(json.loads(line).get("error") or "")
    except (ValueError, AttributeError):
        return ""


def _translated(reason: BaseException) -> EngineError | CancelledError:
    """What lies under the wrappers of the HTTP client, which wraps a cancellation too."""
    while (reasons := getattr(reason, "reasons", None)) and reasons[0].value is not reason:
        reason = reasons[0].value
    if isinstance(reason, EngineError | CancelledError):
        return reason
    words = str(reason).rstrip(".") or type(reason).__name__
    return EngineUnreachable(f"the container engine does not answer: {words}")
