"""Functions that are a process for each call, as real processes."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from raw_peer import ClockedReactor
from starting import Start
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.logger import LogEvent, globalLogPublisher

from faasd_async.errors import InvocationBroken, InvocationTimedOut, NotHandedOver
from faasd_async.runtime.collect import gather
from faasd_async.runtime.deployments import Deployment
from faasd_async.runtime.interface import Invocation, Reply, Runtime
from faasd_async.runtime.process.group import GRACE_SECONDS
from faasd_async.runtime.process.pipes import PipeReader
from faasd_async.settings import FunctionSettings

MIB = 2**20
FUNCTIONS = Path(__file__).parent.parent / "functions"
NEVER = 60.0
"""A limit that no test reaches."""


@pytest.fixture
def logged() -> Iterator[list[LogEvent]]:
    """What is logged meanwhile."""
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


def python(script: str, *arguments: object) -> tuple[str, ...]:
    return (sys.executable, str(FUNCTIONS / script), *map(str, arguments))


def shell(text: str) -> tuple[str, ...]:
    return ("sh", "-c", text)


def call(body: bytes = b"", **parts: Any) -> Invocation:
    return Invocation(
        **{
            "function": "figlet",
            "call_id": "the-call",
            "method": b"POST",
            "target": b"/",
            "headers": (),
            "body": body,
            **parts,
        }
    )


async def answer(runtime: Runtime, invocation: Invocation) -> tuple[Reply, bytes]:
    reply = await runtime.invoke(invocation, NEVER)
    return reply, await gather(reply, 200 * MIB)


class Fifo:
    """A FIFO of which the test has the reading end."""

    def __init__(self, reactor: Any, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.when_line: Deferred[bytes] = Deferred()
        self.when_ended: Deferred[None] = Deferred()
        self._read = b""
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        pipe = os.fdopen(descriptor, "rb", buffering=0)
        self._reader = PipeReader(reactor, pipe, self._received, self._ended)
        # Until somebody writes, the end of a FIFO is reached at any time.
        self._reader.pause()
        self._own = os.open(path, os.O_WRONLY)
        self._reader.resume()

    def _received(self, piece: bytes) -> None:
        self._read += piece
        if self._read.endswith(b"\n"):
            os.close(self._own)
            self.when_line.callback(self._read)

    def _ended(self) -> None:
        self.when_ended.callback(None)


@pytest.fixture
def fifo(reactor: Any, tmp_path: Path) -> Fifo:
    return Fifo(reactor, tmp_path / "fifo")


def lives(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


@pytest.mark.parametrize("mode", ["streaming", "serializing"])
@pytest_twisted.ensureDeferred
async def test_body_goes_in_and_comes_out_unchanged(start: Start, mode: str) -> None:
    """8 MiB pass through a function byte for byte."""
    runtime = await start("cat", mode=mode, content_type="text/x-cat")
    body = os.urandom(8 * MIB)

    reply, received = await answer(runtime, call(body))

    assert reply.status == 200
    assert (b"Content-Type", b"text/x-cat") in reply.headers
    assert received == body


@pytest_twisted.ensureDeferred
async def test_many_calls_at_once_keep_their_answers(start: Start) -> None:
    """Pipes come and go under the same numbers, and no call gets or misses another's bytes."""
    runtime = await start("cat")

    async def round_of_calls(caller: int) -> None:
        for turn in range(12):
            body = b"%d/%d" % (caller, turn) * 1000
            _, received = await answer(runtime, call(body))
            assert received == body

    await gatherResults([Deferred.fromCoroutine(round_of_calls(each)) for each in range(10)])


@pytest_twisted.ensureDeferred
async def test_streaming_answers_before_the_end(start: Start) -> None:
    """The head is there with the first byte, while the function still runs."""
    runtime = await start(*shell("echo begun; exec cat /dev/zero"))

    reply = await runtime.invoke(call(), NEVER)

    assert reply.status == 200
    reply.abort()


@pytest_twisted.ensureDeferred
async def test_streaming_failure_without_output(start: Start) -> None:
    """A function that fails before it wrote anything is a 500 without a body."""
    runtime = await start(*shell("exit 3"))
    reply, body = await answer(runtime, call())
    assert (reply.status, body) == (500, b"")
    assert list(reply.headers) == [(b"Content-Length", b"0")]


@pytest_twisted.ensureDeferred
async def test_streaming_success_without_output(start: Start) -> None:
    """A function that says nothing is a 200 without a body."""
    runtime = await start("true")
    reply, body = await answer(runtime, call())
    assert (reply.status, body) == (200, b"")


@pytest_twisted.ensureDeferred
async def test_streaming_failure_after_output(start: Start) -> None:
    """A function that fails within its answer breaks it, after all that it wrote."""
    runtime = await start(*shell("echo half; exit 3"))
    reply = await runtime.invoke(call(), NEVER)
    pieces: list[bytes] = []
    with pytest.raises(InvocationBroken, match="figlet exited with 3"):
        await reply.deliver_to(pieces.append)
    assert (reply.status, b"".join(pieces)) == (200, b"half\n")


@pytest_twisted.ensureDeferred
async def test_streaming_names_the_signal(start: Start) -> None:
    """A function that is killed within its answer is told by its signal."""
    runtime = await start(*shell("echo half; kill -9 $$"))
    reply = await runtime.invoke(call(), NEVER)
    with pytest.raises(InvocationBroken, match="figlet was killed by SIGKILL"):
        await gather(reply, MIB)


@pytest.mark.parametrize(("code", "status"), [(0, 200), (3, 500)])
@pytest_twisted.ensureDeferred
async def test_serializing_status_by_exit_code(start: Start, code: int, status: int) -> None:
    """What was written is the body, whatever the exit code; the length is known."""
    runtime = await start(*shell(f"echo words; exit {code}"), mode="serializing")
    reply, body = await answer(runtime, call())
    assert (reply.status, body) == (status, b"words\n")
    assert (b"Content-Length", b"6") in reply.headers


@pytest_twisted.ensureDeferred
async def test_serializing_is_bounded(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer without an end is cut off by name."""
    monkeypatch.setattr("faasd_async.runtime.process.fork.SERIALIZED_BYTES", MIB)
    runtime = await start("cat", "/dev/zero", mode="serializing")
    with pytest.raises(InvocationBroken, match="more than the 1048576 bytes"):
        await runtime.invoke(call(), NEVER)


@pytest_twisted.ensureDeferred
async def test_function_need_not_read(start: Start) -> None:
    """A function that closes its input early has done nothing wrong."""
    runtime = await start(*shell("exec <&-; echo enough"))
    reply, body = await answer(runtime, call(b"x" * 8 * MIB))
    assert (reply.status, body) == (200, b"enough\n")


@pytest_twisted.ensureDeferred
async def test_surroundings_are_clean(start: Start, tmp_path: Path) -> None:
    """A function sees its request and its settings, and nothing of the daemon's."""
    daemon = {**os.environ, "LISTEN_FDS": "3", "NOTIFY_SOCKET": "/run/n", "SECRET": "s"}
    runtime = await start(
        *python("surroundings.py", "a b"),
        daemon=daemon,
        directory=str(tmp_path),
        environment={"COLOUR": "blau", "TZ": "Mars"},
    )

    _, body = await answer(
        runtime, call(b"12345", target=b"/a%2Fb?x=1", headers=((b"x-nul", b"a\0b\xff"),))
    )
    found = json.loads(body)

    assert {k: v for k, v in found["environment"].items() if k.startswith("Http_")} == {
        "Http_Method": "POST",
        "Http_Path": "/a%2Fb",
        "Http_Query": "x=1",
        "Http_Content_Length": "5",
        "Http_X_Nul": "ab\udcff",
    }
    assert found["environment"]["COLOUR"] == "blau"
    assert found["environment"]["TZ"] == "Mars"
    assert not {"LISTEN_FDS", "NOTIFY_SOCKET", "SECRET"} & found["environment"].keys()
    assert found["descriptors"] == [0, 1, 2]
    assert found["leads_session"]
    assert found["directory"] == str(tmp_path)
    assert found["arguments"] == ["a b"]
    assert found["blocked"] == []


@pytest_twisted.ensureDeferred
async def test_signals_are_not_ignored(start: Start) -> None:
    """Python ignores SIGPIPE; its children must not, or `yes | head` would never end."""
    runtime = await start(*shell("yes | head -n 1; grep SigIgn /proc/$$/status"))
    _, body = await answer(runtime, call())
    assert body == b"y\nSigIgn:\t0000000000000000\n"


@pytest_twisted.ensureDeferred
async def test_time_out_kills_the_whole_group(
    start: Start, clocked: ClockedReactor, fifo: Fifo
) -> None:
    """Whoever passes the limit is told at once; grandchildren that ignore SIGTERM die as well."""
    runtime = await start(
        *python("begets.py", fifo.path, "stay", "stubborn"), mode="serializing", reactor=clocked
    )
    invoked = runtime.invoke(call(), 1.0)
    pid = int(await fifo.when_line)

    clocked.clock.advance(1.0)

    with pytest.raises(InvocationTimedOut, match="figlet did not answer within 1 s"):
        await invoked
    assert lives(pid), "the answer must not wait for the end of the group"
    clocked.clock.advance(GRACE_SECONDS)
    # The kernel closes the FIFO for the grandchild, which never does so itself: it is dead.
    await fifo.when_ended


@pytest.mark.parametrize("why", ["time-out", "caller"])
@pytest_twisted.ensureDeferred
async def test_calls_do_not_overlap_after_an_end_by_force(
    start: Start, clocked: ClockedReactor, fifo: Fifo, why: str
) -> None:
    """A function that ignores SIGTERM has its token until it is dead, after a time-out as well as
    after its caller has left."""
    runtime = await start(
        *python("begets.py", fifo.path, "stay", "stubborn"), mode="serializing", reactor=clocked
    )
    deployment = Deployment(
        FunctionSettings(name="figlet", max_inflight=1, max_body_bytes=MIB), runtime
    )
    await deployment.tokens.acquire()
    invoked = deployment.invoke(call(), 1.0)
    pid = int(await fifo.when_line)
    if why == "time-out":
        clocked.clock.advance(1.0)
    else:
        invoked.cancel()
    with pytest.raises((InvocationTimedOut, CancelledError)):
        await invoked

    deployment.release()

    next_token = deployment.tokens.acquire()
    assert lives(pid)
    assert not next_token.called
    clocked.clock.advance(GRACE_SECONDS)
    await next_token
    # The kernel closes the FIFO for the grandchild: the whole group is dead.
    await fifo.when_ended


@pytest_twisted.ensureDeferred
async def test_only_what_ends_by_force_is_waited_for(
    start: Start, clocked: ClockedReactor, fifo: Fifo
) -> None:
    """The token of a call that has its answer is back at once, whatever else runs."""
    runtime = await start(*python("begets.py", fifo.path, "stay"), reactor=clocked)
    reply = await runtime.invoke(call(), NEVER)
    await fifo.when_line
    assert runtime.when_over().called
    reply.abort()
    assert not runtime.when_over().called
    await runtime.when_over()
    assert runtime.when_over().called


@pytest_twisted.ensureDeferred
async def test_time_out_cuts_the_body(start: Start, clocked: ClockedReactor) -> None:
    """The limit covers the body to its last byte."""
    runtime = await start(*shell("echo begun; exec tail -f /dev/null"), reactor=clocked)
    reply = await runtime.invoke(call(), 0.5)
    begun: Deferred[bytes] = Deferred()
    delivered = reply.deliver_to(begun.callback)
    assert await begun == b"begun\n"

    clocked.clock.advance(0.5)

    with pytest.raises(InvocationTimedOut):
        await delivered


@pytest_twisted.ensureDeferred
async def test_members_do_not_outlive_the_leader(start: Start, fifo: Fifo) -> None:
    """A function that has ended leaves nothing behind, nor does its answer wait for it."""
    runtime = await start(*python("begets.py", fifo.path, "leave"))

    reply, body = await answer(runtime, call())

    assert (reply.status, body) == (200, b"begun\n")
    await fifo.when_line
    await fifo.when_ended


@pytest_twisted.ensureDeferred
async def test_answer_does_not_wait_for_escaped_child(start: Start, fifo: Fifo) -> None:
    """A child that left the group and holds standard output does not hold up the answer."""
    runtime = await start(*python("begets.py", fifo.path, "escape"))

    reply, body = await answer(runtime, call())

    assert (reply.status, body) == (200, b"begun\n")
    os.kill(int(await fifo.when_line), signal.SIGKILL)
    await fifo.when_ended


@pytest_twisted.ensureDeferred
async def test_cancelling_the_call_kills(start: Start, fifo: Fifo) -> None:
    """Who gives up before there is a head ends the function."""
    runtime = await start(*python("begets.py", fifo.path, "stay"), mode="serializing")
    invoked = runtime.invoke(call(), NEVER)
    await fifo.when_line
    invoked.cancel()
    with pytest.raises(CancelledError):
        await invoked
    await fifo.when_ended


@pytest_twisted.ensureDeferred
async def test_aborting_the_reply_kills(start: Start, fifo: Fifo) -> None:
    """Who gives up within the body ends the function."""
    runtime = await start(*python("begets.py", fifo.path, "stay"))
    reply = await runtime.invoke(call(), NEVER)
    delivered = reply.deliver_to(lambda _: None)
    await fifo.when_line
    reply.abort()
    with pytest.raises(CancelledError):
        await delivered
    await fifo.when_ended


@pytest_twisted.ensureDeferred
async def test_pause_holds_the_function(start: Start, reactor: Any, tmp_path: Path) -> None:
    """A slow receiver stops a function that writes 100 MiB; nothing is lost when it goes on."""
    told = Fifo(reactor, tmp_path / "told")
    go = tmp_path / "go"
    os.mkfifo(go)
    runtime = await start(*python("floods.py", go, told.path, 100 * MIB))
    reply = await runtime.invoke(call(), NEVER)
    size = 0

    def count(piece: bytes) -> None:
        nonlocal size
        size += len(piece)
        if size == 1:
            reply.pause()

    delivered = reply.deliver_to(count)
    gate = os.open(go, os.O_RDWR)
    os.write(gate, b"!")

    # What a pipe holds, by default 64 KiB; 1 MiB is the most that anyone may set.
    assert int(await told.when_line) <= MIB
    assert size == 1
    reply.resume()
    await delivered
    os.close(gate)
    assert size == 100 * MIB + 1


@pytest_twisted.ensureDeferred
async def test_complaints_are_logged(start: Start, logged: list[LogEvent]) -> None:
    """Standard error goes into the log, by function and call; it is no part of the answer."""
    runtime = await start(*shell("echo first >&2; printf last >&2; echo out"))

    _, body = await answer(runtime, call())

    lines = [event for event in logged if event.get("stream") == "stderr"]
    assert body == b"out\n"
    assert [(each["function"], each["call_id"], each["line"]) for each in lines] == [
        ("figlet", "the-call", "first"),
        ("figlet", "the-call", "last"),
    ]
    assert lines[0]["log_format"] == "{function}: {line}"


@pytest_twisted.ensureDeferred
async def test_program_that_vanished(start: Start, tmp_path: Path) -> None:
    """A call for a program that cannot be run any more has had no effect."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    runtime = await start(str(program))
    program.unlink()
    with pytest.raises(NotHandedOver, match=r"figlet cannot be run: .*No such file"):
        await runtime.invoke(call(), NEVER)


@pytest_twisted.ensureDeferred
async def test_stop_ends_what_runs(start: Start, fifo: Fifo) -> None:
    """Stopping aborts the calls under way and waits for their processes; later ones are refused."""
    runtime = await start(*python("begets.py", fifo.path, "stay"), mode="serializing")
    invoked = runtime.invoke(call(), NEVER)
    await fifo.when_line

    stopped = runtime.stop()

    with pytest.raises(InvocationBroken, match="figlet was cut off"):
        await invoked
    await stopped
    await fifo.when_ended
    with pytest.raises(NotHandedOver, match="figlet is not started"):
        await runtime.invoke(call(), NEVER)
