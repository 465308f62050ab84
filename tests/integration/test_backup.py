"""Backups: taken of a daemon at work, and restored where there is nothing."""

from __future__ import annotations

import hashlib
import json
import stat
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest_twisted
from command_line import command
from daemon import Daemon, StartDaemon
from listener import Listener, Received
from provider import deploy, order, told
from test_calls import function, push
from twisted.internet.defer import Deferred, gatherResults

MIB = 2**20


#: Longer than the lease: so it is put off.
PUT_OFF = "concurrency = 'fixed'\nretry = { min_wait = '2s', backoff = 'exponential' }\n"


def config(listener: Listener) -> str:
    """``quick`` is answered at once, ``slow`` never, ``bad`` with 500, and ``again`` is put off by
    what it answers first."""
    hash_it = "import sys, hashlib; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"
    return (
        "deploy = ['command']\n[worker]\nack_wait = '1s'\n"
        + function("quick", listener)
        + function("slow", listener)
        + function("bad", listener)
        + function("again", listener, PUT_OFF)
        + f"[functions.large]\ncommand = ['{sys.executable}', '-c', '{hash_it}']\n"
    )


class Answers:
    """What the functions say; *open* says whether ``slow`` answers."""

    def __init__(self) -> None:
        self.open = False
        self._seen: set[str | None] = set()

    def __call__(self, request: Received) -> None:
        function = request.target.split(b"/")[1]
        if function == b"again" and request.header("X-Call-Id") not in self._seen:
            self._seen.add(request.header("X-Call-Id"))
            request.answer(503)
        elif function == b"bad":
            request.answer(500)
        elif function != b"slow" or self.open:
            request.answer(200, request.body)


async def ended(daemon: Daemon, call_id: str) -> str:
    """How a call ended, when it has."""
    while True:
        answer = await daemon.get(f"/call/{call_id}/result?wait=30s")
        if answer.status != 202 or answer.header("X-Function-Status"):
            sheet = json.loads((await daemon.get(f"/call/{call_id}")).body)
            return str(sheet["state"])


class Load:
    """Calls that come and come, until it is stopped."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._stopped = False
        self.ended = Deferred.fromCoroutine(self._run())

    async def _run(self) -> None:
        while not self._stopped:
            await push(self._daemon, 40, 8, "/async-function/quick")
            await push(self._daemon, 5, 5, "/async-function/bad")
            await push(self._daemon, 5, 5, "/async-function/again")

    def stop(self) -> Deferred[None]:
        self._stopped = True
        return self.ended


@pytest_twisted.ensureDeferred
async def test_taken_under_load_it_holds_every_call(
    reactor: Any, start_daemon: StartDaemon, listener: Listener, tmp_path: Path
) -> None:
    """Calls that wait, run, were put off, failed or ended before it began are there on an empty
    machine, large bodies, functions and secrets too, and come to their ends; only its owner may
    read it."""
    listener.on_request = answers = Answers()
    daemon: Daemon = await start_daemon(config(listener))
    await order(daemon, "POST", "secrets", {"name": "key", "value": "s3cret"})
    await deploy(daemon, "shout", command="tr a-z A-Z")
    body = b"0123456789abcdef" * (9 * MIB // 16)
    load = Load(daemon)
    accepted = {
        name: await push(daemon, count, 16, f"/async-function/{name}")
        for name, count in {"quick": 100, "bad": 20, "slow": 30, "again": 30}.items()
    }
    later = await push(daemon, 20, 20, "/async-function/quick", X_Delay="1s")
    later += await push(daemon, 20, 20, "/async-function/quick", X_Delay="8s")
    large = await daemon.request("/async-function/large", body, X_Delay="8s")
    file = tmp_path / "backup.tar"
    taken = await command(
        *(reactor, daemon, "--json", "backup", str(file), "--state-dir", str(daemon.state))
    )
    await load.stop()
    await daemon.kill()
    await daemon.end()
    assert taken.status == 0, taken.said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    restored = await command(
        *(reactor, daemon, "restore", str(file), "--state-dir", str(elsewhere / "state"))
    )
    assert restored.status == 0, restored.said
    answers.open = True
    other = Daemon(reactor, elsewhere, config(listener))
    try:
        await other.start()
        ends = {
            name: set(
                await gatherResults([Deferred.fromCoroutine(ended(other, each)) for each in ids])
            )
            for name, ids in {**accepted, "later": later}.items()
        }
        assert ends == {
            "quick": {"succeeded"},
            "slow": {"succeeded"},
            "again": {"succeeded"},
            "bad": {"failed"},
            "later": {"succeeded"},
        }
        result = await other.get(f"/call/{large.header('X-Call-Id')}/result?wait=30s")
        assert result.body.strip().decode() == hashlib.sha256(body).hexdigest()
        assert (await other.request("/function/shout", b"hey")).body == b"HEY"
        assert [each["name"] for each in await told(other, "secrets")] == ["key"]
        letters = {each["id"] for each in await dead_letters(other)}
        assert letters >= set(accepted["bad"])
    finally:
        await other.end()


async def dead_letters(daemon: Daemon) -> list[dict[str, Any]]:
    found, after = [], ""
    while True:
        page = await told(daemon, f"dead-letters?function=bad&limit=1000{after}")
        found += page["dead_letters"]
        if not page.get("next"):
            return found
        after = f"&after={page['next']}"


@pytest_twisted.ensureDeferred
async def test_of_a_daemon_that_is_stopped_and_back_over_it(
    reactor: Any, start_daemon: StartDaemon, listener: Listener, tmp_path: Path
) -> None:
    """It is taken likewise; restored neither over what is there nor under a daemon that runs; with
    ``--force`` what is there is put aside; and a damaged one changes nothing."""
    listener.on_request = lambda request: None
    daemon: Daemon = await start_daemon(function("f", listener))
    run = partial(command, reactor, daemon)
    (call_id,) = await push(daemon, 1, 1, "/async-function/f")
    await listener.when(1)
    await daemon.kill()
    file, damaged, cut = (tmp_path / name for name in ("a.tar", "damaged.tar", "cut.tar"))
    where = ("--state-dir", str(daemon.state))
    taken = await run("backup", str(file), *where)
    content = file.read_bytes()
    middle = content.index(b"streams/FAAS_CALLS/00000001") + 600
    damaged.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    cut.write_bytes(content[: len(content) // 2])
    refused = [
        await run("restore", str(path), *where, *options)
        for path, options in (
            (damaged, ("--force", "--yes")),
            (cut, ("--force", "--yes")),
            (tmp_path / "config.toml", ("--force", "--yes")),
            (file, ()),
        )
    ]
    forced = await run("--json", "restore", str(file), *where, "--force", "--yes")
    again: Daemon = await start_daemon(function("f", listener))
    running = await run("restore", str(file), "--state-dir", str(again.state), "--force", "--yes")
    nowhere = await run("backup", str(file), "--state-dir", str(tmp_path / "nowhere"))
    assert taken.status == 0, taken.said
    assert [each.status for each in (*refused, running, nowhere)] == [1] * 6
    said = [each.said for each in (*refused, running, nowhere)]
    words = ("damaged", "not whole", "no backup", "--force", "another faasd-async", "no state")
    assert all(word in text for word, text in zip(words, said, strict=True)), said
    assert forced.status == 0, forced.said
    aside = Path(json.loads(forced.printed)["replaced"])
    assert (aside / "nats" / "jetstream").is_dir()
    await listener.when(2)
    assert listener.requests[1].header("X-Call-Id") == call_id
    assert sorted(tmp_path.glob(".*.part")) == []
