"""What earlier versions have left is read, and comes to its end."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemon import Daemon, StartDaemon
from listener import Listener
from provider import told
from stored_state import CONFIG, KEYED, LARGE, LATER, PORT, RECORDED, WAITING, accept

from faasd_async.backup.broker import started
from faasd_async.nats.jetstream import JetStream
from faasd_async.queue.interface import Selection
from faasd_async.queue.jetstream.answering import Answering
from faasd_async.queue.jetstream.bodies import JetStreamBodies
from faasd_async.queue.jetstream.dead_letters import JetStreamDeadLetters
from faasd_async.queue.jetstream.durability import Acknowledged
from faasd_async.queue.jetstream.store import Store

STATES = sorted(RECORDED.glob("state-*.tar.xz"))


def unpack(packed: Path, directory: Path) -> Path:
    """:return: the state directory, as if it had been left just now."""
    with tarfile.open(packed) as tar:
        tar.extractall(directory, filter="data")
    for path in directory.rglob("*"):
        os.utime(path)
    return directory / "state"


def test_there_is_one_of_each_format() -> None:
    """Of the only one."""
    assert [path.name for path in STATES] == ["state-1.tar.xz"]


@pytest.mark.parametrize("packed", STATES, ids=lambda path: path.name)
@pytest_twisted.ensureDeferred
async def test_a_stored_state_is_drained(
    packed: Path, start_daemon: StartDaemon, listener: Listener, tmp_path: Path
) -> None:
    """Calls that wait, one put off, a large one, one that may be repeated, and a callback that is
    owed; the functions and secrets that were deployed are there."""
    unpack(packed, tmp_path)
    await listener.close()
    listener.port = PORT
    await listener.open()
    daemon: Daemon = await start_daemon(CONFIG)
    came = await listener.when(len(WAITING) + 4)
    bodies = sorted(each.body for each in came if each.target.startswith(b"/waits"))
    (callback,) = (each for each in came if each.target == b"/told")
    assert bodies == sorted([*WAITING, LATER, KEYED, LARGE])
    assert (callback.body, callback.header("X-Function-Name")) == (b"told\n", "told")
    again = await accept(daemon, "waits", KEYED, Idempotency_Key="kept")
    assert again.header("Idempotency-Replayed") == "true"
    assert (await daemon.request("/function/shout", b"hey")).body == b"HEY"
    assert [each["name"] for each in await told(daemon, "secrets")] == ["key"]


@pytest.mark.parametrize("packed", STATES, ids=lambda path: path.name)
@pytest_twisted.ensureDeferred
async def test_a_stored_dead_letter_is_read(reactor: Any, packed: Path, tmp_path: Path) -> None:
    """Whole, with its attempts; a daemon would let go of one that is older than seven days."""
    async with started(reactor, unpack(packed, tmp_path), None) as client:
        store = Store(JetStream(client), Acknowledged(), Answering(reactor, client.flush))
        letters = JetStreamDeadLetters(store, JetStreamBodies(reactor, store), lambda: None)
        page = await letters.look_through(Selection(), 0, 10)
    (filed,) = page.letters
    letter = filed.letter
    assert (letter.request.function, letter.request.body) == ("bad", b"lost")
    assert letter.request.key.call_id == "the-call-that-was-lost"
    assert len(letter.request.history.attempts) == 1
