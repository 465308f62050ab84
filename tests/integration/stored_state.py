"""A state directory as each format of it has left one: how it was made, and what is in it.

Make one, after the format has changed, and keep those there are::

    python tests/integration/stored_state.py tests/recorded/state-<format>.tar.xz
"""

from __future__ import annotations

import json
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from daemon import Daemon
from msgspec.structs import replace
from provider import deploy, order, told
from raw_http import Response
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from faasd_async.backup.broker import started
from faasd_async.nats.jetstream import JetStream

RECORDED = Path(__file__).parents[1] / "recorded"

#: Where the function ``waits`` is, and who is called back: nobody, while it was made.
PORT = 19471

#: For however long it lies there.
CONFIG = f"""\
deploy = ["command"]
[defaults]
expires = "87000h"
[functions.waits]
url = "http://127.0.0.1:{PORT}/waits"
[functions.bad]
command = "false"
[functions.told]
command = "echo told"
"""

#: What waits for its function, one of it put off for a minute.
WAITING = (b"one", b"two", b"three")
LATER, KEYED, LARGE = b"later", b"keyed", b"0123456789abcdef" * (9 * 2**16)

#: Made anew by each start, or nobody's business.
_LEFT_OUT = ("server.pid", "server.conf", "address", "credentials", "given-secrets")


def accept(daemon: Daemon, name: str, body: bytes, **headers: str) -> Deferred[Response]:
    return daemon.request(f"/async-function/{name}", body, **headers)


async def make(reactor: Any, path: Path) -> None:
    """Have a daemon leave one, and pack it."""
    with tempfile.TemporaryDirectory() as directory:
        daemon = Daemon(reactor, Path(directory), CONFIG)
        await daemon.start()
        try:
            await order(daemon, "POST", "secrets", {"name": "key", "value": "planted"})
            await deploy(daemon, "shout", command="tr a-z A-Z", secrets=["key"])
            for body in (*WAITING, LARGE):
                await accept(daemon, "waits", body)
            await accept(daemon, "waits", KEYED, Idempotency_Key="kept")
            await accept(daemon, "waits", LATER, X_Delay="1m")
            await accept(daemon, "bad", b"lost", X_Call_Id="the-call-that-was-lost")
            back = f"http://127.0.0.1:{PORT}/told"
            owed = await accept(daemon, "told", b"", X_Callback_Url=back)
            while not (await told(daemon, "dead-letters"))["dead_letters"]:
                pass
            while not await _tries(daemon, owed.header("X-Call-Id")):
                pass
            await daemon.stop()
        finally:
            await daemon.end()
        await _keep_dead_letters(reactor, daemon.state)
        with tarfile.open(path, "w:xz") as packed:
            packed.add(daemon.state, "state", filter=_packed)


async def _tries(daemon: Daemon, call_id: str | None) -> int:
    sheet = json.loads((await daemon.get(f"/call/{call_id}")).body)
    callback = sheet["callback"]
    return int(callback["tries"]) if callback else 0


async def _keep_dead_letters(reactor: Any, state: Path) -> None:
    """Whoever opens it later would find none: they are kept for seven days."""
    async with started(reactor, state, None) as client:
        jetstream = JetStream(client)
        config = (await jetstream.stream_info("FAAS_DEAD")).config
        await jetstream.ensure_stream(replace(config, max_age=0))


def _packed(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if member.name.rpartition("/")[2] in _LEFT_OUT:
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(make(reactor, Path(sys.argv[1]))))
