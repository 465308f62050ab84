"""Bodies that are larger than a message of the broker's, through the daemon."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
from pathlib import Path
from typing import Any

import pytest_twisted
from daemon import Daemon, StartDaemon
from listener import Listener, Received, at
from raw_http import Response, converse
from real_nats import RealNats
from test_calls import function
from test_pausing import order
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater

MIB = 2**20

#: What is left in a stream when no body is: records and letters alone.
SMALL_BYTES = MIB

HASH = "[functions.hash]\ncommand = ['sha256sum']\n"
CAT = "[functions.cat]\ncommand = ['cat']\nresults = { max_bytes = '64MiB' }\n"
OFTEN = "[callback]\nmin_wait = '100ms'\nmax_wait = '300ms'\nattempts = 2\n"

STREAMS = ("FAAS_CALLS", "FAAS_CALLBACKS", "FAAS_OUTCOMES", "FAAS_DEAD")


def body(number: int, size_bytes: int = 10 * MIB) -> bytes:
    """Bytes of which no part is like another."""
    return random.Random(number).randbytes(size_bytes)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def id_of(answer: Response) -> str:
    assert answer.status == 202, answer
    return answer.header("X-Call-Id") or ""


async def held(daemon: Daemon) -> dict[str, int]:
    """What each stream holds, in bytes."""
    page = (await daemon.figures()).body.decode()
    found = re.findall(r'^faasd_async_stream_bytes\{stream="(\w+)"\} (\S+)$', page, re.MULTILINE)
    return {name: round(float(value)) for name, value in found}


async def when_empty(daemon: Daemon, *streams: str) -> None:
    """Return when no body is in a stream any more; all of them unless they are named."""
    for _ in range(300):
        now = await held(daemon)
        if all(now[name] < SMALL_BYTES for name in streams or STREAMS):
            return
        await deferLater(daemon.reactor, 0.1)
    raise AssertionError(f"bodies are left: {now}")


@pytest_twisted.ensureDeferred
async def test_large_calls_outlast_a_kill_and_come_whole(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Those that wait and that which runs; of an upload that the kill cut short nothing is left."""
    requests: list[Received] = []
    listener.on_request = requests.append
    config = function("slow", listener, "max_inflight = 1")
    daemon = await start_daemon(config)
    bodies = [body(number) for number in range(3)]
    answers = await gatherResults([daemon.request("/async-function/slow", one) for one in bodies])
    sent = {id_of(answer): sha256(one) for answer, one in zip(answers, bodies, strict=True)}
    await listener.when(1)
    unfinished = await converse(daemon.reactor, daemon.port)
    head = b"POST /async-function/slow HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    unfinished.send(head % (20 * MIB) + bodies[0])
    while (await held(daemon))["FAAS_CALLS"] < 39 * MIB:
        pass
    await daemon.kill()
    listener.on_request = lambda request: request.answer(200, sha256(request.body).encode())
    daemon = await start_daemon(config)
    for call_id, digest in sent.items():
        result = await daemon.get(f"/call/{call_id}/result?wait=30s")
        assert (result.status, result.body.decode()) == (200, digest)
    await when_empty(daemon)
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_an_upload_that_is_broken_off_leaves_nothing(start_daemon: StartDaemon) -> None:
    """Its client has left; and what is over the limit is refused, announced or not."""
    daemon = await start_daemon(HASH + "max_body = '12MiB'\n")
    client = await converse(daemon.reactor, daemon.port)
    head = b"POST /async-function/hash HTTP/1.1\r\nHost: x\r\n"
    client.send(head + b"Content-Length: %d\r\n\r\n" % (11 * MIB) + body(1))
    while (await held(daemon))["FAAS_CALLS"] < 9 * MIB:
        pass
    assert client.transport is not None
    client.transport.abortConnection()
    await when_empty(daemon)
    answer = await daemon.request("/async-function/hash", body(1, 13 * MIB))
    assert answer.status == 413
    client = await converse(daemon.reactor, daemon.port)
    client.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
    for number in range(13):
        client.send(b"%x\r\n%b\r\n" % (MIB, body(number, MIB)))
    (refused,) = await client.when_answers(1)
    assert refused.status == 413
    await when_empty(daemon)
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_a_process_reads_a_body_that_was_sent_in_chunks(start_daemon: StartDaemon) -> None:
    """Nobody knew how long it would be before it had come."""
    daemon = await start_daemon(HASH)
    content = body(5)
    client = await converse(daemon.reactor, daemon.port)
    client.send(
        b"POST /async-function/hash HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    for at_byte in range(0, len(content), 100_000):
        piece = content[at_byte : at_byte + 100_000]
        client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    client.send(b"0\r\n\r\n")
    (answer,) = await client.when_answers(1)
    result = await daemon.get(f"/call/{id_of(answer)}/result?wait=30s")
    assert result.body.decode().startswith(sha256(content))
    await when_empty(daemon)
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_a_large_answer_is_kept_and_called_back(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """After a kill, too; what each needs of it is gone when that is done with."""
    listener.on_request = lambda request: request.answer(500)
    daemon = await start_daemon(CAT + OFTEN)
    content = body(7)
    answer = await daemon.request(
        "/async-function/cat", content, X_Callback_Url=listener.url("/back")
    )
    call_id = id_of(answer)
    await listener.when(1, at("/back"))
    await daemon.kill()
    listener.on_request = Received.answer
    listener.requests.clear()
    daemon = await start_daemon(CAT + OFTEN)
    (callback,) = await listener.when(1, at("/back"))
    assert sha256(callback.body) == sha256(content)
    result = await daemon.get(f"/call/{call_id}/result?wait=30s")
    assert (result.status, sha256(result.body)) == (200, sha256(content))
    assert result.header("Content-Length") == str(len(content))
    head = await daemon.request(f"/call/{call_id}/result", method="HEAD")
    assert (head.status, head.header("Content-Length")) == (200, str(len(content)))
    await when_empty(daemon, "FAAS_CALLS", "FAAS_CALLBACKS", "FAAS_DEAD")
    assert (await held(daemon))["FAAS_OUTCOMES"] > len(content)
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_both_doors_take_as_much_of_an_answer(start_daemon: StartDaemon) -> None:
    """All that ``max_body`` allows, and not a byte more: its header fields do not count."""
    most = 9 * MIB
    one = "[functions.z{0}]\ncommand = ['head', '-c', '{0}', '/dev/zero']\nmax_body = '9MiB'\n"
    config = "".join(one.format(size) for size in (most, most + 1))
    daemon = await start_daemon(f"[defaults]\nresults = {{ max_bytes = '64MiB' }}\n{config}")
    answer = await daemon.request(f"/function/z{most}")
    assert (answer.status, len(answer.body)) == (200, most)
    for size, status, length in ((most, "200", most), (most + 1, "502", 0)):
        call_id = id_of(await daemon.request(f"/async-function/z{size}"))
        result = await daemon.get(f"/call/{call_id}/result?wait=30s")
        assert (result.header("X-Function-Status"), len(result.body)) == (status, length)
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_an_answer_with_many_fields_is_kept_whole(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Its body alone would fit into a message, and would not together with them."""
    content = body(11, 8 * MIB - 64 * 1024)
    fields = {f"X_{number}": "x" * 1000 for number in range(60)}
    listener.on_request = lambda request: request.answer(200, content, **fields)
    daemon = await start_daemon(function("f", listener, "results = { max_bytes = '64MiB' }"))
    call_id = id_of(await daemon.request("/async-function/f"))
    result = await daemon.get(f"/call/{call_id}/result?wait=30s")
    assert (result.status, sha256(result.body)) == (200, sha256(content))
    assert result.header("X-59") == "x" * 1000
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_a_large_answer_that_is_not_kept_leaves_nothing(start_daemon: StartDaemon) -> None:
    """It is over the function's own limit for results."""
    config = CAT.replace("64MiB", "9MiB")
    daemon = await start_daemon(config)
    call_id = id_of(await daemon.request("/async-function/cat", body(8)))
    result = await daemon.get(f"/call/{call_id}/result?wait=30s")
    assert result.status == 410
    await when_empty(daemon)
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_a_large_dead_letter_is_replayed(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Whole, after a restart; one that is removed takes its body along."""
    listener.on_request = lambda request: request.answer(400)
    config = function("fails", listener)
    daemon = await start_daemon(config)
    content = body(9)
    call_id = id_of(await daemon.request("/async-function/fails", content))
    await daemon.says("is a dead letter now")
    await when_empty(daemon, "FAAS_CALLS")
    assert await daemon.stop() == 0
    daemon = await start_daemon(config)
    shown = await daemon.request(f"/system/dead-letters/{call_id}", method="GET", Host="localhost")
    (letter,) = json.loads(shown.body)["dead_letters"]
    assert (letter["size"], letter["sha256"]) == (len(content), sha256(content))
    listener.requests.clear()
    replay = f"/system/dead-letters/{call_id}/replay"
    assert (await daemon.request(replay, Host="localhost")).status == 202
    (again,) = await listener.when(1)
    assert sha256(again.body) == sha256(content)
    await daemon.says("is a dead letter now")
    await when_empty(daemon, "FAAS_CALLS")
    assert (await held(daemon))["FAAS_DEAD"] > len(content)
    letters = f"/system/dead-letters/{call_id}"
    assert (await daemon.request(letters, method="DELETE", Host="localhost")).status == 200
    await when_empty(daemon)
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_a_large_keyed_call_is_one_call(start_daemon: StartDaemon) -> None:
    """However often it is sent; with another body it is refused, and no copy is left."""
    daemon = await start_daemon(HASH)
    content = body(11)
    first = await daemon.request("/async-function/hash", content, Idempotency_Key="one")
    again = await daemon.request("/async-function/hash", content, Idempotency_Key="one")
    assert id_of(first) == id_of(again)
    assert again.header("Idempotency-Replayed") == "true"
    other = await daemon.request("/async-function/hash", body(12), Idempotency_Key="one")
    assert other.status == 422
    result = await daemon.get(f"/call/{id_of(first)}/result?wait=30s")
    assert result.body.decode().startswith(sha256(content))
    await when_empty(daemon)
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_large_calls_that_never_run_leave_nothing(start_daemon: StartDaemon) -> None:
    """Cancelled while they wait or are put off, expired, or purged."""
    daemon = await start_daemon(HASH)
    await order(daemon, "function/hash/pause")
    path, content = "/async-function/hash", body(13)
    waiting = id_of(await daemon.request(path, content))
    later = id_of(await daemon.request(path, content, X_Delay="1h"))
    for call_id in (waiting, later):
        assert (await daemon.request(f"/call/{call_id}", method="DELETE")).status == 202
    await when_empty(daemon)
    id_of(await daemon.request(path, content))
    await order(daemon, "function/hash/purge")
    await when_empty(daemon)
    expired = id_of(await daemon.request(path, content, X_Expires="300ms"))
    assert await daemon.stop() == 0
    daemon = await start_daemon(HASH)
    await order(daemon, "function/hash/resume")
    result = await daemon.get(f"/call/{expired}/result?wait=30s")
    assert result.status == 504
    await when_empty(daemon, "FAAS_CALLS")
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_large_calls_that_run_at_a_purge_keep_their_bodies(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """All of them come whole after a crash: what is swept up behind the purge is nobody's."""
    count = 8
    listener.on_request = lambda request: None
    config = function("slow", listener, f"max_inflight = {count}") + function("late", listener)
    daemon = await start_daemon(config)
    await order(daemon, "function/late/pause")
    id_of(await daemon.request("/async-function/late", body(99)))
    contents = [body(number, 9 * MIB) for number in range(count)]
    for content in contents:
        id_of(await daemon.request("/async-function/slow", content))
    await listener.when(count)
    await order(daemon, "queues/default/purge")
    swept = await daemon.says(r"(\d+) bodies in FAAS_CALLS belonged to nothing")
    assert swept[1] == "1"  # that of the one that waited
    await daemon.kill()
    listener.on_request = Received.answer
    daemon = await start_daemon(config)
    again = (await listener.when(2 * count))[count:]
    assert {sha256(each.body) for each in again} == {sha256(each) for each in contents}
    await when_empty(daemon)
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_a_large_call_is_put_off_across_a_kill_and_tried_again(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Each attempt is given all of it."""
    answers = iter((503, 200))
    listener.on_request = lambda request: request.answer(next(answers))
    retry = "retry = { attempts = 3, min_wait = '100ms', max_wait = '200ms', codes = [503] }"
    config = function("late", listener, retry)
    daemon = await start_daemon(config)
    content = body(15)
    id_of(await daemon.request("/async-function/late", content, X_Delay="1s"))
    await daemon.kill()
    daemon = await start_daemon(config)
    attempts = await listener.when(2)
    assert [sha256(each.body) for each in attempts] == [sha256(content)] * 2
    await when_empty(daemon)
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_a_large_callback_to_a_function_of_our_own_is_a_call(
    start_daemon: StartDaemon,
) -> None:
    """Its body goes over into the next call."""
    daemon = await start_daemon(CAT + HASH)
    content = body(17)
    call_id = id_of(
        await daemon.request(
            "/async-function/cat",
            content,
            X_Callback_Url=daemon.url("/async-function/hash"),
            X_Call_Id="a-chain-of-two-calls",
        )
    )
    await daemon.says("hash answered 200")
    assert call_id == "a-chain-of-two-calls"
    await when_empty(daemon, "FAAS_CALLS", "FAAS_CALLBACKS", "FAAS_DEAD")
    result = await daemon.get(f"/call/{call_id}/result?wait=30s")
    assert result.body.decode().startswith(sha256(content))
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_a_broker_that_takes_a_megabyte_holds_more(
    start_daemon: StartDaemon, listener: Listener, reactor: Any, tmp_path: Path
) -> None:
    """Somebody else's, with its usual limit; an upload outlasts neither its end nor is it left."""
    nats = RealNats(reactor, tmp_path / "nats")
    await nats.start()
    where = f"[nats]\nembedded = false\nurls = ['nats://127.0.0.1:{nats.port}']\n"
    daemon = await start_daemon(where + CAT)
    content = body(19, 3 * MIB)
    call_id = id_of(await daemon.request("/async-function/cat", content))
    result = await daemon.get(f"/call/{call_id}/result?wait=30s")
    assert (result.status, sha256(result.body)) == (200, sha256(content))
    await when_empty(daemon, "FAAS_CALLS")
    assert await daemon.stop() == 0
    await nats.end()


@pytest_twisted.ensureDeferred
async def test_a_quota_counts_large_bodies(start_daemon: StartDaemon) -> None:
    """What does not fit is refused, and what had come of it is gone."""
    daemon = await start_daemon("[queue]\nmax_bytes = '25MiB'\n" + HASH)
    await order(daemon, "function/hash/pause")
    ids = [id_of(await daemon.request("/async-function/hash", body(n))) for n in (21, 22)]
    refused = await daemon.request("/async-function/hash", body(23))
    assert refused.status == 503
    await order(daemon, "function/hash/resume")
    for call_id in ids:
        assert (await daemon.get(f"/call/{call_id}/result?wait=30s")).status == 200
    await when_empty(daemon)
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_large_calls_outlast_a_kill_of_the_broker(start_daemon: StartDaemon) -> None:
    """Those that were accepted before, and their answers; nobody is given half of one."""
    daemon = await start_daemon(CAT)
    await order(daemon, "function/cat/pause")
    content = body(25)
    call_id = id_of(await daemon.request("/async-function/cat", content))
    os.kill(daemon.broker_pid, signal.SIGKILL)
    await daemon.says("connected to NATS")
    await order(daemon, "function/cat/resume")
    result = await daemon.get(f"/call/{call_id}/result?wait=30s")
    assert (result.status, sha256(result.body)) == (200, sha256(content))
    await when_empty(daemon, "FAAS_CALLS")
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_a_disk_that_runs_short_takes_no_more_of_a_body(start_daemon: StartDaemon) -> None:
    """The part that was taken is given back."""
    daemon = await start_daemon("[queue]\nmin_free = '100000GiB'\n" + HASH)
    answer = await daemon.request("/async-function/hash", body(27))
    assert answer.status == 507
    await when_empty(daemon)
    assert await daemon.stop() == 0
