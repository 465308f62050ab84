"""An operator who deploys functions to a running daemon."""

from __future__ import annotations

import json
from typing import Any

from daemon import Daemon
from raw_http import Response
from twisted.internet.defer import Deferred

COMMAND, URL = "com.faasd-async.command", "com.faasd-async.url"
DEPLOY = "deploy = ['command', 'url']\n"


def order(daemon: Daemon, method: str, path: str, body: object = None) -> Deferred[Response]:
    """From this machine, under its own name."""
    content = b"" if body is None else json.dumps(body).encode()
    return daemon.request(f"/system/{path}", content, method=method, Host="localhost")


def deployment(name: str, **parts: Any) -> dict[str, Any]:
    """What faas-cli would send; ``command`` and ``url`` become annotations."""
    annotations = dict(parts.pop("annotations", {}))
    for kind, key in (("command", COMMAND), ("url", URL)):
        if kind in parts:
            annotations[key] = parts.pop(kind)
    return {"service": name, "image": "", "annotations": annotations, **parts}


async def deploy(daemon: Daemon, name: str, **parts: Any) -> None:
    """Have a function."""
    answer = await order(daemon, "POST", "functions", deployment(name, **parts))
    assert answer.status == 202, answer.body


async def told(daemon: Daemon, path: str) -> Any:
    """What there is to be read."""
    answer = await order(daemon, "GET", path)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


async def refused(daemon: Daemon, method: str, path: str, body: object, status: int) -> str:
    """:return: why."""
    answer = await order(daemon, method, path, body)
    assert answer.status == status, (answer.status, answer.body)
    return answer.body.decode()
