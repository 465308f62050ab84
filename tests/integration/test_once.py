"""Calls that are sent again under the same key run once."""

from __future__ import annotations

import pytest
import pytest_twisted
from daemon import StartDaemon
from listener import Listener, Received
from raw_http import Response
from test_calls import function
from twisted.internet.defer import gatherResults


def promised(answer: Response) -> tuple[str | None, str | None, str | None]:
    """What makes two receipts the same."""
    return tuple(  # type: ignore[return-value]
        answer.header(name) for name in ("X-Call-Id", "X-Start-Time", "Location")
    )


@pytest.mark.parametrize("durability", ["power", "process"])
@pytest_twisted.ensureDeferred
async def test_many_at_once_under_one_key_are_one_call(
    start_daemon: StartDaemon, listener: Listener, durability: str
) -> None:
    """One is accepted, the others are told which; another key is another call."""
    daemon = await start_daemon(
        f"[queue]\ndurability = '{durability}'\n" + function("once", listener)
    )
    answers = await gatherResults(
        [daemon.request("/async-function/once", b"x", Idempotency_Key="pay-7") for _ in range(20)]
    )
    await daemon.request("/async-function/once", b"x", Idempotency_Key="pay-8")
    assert {answer.status for answer in answers} == {202}
    assert len({promised(answer) for answer in answers}) == 1
    first = [answer for answer in answers if answer.header("Idempotency-Replayed") is None]
    assert len(first) == 1
    await listener.when(2)
    assert await daemon.stop() == 0
    seen = [request.header("X-Call-Id") for request in listener.requests]
    assert len(set(seen)) == len(seen) == 2


@pytest_twisted.ensureDeferred
async def test_a_key_is_known_while_the_call_waits_runs_and_when_it_has_ended(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """And by the next run of the daemon."""
    config = function("once", listener, "max_inflight = 1")
    daemon = await start_daemon(config)
    held: list[Received] = []
    listener.on_request = held.append
    running = await daemon.request("/async-function/once", b"1", webhook_id="msg_1")
    await listener.when(1)
    waiting = await daemon.request("/async-function/once", b"2", webhook_id="msg_2")
    for body, receipt in ((b"1", running), (b"2", waiting)):
        again = await daemon.request(
            "/async-function/once", body, webhook_id=f"msg_{body.decode()}"
        )
        assert again.header("Idempotency-Replayed") == "true"
        assert promised(again) == promised(receipt)
    listener.on_request = Received.answer
    for request in held:
        request.answer()
    await listener.when(2)
    assert await daemon.stop() == 0
    daemon = await start_daemon(config)
    again = await daemon.request("/async-function/once", b"1", webhook_id="msg_1")
    assert (again.status, promised(again)) == (202, promised(running))
    assert again.header("Idempotency-Replayed") == "true"
    other = await daemon.request("/async-function/once", b"another", webhook_id="msg_1")
    assert other.status == 422
    assert await daemon.stop() == 0
    assert len(listener.requests) == 2
