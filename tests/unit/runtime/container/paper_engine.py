"""An engine on paper: Docker's API, as far as the daemon uses it, over a memory transport."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from treq.testing import RequestTraversalAgent
from twisted.internet.testing import MemoryReactorClock
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from faasd_async.runtime.container.engine import Engine
from faasd_async.runtime.container.installation import Installation

IMAGE, IMAGE_ID = "img:1", "abc"


@dataclass
class Paper:
    """A container on paper."""

    description: dict[str, Any]
    image_id: str = IMAGE_ID
    is_running: bool = False
    exit_code: int = 0
    waiting: list[Request] = field(default_factory=list)
    followed: list[Request] = field(default_factory=list)


class PaperEngine(Resource):
    """The engine.

    :ivar asked: every question, in order: the method and the path.
    :ivar logins: what it was told with each image that it was to fetch.
    :ivar hold: questions whose path has this in it wait for :meth:`let_go`.
    :ivar refuse: questions whose path has this in it are answered 500.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.images = {IMAGE: IMAGE_ID}
        self.registry: dict[str, str] = {}
        self.containers: dict[str, Paper] = {}
        self.asked: list[str] = []
        self.logins: list[str | None] = []
        self.hold = ""
        self.refuse = ""
        self.most = 0
        self._held: list[tuple[Request, Callable[[], Any]]] = []
        self.agent = RequestTraversalAgent(self)
        self.clock = MemoryReactorClock()
        self.engine = Engine(self.clock, self.agent)

    def installation(self, state_dir: Path) -> Installation:
        return Installation(self.engine, state_dir, now_seconds=lambda: 1000.0)

    @property
    def running(self) -> list[str]:
        return [name for name, each in self.containers.items() if each.is_running]

    def put(self, name: str, labels: dict[str, str], **known: Any) -> None:
        """Have a container that somebody else has made."""
        self.containers[name] = Paper({"Labels": labels}, **known)

    def crash(self, name: str, exit_code: int = 1) -> None:
        """It ends."""
        container = self.containers[name]
        container.is_running, container.exit_code = False, exit_code
        for request in container.waiting:
            self._answer(request, {"StatusCode": exit_code})
        for request in container.followed:
            if request.channel is not None:
                request.finish()
        container.waiting, container.followed = [], []
        self.flush()

    def let_go(self) -> None:
        """Answer what was held."""
        self.hold, held, self._held = "", self._held, []
        for request, answer in held:
            self._answer(request, answer())
        self.flush()

    def pass_time(self, seconds: float) -> None:
        """In small steps."""
        for _ in range(100):
            self.clock.advance(seconds / 100)
            self.flush()

    def flush(self) -> None:
        for _ in range(4):
            self.agent.flush()

    # -- what is asked

    def render(self, request: Request) -> Any:
        path, _, query = request.uri.decode().partition("?")
        path = unquote(path)
        method = request.method.decode()
        asked = f"{method} {path}" + (f"?{unquote(query)}" if query else "")
        self.asked.append(asked)
        body = json.loads(request.content.read() or b"null")

        def answer() -> Any:
            return self._do(request, method, path.split("/")[2:], unquote(query), body)

        if path == "/_ping":
            request.setHeader("Api-Version", "1.41")
            return b"OK"
        if self.refuse and self.refuse in asked:
            request.setResponseCode(500)
            return b'{"message": "no can do"}'
        if self.hold and self.hold in asked:
            self._held.append((request, answer))
        else:
            self._answer(request, answer())
        return NOT_DONE_YET

    def _answer(self, request: Request, answer: Any) -> None:
        if answer is not NOT_DONE_YET and request.channel is not None:
            request.write(b"" if answer is None else json.dumps(answer).encode())
            request.finish()

    def _do(self, request: Request, method: str, path: list[str], query: str, body: Any) -> Any:
        match method, path:
            case "POST", ["images", "create"]:
                image = query.removeprefix("fromImage=")
                self.logins.append(request.getHeader("X-Registry-Auth"))
                if image not in self.registry:
                    return {"status": "looking"} | {"error": "no such image there"}
                self.images[image] = self.registry[image]
                return {"status": "here"}
            case "GET", ["images", *name, "json"]:
                return self._found(request, self.images.get("/".join(name)), "Id")
            case "POST", ["containers", "create"]:
                name = query.removeprefix("name=")
                self.containers[name] = Paper(body)
                self.most = max(self.most, len(self.containers))
                return {"Id": name}
            case "GET", ["containers", "json"]:
                label, value = json.loads(query.rpartition("filters=")[2])["label"][0].split("=")
                return [
                    {
                        "Names": [f"/{name}"],
                        "Labels": each.description["Labels"],
                        "ImageID": f"sha256:{each.image_id}",
                        "State": "running" if each.is_running else "exited",
                    }
                    for name, each in self.containers.items()
                    if each.description["Labels"].get(label) == value
                ]
            case _, ["containers", name, *_] if name not in self.containers:
                return self._found(request, None, "")
            case "DELETE", ["containers", name]:
                self.crash(name, 137)
                del self.containers[name]
                return None
            case _, ["containers", name, what]:
                return self._do_to(request, name, what)
        raise AssertionError(path)

    def _do_to(self, request: Request, name: str, what: str) -> Any:
        container = self.containers[name]
        if what == "start":
            container.is_running = True
        elif what == "stop":
            self.crash(name, 0)
        elif what == "wait" and container.is_running:
            container.waiting.append(request)
            return NOT_DONE_YET
        elif what == "wait":
            return {"StatusCode": container.exit_code}
        elif what == "logs" and container.is_running:
            container.followed.append(request)
            return NOT_DONE_YET
        elif what == "json":
            return {
                "State": {"Running": container.is_running},
                "NetworkSettings": {"Ports": {"8080/tcp": [{"HostPort": "41000"}]}},
            }
        return None

    def _found(self, request: Request, found: str | None, key: str) -> Any:
        if found is None:
            request.setResponseCode(404)
            return {"message": "no such thing"}
        return {key: found}
