"""A provider of functions such as faasd's, but for the containers: what is asked of it is answered
as recorded, and a function says what it was sent.

Run as a program it is one to try things with::

    python tests/fake_provider.py --listen tcp:8081:interface=127.0.0.1
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorCore
from twisted.web.http import Request
from twisted.web.resource import NoResource, Resource
from twisted.web.server import NOT_DONE_YET, Site

Sheet = dict[str, Any]

NAMESPACE = "openfaas-fn"

_LINE = {"namespace": NAMESPACE, "instance": "1", "timestamp": "2026-11-24T02:11:53Z"}


def sheet(name: str, **parts: Any) -> Sheet:
    """A function as it is listed."""
    return {
        "name": name, "image": f"docker.io/fake/{name}:latest", "namespace": NAMESPACE,
        "labels": {}, "annotations": {}, "replicas": 1, "availableReplicas": 1, **parts,
    }  # fmt: skip


def _as_go_writes(each: Sheet) -> Sheet:
    """Without what is zero or empty."""
    return {key: value for key, value in each.items() if value or key in ("image", "namespace")}


class FakeProvider(Resource):
    """The whole of it.

    :ivar password: what ``/system`` asks for: user and password, with a colon in between.
    :ivar functions: by namespace and name.
    :ivar secrets: what is kept under each name.
    :ivar asked: each request's line, as the gateway's was recorded.
    :ivar called: each call of a function: method, target, header fields, body.
    :ivar answer: answers a call.
    :ivar following: those who follow logs.
    """

    isLeaf = True

    def __init__(self, password: str | None = None) -> None:
        super().__init__()
        self.functions: dict[tuple[str, str], Sheet] = {}
        self.secrets: dict[str, bytes] = {}
        self.namespaces = [NAMESPACE]
        self.asked: list[str] = []
        self.called: list[Request] = []
        self.answer: Callable[[Request, bytes], Any] = self._echo
        self.following: list[Request] = []
        self.password = password

    def have(self, name: str, namespace: str = NAMESPACE, **parts: Any) -> None:
        """Have a function."""
        self.functions[namespace, name] = sheet(name, namespace=namespace, **parts)

    def render(self, request: Request) -> Any:
        path = request.path.decode()
        body = request.content.read()
        if path.startswith("/function/"):
            return self._call(request, path, body)
        if path == "/healthz":
            return b""
        self.asked.append(f"{request.method.decode()} {request.uri.decode()}")
        if not self._admits(request):
            return _said(request, 401, "invalid credentials")
        part, _, name = path.removeprefix("/system/").partition("/")
        serve = getattr(self, f"_{part.replace('-', '_')}", None)
        if serve is None:
            return NoResource().render(request)
        said = {key.decode(): values[-1].decode() for key, values in request.args.items()}
        ordered = json.loads(body) if body else {}
        return serve(request, name, said.get("namespace") or NAMESPACE, said, ordered)

    def _admits(self, request: Request) -> bool:
        if self.password is None:
            return True
        said = request.getHeader("authorization")
        return bool(said == f"Basic {b64encode(self.password.encode()).decode()}")

    # -- functions

    def _call(self, request: Request, path: str, body: bytes) -> Any:
        name, _, namespace = path.split("/")[2].partition(".")
        if not self.functions.get((namespace or NAMESPACE, name), {}).get("availableReplicas"):
            return _said(request, 503, "no endpoints available for the function")
        self.called.append(request)
        return self.answer(request, body)

    def _echo(self, request: Request, body: bytes) -> bytes:
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        return body

    def _functions(
        self, request: Request, _: str, namespace: str, said: dict[str, str], ordered: Sheet
    ) -> bytes:
        if request.method == b"GET":
            there = [each for (where, _), each in self.functions.items() if where == namespace]
            return _json(request, [_as_go_writes(each) for each in there])
        if request.method == b"DELETE":
            namespace = ordered.get("namespace") or NAMESPACE
            if self.functions.pop((namespace, ordered["functionName"]), None) is None:
                return _said(request, 404, "not found")
            return _said(request, 202, "")
        namespace, name = ordered.get("namespace") or NAMESPACE, ordered["service"]
        if request.method == b"PUT" and (namespace, name) not in self.functions:
            return _said(request, 404, "not found")
        known = {key: value for key, value in ordered.items() if value is not None}
        self.have(name, **{**known, "namespace": namespace})
        return _said(request, 202, "")

    def _function(
        self, request: Request, name: str, namespace: str, said: dict[str, str], ordered: Sheet
    ) -> bytes:
        found = self.functions.get((namespace, name))
        if found is None:
            return _said(request, 404, "not found")
        usage = {"usage": {"cpu": 1.5, "totalMemoryBytes": 4096}} if "usage" in said else {}
        return _json(request, _as_go_writes({**found, **usage}))

    def _scale_function(
        self, request: Request, name: str, namespace: str, said: dict[str, str], ordered: Sheet
    ) -> bytes:
        found = self.functions.get((ordered.get("namespace") or namespace, name))
        if found is None:
            return _said(request, 404, "not found")
        found["replicas"] = found["availableReplicas"] = ordered["replicas"]
        return _said(request, 202, "")

    # -- what else there is

    def _secrets(
        self, request: Request, _: str, namespace: str, said: dict[str, str], ordered: Sheet
    ) -> bytes:
        if request.method == b"GET":
            return _json(request, [{"name": each, "namespace": namespace} for each in self.secrets])
        there = ordered["name"] in self.secrets
        if request.method == b"POST":
            self.secrets[ordered["name"]] = _value(ordered)
            return _said(request, 201, "")
        if not there:
            return _said(request, 404, "not found")
        if request.method == b"PUT":
            self.secrets[ordered["name"]] = _value(ordered)
        else:
            del self.secrets[ordered["name"]]
        return _said(request, 202, "")

    def _logs(
        self, request: Request, _: str, namespace: str, said: dict[str, str], ordered: Sheet
    ) -> Any:
        request.setHeader("Content-Type", "application/x-ndjson")
        for number in range(int(said.get("tail", "2"))):
            request.write(log_line(said["name"], f"line {number}"))
        if said.get("follow") != "true":
            request.finish()
        else:
            self.following.append(request)
        return NOT_DONE_YET

    def _namespaces(self, request: Request, *_: Any) -> bytes:
        return _json(request, self.namespaces)

    def _namespace(
        self, request: Request, name: str, _: str, said: dict[str, str], ordered: Sheet
    ) -> bytes:
        if request.method == b"POST":
            self.namespaces.append(ordered["name"])
            return _said(request, 201, "")
        if name not in self.namespaces:
            return _said(request, 404, "not found")
        if request.method == b"DELETE":
            self.namespaces.remove(name)
            return _said(request, 202, "")
        return _json(request, {"name": name, "labels": {"openfaas": "true"}, "annotations": {}})

    def _info(self, request: Request, *_: Any) -> bytes:
        version = {"release": "0.0.1", "sha": "0000000"}
        return _json(
            request, {"orchestration": "none", "provider": "fake", "version": version}
        )  # fmt: skip


def _value(ordered: Sheet) -> bytes:
    """Of a secret; what is no text comes in base64."""
    return b64decode(ordered.get("rawValue") or "") or str(ordered.get("value", "")).encode()


def log_line(name: str, text: str) -> bytes:
    return json.dumps({"name": name, **_LINE, "text": text}).encode() + b"\n"


def _said(request: Request, status: int, text: str) -> bytes:
    request.setResponseCode(status)
    request.setHeader("Content-Type", "text/plain; charset=utf-8")
    return text.encode() + b"\n" if text else b""


def _json(request: Request, value: object) -> bytes:
    request.setHeader("Content-Type", "application/json")
    return json.dumps(value, sort_keys=True).encode()


def main(reactor: IReactorCore, *arguments: str) -> Any:
    """Serve some functions until it is stopped."""
    from argparse import ArgumentParser

    from twisted.internet.defer import Deferred
    from twisted.internet.endpoints import serverFromString

    parser = ArgumentParser(description="A provider of functions that only echo.")
    parser.add_argument("--listen", default="tcp:8081:interface=127.0.0.1")
    parser.add_argument("--password", help="user:password, asked for under /system")
    parser.add_argument("--function", action="append", default=[], help="the name of one")
    options = parser.parse_args(arguments)
    provider = FakeProvider(options.password)
    for name in options.function or ["echo"]:
        provider.have(name)
    listening = serverFromString(reactor, options.listen).listen(Site(provider))
    return listening.addCallback(lambda _: Deferred())


if __name__ == "__main__":
    from twisted.internet.task import react

    react(main, sys.argv[1:])
