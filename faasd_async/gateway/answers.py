"""What every Klein application of the front door has in common: how it answers and fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import msgspec
from klein import Klein
from twisted.logger import Logger
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException, NotFound

from faasd_async.gateway.proxy import NEVER
from faasd_async.gateway.refusal import Refusal, failed_inside, not_allowed
from faasd_async.gateway.request import GatewayRequest
from faasd_async.gateway.written import line_of

_log = Logger()

ErrorRoute = TypeVar("ErrorRoute", bound=Callable[..., bytes])


def text(request: GatewayRequest, status: int, line: str) -> bytes:
    """Answer with one line for people."""
    return _whole(request, status, b"text/plain; charset=utf-8", line_of(line))


def json(request: GatewayRequest, status: int, value: object) -> bytes:
    """Answer with an object for programs."""
    return written_json(request, status, msgspec.json.encode(value) + b"\n")


def written_json(request: GatewayRequest, status: int, written: bytes) -> bytes:
    """Answer with an object that is written already."""
    return _whole(request, status, b"application/json", written)


def done(request: GatewayRequest, status: int) -> bytes:
    """Answer with a status, which says it all."""
    request.setResponseCode(status)
    request.setHeader(b"Content-Length", b"0")
    return b""


def _whole(request: GatewayRequest, status: int, content_type: bytes, body: bytes) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", content_type)
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return body


def explain_errors(app: Klein) -> None:
    """Have an application's errors answered in one way."""
    _on(app, Refusal)(_refused)
    _on(app, HTTPException)(_unrouted)
    _on(app, Exception)(_broken)


def _on(app: Klein, error: type[Exception]) -> Callable[[ErrorRoute], ErrorRoute]:
    """Klein's ``handle_errors``, whose types know no requests but their own."""
    return cast("Callable[[ErrorRoute], ErrorRoute]", app.handle_errors(error))


def _refused(_: object, request: GatewayRequest, failure: Failure) -> bytes:
    refusal = failure.value
    assert isinstance(refusal, Refusal)
    for name, value in refusal.fields:
        request.setHeader(name, value)
    return text(request, refusal.status, refusal.text)


def _unrouted(gateway: object, request: GatewayRequest, failure: Failure) -> bytes:
    reason = failure.value
    assert isinstance(reason, HTTPException)
    if request.method in NEVER:
        return _refused(gateway, request, Failure(not_allowed(b"GET", b"POST")))
    for name, value in reason.get_headers():
        if name == "Allow":
            request.setHeader(name.encode(), value.encode())
    why = "there is nothing here" if isinstance(reason, NotFound) else str(reason)
    return text(request, reason.code or 500, why)


def _broken(gateway: object, request: GatewayRequest, failure: Failure) -> bytes:
    _log.failure("a request failed inside the gateway", failure=failure)
    if request.startedWriting:
        request.break_off()
        return b""
    return _refused(gateway, request, Failure(failed_inside()))
