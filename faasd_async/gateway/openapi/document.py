"""The document, put together of its parts.

To add a route is to add it here: a test compares both.
"""

from __future__ import annotations

from functools import cache

import msgspec

from faasd_async import __version__
from faasd_async.gateway.openapi import calls, dead_letters, flow, functions, provider, watching
from faasd_async.gateway.openapi.parts import (
    Part,
    line,
    operation,
    refused,
    shared_answers,
    without_body,
)

#: What stands on another port, and is no part of this interface.
_FIGURES = (
    "Prometheus' figures are served on a port of their own (`[gateway] metrics_listen`,"
    " `http://127.0.0.1:8082` unless it is set): `GET /metrics`, and `GET /healthz` there too."
)

_DESCRIPTION = f"""\
Functions that are called now, or put into a queue that survives whatever crashes.

- A refusal is a line of text that says why.
- What stands under `/system` answers the operator alone: somebody at this very machine or, with
  `basic_auth`, who knows the password.
- {_FIGURES}
"""

_HEALTH: Part = {"name": "health", "description": "The daemon itself."}


@cache
def written() -> bytes:
    """The document, JSON."""
    return msgspec.json.encode(document()) + b"\n"


def document() -> Part:
    """The document."""
    cancel = functions.cancelled_by_name(calls.CANCELLED, calls.NOT_CANCELLED)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "faasd-async",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [functions.TAG, calls.TAG, dead_letters.TAG, flow.TAG, provider.TAG, _HEALTH],
        "paths": _with_heads(
            functions.paths(cancel)
            | calls.paths()
            | dead_letters.paths()
            | flow.paths()
            | watching.paths()
            | provider.paths()
            | _health()
        ),
        "components": {
            "schemas": {
                **calls.SCHEMAS,
                **dead_letters.SCHEMAS,
                **flow.SCHEMAS,
                **watching.SCHEMAS,
            },
            "responses": shared_answers(),
            "parameters": {"accept": calls.ACCEPT, **dead_letters.PARAMETERS},
        },
    }


def _with_heads(paths: Part) -> Part:
    """``HEAD`` is answered wherever ``GET`` is."""
    for item in paths.values():
        assert isinstance(item, dict)
        if "get" in item and "head" not in item:
            item["head"] = without_body(item["get"])
    return paths


def _health() -> Part:
    alive = operation(
        "isAlive", "health", "Whether the daemon is alive", {"200": line("It is.", "OK")}, {}
    )
    ready = operation(
        "isReady",
        "health",
        "Whether a call would be accepted and run",
        {"200": line("It would.", "OK"), "503": refused("It would not; the line says why.")},
        {},
    )
    described: Part = {
        "description": "It.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
    itself = operation("getDocument", "health", "This document", {"200": described}, {})
    return {
        "/healthz": {"get": alive},
        "/readyz": {"get": ready},
        "/openapi.json": {"get": itself},
    }
