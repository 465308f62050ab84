"""What moves from one stream to another while a backup is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from real_nats import RealNats

from faasd_async.backup.archive import ArchiveWriter, members
from faasd_async.backup.broker import started
from faasd_async.backup.errors import BackupError
from faasd_async.backup.restoring import restore
from faasd_async.backup.taking import Taking
from faasd_async.nats import NatsClient, encode_headers
from faasd_async.nats.jetstream import JetStream
from faasd_async.queue.jetstream.layout import Layout
from faasd_async.queue.jetstream.subjects import CALLS, DEAD, LATER, OUTCOMES

IN_A_DAY = [
    (b"Nats-Schedule", b"@at 2100-01-01T00:00:00Z"),
    (b"Nats-Schedule-Target", b"faas.due.q.f.x.0"),
    (b"Nats-Rollup", b"sub"),
]


class Moving(ArchiveWriter):
    """An archive during whose writing calls move.

    :ivar moves: what is published at which member, in this order: subject, headers, payload.
    """

    client: NatsClient
    moves: dict[str, list[tuple[bytes, list[tuple[bytes, bytes]], bytes]]]

    def add(self, name: str, content: bytes) -> None:
        super().add(name, content)
        for subject, headers, payload in self.moves.get(name, ()):
            self.client.publish(subject, payload, headers=encode_headers(headers))


def purged(stream: str, subject: str) -> tuple[bytes, list[tuple[bytes, bytes]], bytes]:
    request = f'{{"filter": "{subject}"}}'.encode()
    return f"$JS.API.STREAM.PURGE.{stream}".encode(), [], request


@pytest_twisted.ensureDeferred
async def test_a_call_that_moves_is_found(reactor: Any, tmp_path: Path) -> None:
    """One that is put off when what is put off was taken already; one that fails when dead letters
    were; one that waited for its time and has ended since, which waits no more."""
    nats = RealNats(reactor, tmp_path)
    await nats.start()
    client = await nats.client()
    jetstream = JetStream(client)
    layout = Layout(2**24, 2**24, 2**24, 2**24, 2**24, replicas=1, ack_wait_seconds=30)
    for stream in layout.streams:
        await jetstream.ensure_stream(stream)
    for call in (b"off", b"fails", b"stays"):
        await jetstream.publish(b"faas.call.q.f.%b.0" % call, call)
    await jetstream.publish(b"faas.later.q.f.ends.0", b"ends", headers=IN_A_DAY)
    file = tmp_path / "backup.tar"
    with Moving(file) as archive:
        archive.client = client
        archive.moves = {
            "streams/FAAS_LATER/00000001": [
                (b"faas.later.q.f.off.0", IN_A_DAY, b"off"),
                purged(CALLS, "faas.call.q.f.off.0"),
                (b"faas.outcome.f.fails.0", [], b"failed"),
                (b"faas.dead.q.f.fails.0", [], b"fails"),
                purged(CALLS, "faas.call.q.f.fails.0"),
                (b"faas.outcome.f.ends.0", [], b"ended"),
                purged(LATER, "faas.later.q.f.ends.0"),
            ]
        }
        taken = await Taking(client, archive, lambda done, whole: None).run(tmp_path, "1", 0)
        archive.finish()
    await nats.end()
    assert taken.moved == 2
    state = tmp_path / "state"
    await restore(*(reactor, file, state), force=False, binary=None, tell=lambda done, whole: None)
    async with started(reactor, state, None) as found:
        held = {}
        for name in (CALLS, LATER, DEAD, OUTCOMES):
            info = await JetStream(found).stream_info(name, subjects_filter=">")
            held[name] = set(info.state.subjects or ())
    assert held == {
        CALLS: {"faas.call.q.f.stays.0"},
        LATER: {"faas.later.q.f.off.0"},
        DEAD: {"faas.dead.q.f.fails.0"},
        OUTCOMES: {"faas.outcome.f.fails.0", "faas.outcome.f.ends.0"},
    }


def test_what_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    """Neither under its name nor beside it; and what had the name has it still."""
    file = tmp_path / "backup.tar"
    file.write_text("the one before")
    with ArchiveWriter(file) as archive:
        archive.add("backup.json", b"{}")
    assert [path.name for path in tmp_path.iterdir()] == ["backup.tar"]
    with pytest.raises(BackupError, match="no backup"):
        list(members(file))
