"""Back-pressure on a running daemon: what it does when there is no room, and when it is back."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemon import Daemon, StartDaemon
from listener import Listener, Received, at
from raw_http import Response
from real_nats import RealNats
from twisted.internet.defer import Deferred, gatherResults

KIB = 2**10
MIB = 2**20


class SmallDisk:
    """A file system of its own, of 64 MiB, which a test may fill.

    :ivar path: where it is mounted.
    """

    SIZE_MIB = 64

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        options = f"size={self.SIZE_MIB}m"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
        try:
            mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            mounted = False
        if not mounted:
            pytest.skip("needs the right to mount a small file system")

    @property
    def free_bytes(self) -> int:
        state = os.statvfs(self.path)
        return state.f_bavail * state.f_frsize

    def fill(self, leaving_bytes: int = 0) -> None:
        """Have something else take all room but so much."""
        with open(self.path / "ballast", "wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, self.free_bytes - leaving_bytes)

    def clear(self) -> None:
        """That something is gone."""
        (self.path / "ballast").unlink()

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)


StartOnSmallDisk = Callable[[str], Deferred[tuple[Daemon, SmallDisk]]]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """It is unmounted whatever became of the test."""
    disk = SmallDisk(tmp_path / "small")
    yield disk
    disk.unmount()


@pytest_twisted.async_yield_fixture
async def start_on_small_disk(
    reactor: Any, small_disk: SmallDisk
) -> AsyncIterator[StartOnSmallDisk]:
    """Starts a daemon whose state is on a disk that the test can fill."""
    daemons: list[Daemon] = []

    async def start(config: str) -> tuple[Daemon, SmallDisk]:
        daemon = Daemon(reactor, small_disk.path, config)
        daemons.append(daemon)
        await daemon.start()
        return daemon, small_disk

    yield lambda config: Deferred.fromCoroutine(start(config))
    for daemon in daemons:
        await daemon.end()


def function(listener: Listener, settings: str = "") -> str:
    """A function in the test's own hands, at ``/f``."""
    return f"[functions.f]\nurl = '{listener.url('/f')}'\n{settings}\n"


is_call = at("/f/")


async def until(daemon: Daemon, status: int, body: bytes = b"") -> Response:
    """Call again and again until the answer is this one."""
    while True:
        response = await daemon.request("/async-function/f", body)
        if response.status == status:
            return response


async def until_ready(daemon: Daemon, status: int) -> Response:
    """Ask whether it is ready until the answer is this one: it tells what was seen last."""
    while True:
        response = await daemon.get("/readyz")
        if response.status == status:
            return response


def figure(name: str, metrics: Response) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", metrics.body.decode(), re.MULTILINE)
    assert found is not None
    return float(found[1])


@pytest_twisted.ensureDeferred
async def test_below_min_free_new_calls_are_refused(
    start_on_small_disk: StartOnSmallDisk, listener: Listener
) -> None:
    """With 507 and in words; synchronous calls go on, and so do the others when there is room."""
    daemon, disk = await start_on_small_disk("[queue]\nmin_free = '32MiB'\n" + function(listener))
    assert (await daemon.request("/async-function/f")).status == 202
    disk.fill(leaving_bytes=20 * MIB)
    refused = await until(daemon, 507)
    assert re.search(rb"[12]\d\.\d MiB of disk are free, and 32\.0 MiB have to", refused.body)
    assert refused.header("Retry-After") == "10"
    ready = await daemon.get("/readyz")
    assert (ready.status, b"32.0 MiB have to stay free" in ready.body) == (503, True)
    assert (await daemon.request("/function/f")).status == 200
    disk.clear()
    await until(daemon, 202)
    assert (await daemon.get("/readyz")).status == 200


@pytest_twisted.ensureDeferred
async def test_quotas_shrink_to_the_disk(
    start_on_small_disk: StartOnSmallDisk, listener: Listener
) -> None:
    """A box that is too small for the defaults starts, says what it makes of them, and serves."""
    daemon, _ = await start_on_small_disk(
        "[queue]\nmin_free = '8MiB'\nresults_max_bytes = '3GiB'\n" + function(listener)
    )
    assert "[queue] max_bytes (calls) is 2048 MiB and becomes" in daemon.log
    assert "[queue] results_max_bytes is 3072 MiB and becomes" in daemon.log
    assert (await daemon.request("/async-function/f", b"x" * 100_000)).status == 202
    await listener.when(1)
    metrics = await daemon.figures()
    streams = ("CALLS", "LATER", "CALLBACKS", "OUTCOMES", "DEAD")
    name = 'faasd_async_stream_quota_bytes{{stream="FAAS_{}"}}'
    quotas = [figure(name.format(stream), metrics) for stream in streams]
    free = figure("faasd_async_disk_free_bytes", metrics)
    assert min(quotas) >= MIB
    assert sum(quotas) <= free < SmallDisk.SIZE_MIB * MIB


@pytest_twisted.ensureDeferred
async def test_a_full_disk_and_service_again(
    start_on_small_disk: StartOnSmallDisk, listener: Listener
) -> None:
    """The end that cannot be written is held and nothing new begins; then all goes on by itself."""
    daemon, disk = await start_on_small_disk(
        "[queue]\nmin_free = '4MiB'\n[worker]\nack_wait = '1s'\n"
        + function(listener, "max_inflight = 1")
    )
    answer = os.urandom(512 * KIB)
    held = _Held()
    listener.on_request = held
    for _ in range(3):
        accepted = await daemon.request("/async-function/f", X_Callback_Url=listener.url("/back"))
        assert accepted.status == 202
    await listener.when(1)
    disk.fill()
    held.request.answer(200, answer)
    await daemon.says(r"the broker cannot write \(no space left on device\)")
    refused = await daemon.request("/async-function/f")
    assert (refused.status, b"cannot write (no space left" in refused.body) == (507, True)
    assert (await daemon.get("/readyz")).status == 503
    waited = await daemon.get(f"/call/{accepted.header('X-Call-Id')}/result?wait=1200ms")
    assert waited.status == 202
    assert len(listener.requests) == 1
    broker = daemon.broker_pid
    listener.on_request = lambda request: request.answer(200, answer if is_call(request) else b"")
    disk.clear()
    await daemon.says("there is room again: the broker is started anew")
    await daemon.says("the queue has to be asked again")
    callbacks = await listener.when(3, at("/back"))
    assert [each.body == answer for each in callbacks] == [True] * 3
    await until(daemon, 202)
    assert daemon.broker_pid != broker
    assert (await daemon.get("/readyz")).status == 200
    ids = [each.header("X-Call-Id") for each in listener.requests if is_call(each)]
    assert len(ids) == len(set(ids))


@pytest_twisted.ensureDeferred
async def test_a_full_queue_refuses_and_drops_nothing(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """503 with Retry-After; whoever had a 202 is run, and then there is room again."""
    daemon = await start_daemon(
        "[queue]\nmax_bytes = '1MiB'\n" + function(listener, "max_inflight = 1")
    )
    held: list[Received] = []
    listener.on_request = held.append
    accepted = []
    while True:
        response = await daemon.request("/async-function/f", os.urandom(100 * KIB))
        if response.status != 202:
            break
        accepted.append(response.header("X-Call-Id"))
    assert (response.status, response.header("Retry-After")) == (503, "1")
    assert b"it is full, and what waits in it takes up its quota" in response.body
    assert 8 <= len(accepted) <= 10
    ready = await until_ready(daemon, 503)
    assert b"the queue is full: waiting calls take up [queue] max_bytes" in ready.body
    await listener.when(1)
    listener.on_request = Received.answer
    held.pop().answer()
    ran = await listener.when(len(accepted))
    assert {each.header("X-Call-Id") for each in ran} == set(accepted)
    await until(daemon, 202)
    await until_ready(daemon, 200)


@pytest_twisted.ensureDeferred
async def test_the_number_of_calls_is_bounded_too(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """However small they are."""
    daemon = await start_daemon(
        "[queue]\nmax_messages = 3\n" + function(listener, "max_inflight = 1")
    )
    listener.on_request = lambda request: None
    statuses = [(await daemon.request("/async-function/f")).status for _ in range(4)]
    assert statuses == [202, 202, 202, 503]
    await until_ready(daemon, 503)


@pytest_twisted.ensureDeferred
async def test_an_end_that_finds_the_callbacks_full_is_held(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Its lease is extended and nothing new begins; with room again every callback is sent once."""
    daemon = await start_daemon(
        "[queue]\nmax_bytes = '1MiB'\n[worker]\nack_wait = '500ms'\nmax_inflight = 1\n"
        + function(listener)
    )
    answer = os.urandom(300 * KIB)
    waiting: list[Received] = []

    def on_request(request: Received) -> None:
        if is_call(request):
            request.answer(200, answer)
        else:
            waiting.append(request)

    listener.on_request = on_request
    for _ in range(6):
        last = await daemon.request("/async-function/f", X_Callback_Url=listener.url("/back"))
    await daemon.says("the queue has to be asked again: .*it is full, and what waits")
    # Three callbacks fill the stream; the fourth end is held for more than its lease, and the last
    # call does not end meanwhile.
    waited = await daemon.get(f"/call/{last.header('X-Call-Id')}/result?wait=1200ms")
    assert waited.status == 202
    assert len([each for each in listener.requests if is_call(each)]) == 4
    listener.on_request = lambda request: request.answer(200, answer if is_call(request) else b"")
    for each in waiting:
        each.answer()
    callbacks = await listener.when(6, at("/back"))
    assert {each.body == answer for each in callbacks} == {True}
    ids = [each.header("X-Call-Id") for each in listener.requests if is_call(each)]
    assert (len(ids), len(set(ids))) == (6, 6)


@pytest_twisted.ensureDeferred
async def test_a_broker_that_stands_still(start_daemon: StartDaemon, listener: Listener) -> None:
    """504 in time, 503 when enough waits for it, memory bounded; and nothing accepted is lost."""
    daemon = await start_daemon(
        "[queue]\naccept_deadline = '200ms'\n" + function(listener, "max_inflight = 1")
    )
    listener.on_request = held = _Held()
    accepted = [(await daemon.request("/async-function/f")).header("X-Call-Id") for _ in range(5)]
    await listener.when(1)
    os.kill(daemon.broker_pid, signal.SIGSTOP)
    try:
        body = os.urandom(4 * MIB)
        doubtful = await daemon.request("/async-function/f", body)
        answers = await gatherResults(
            [daemon.request("/async-function/f", body) for _ in range(32)]
        )
        memory = daemon.memory_bytes
    finally:
        os.kill(daemon.broker_pid, signal.SIGCONT)
    assert doubtful.status == 504
    assert doubtful.header("X-Call-Id")
    assert {answer.status for answer in answers} == {503, 504}
    # What is idle, all bodies that came at once, and what may wait for the broker.
    assert memory < 160 * MIB
    listener.on_request = Received.answer
    held.request.answer()
    accepted.append((await until(daemon, 202)).header("X-Call-Id"))
    await listener.when(1, lambda request: request.header("X-Call-Id") == accepted[-1])
    ran = [each.header("X-Call-Id") for each in listener.requests]
    assert set(accepted) <= set(ran)
    assert len(ran) == len(set(ran))


class _Held:
    """Keeps the first request unanswered."""

    request: Received

    def __call__(self, request: Received) -> None:
        self.request = request


@pytest_twisted.ensureDeferred
async def test_what_a_server_of_ones_own_is_relied_on_for(
    reactor: Any, start_daemon: StartDaemon, tmp_path: Path, listener: Listener
) -> None:
    """The log says that its disk cannot be flushed from here, and what to do about it."""
    nats = RealNats(reactor, tmp_path)
    await nats.start()
    try:
        daemon = await start_daemon(
            f"[nats]\nembedded = false\nurls = ['nats://127.0.0.1:{nats.port}']\n"
            "[queue]\nmax_bytes = '8MiB'\nresults_max_bytes = '8MiB'\n"
            "dead_letters_max_bytes = '8MiB'\n" + function(listener)
        )
        assert 'durability = "power" relies on the NATS server' in daemon.log
        assert "sync_interval: always" in daemon.log
        assert (await daemon.request("/async-function/f")).status == 202
        await daemon.stop()
    finally:
        await nats.end()


@pytest_twisted.ensureDeferred
async def test_a_stream_that_acknowledges_before_it_writes_stops_the_start(
    reactor: Any, start_daemon: StartDaemon, tmp_path: Path, listener: Listener
) -> None:
    """By its name, with the remedy."""
    nats = RealNats(reactor, tmp_path)
    await nats.start()
    try:
        client = await nats.client()
        await client.request(
            b"$JS.API.STREAM.CREATE.FAAS_OUTCOMES",
            b'{"name": "FAAS_OUTCOMES", "subjects": ["faas.outcome.>"], "persist_mode": "async"}',
        )
        daemon = await start_daemon(
            f"[nats]\nembedded = false\nurls = ['nats://127.0.0.1:{nats.port}']\n"
            + function(listener),
            wait_ready=False,
        )
        assert await daemon.ended() == 1
        assert "the stream FAAS_OUTCOMES has persist_mode: async" in daemon.errors
    finally:
        await nats.end()
