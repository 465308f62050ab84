"""A function that answers 503 at first: its calls wait as the policy says, and all succeed."""

from __future__ import annotations

import statistics

import pytest_twisted
from installation import PATIENCE_SECONDS, Amount, Install
from invocations import Run
from tables import Tables
from twisted.internet.defer import Deferred

MIN_WAIT_SECONDS = 1.0
MAX_WAIT_SECONDS = 8.0

#: The waits above this are spent in another stream than the calls that wait for their turn.
ACK_WAIT_SECONDS = 5.0

#: How late 99 of 100 waits may end: where there is nothing else to do, and where thousands are due
#: at a time, each of which may have to let all others pass twice.
MOST_LATE_SECONDS, MOST_LATE_OF_MANY_SECONDS = 2.0, 20.0

#: What is between the function's answer and the daemon's clock.
_MOMENT_SECONDS = 0.05


def asked_wait(attempt: int) -> float:
    """Backoff ``exponential``."""
    return min(MIN_WAIT_SECONDS * 2.0 ** (attempt - 1), MAX_WAIT_SECONDS)


@pytest_twisted.ensureDeferred
async def test_calls_of_a_function_that_is_busy_at_first_all_succeed(
    install: Install, tables: Tables, amount: Amount
) -> None:
    """Never before their time and not long after it, within their attempts."""
    calls, busy_seconds = amount(300, 10_000), amount(2, 30)
    most_late_seconds = MOST_LATE_OF_MANY_SECONDS if tables.full else MOST_LATE_SECONDS
    installation = await install()
    reactor, invocations = installation.reactor, installation.invocations
    busy_until = 0.0
    answered: dict[str, list[float]] = {}
    succeeded: set[str] = set()
    all_succeeded: Deferred[None] = Deferred()
    all_succeeded.addTimeout(busy_seconds + PATIENCE_SECONDS, reactor)

    def status(run: Run) -> int:
        nonlocal busy_until
        busy_until = busy_until or reactor.seconds() + busy_seconds
        answered.setdefault(run.call_id, []).append(reactor.seconds())
        if reactor.seconds() < busy_until:
            return 503
        succeeded.add(run.call_id)
        if len(succeeded) == calls:
            all_succeeded.callback(None)
        return 200

    installation.function.status = status
    retry = (
        f"retry = {{ attempts = 10, min_wait = {MIN_WAIT_SECONDS}, "
        f"max_wait = {MAX_WAIT_SECONDS}, backoff = 'exponential' }}\n"
    )
    await installation.up(
        f"[worker]\nack_wait = {ACK_WAIT_SECONDS}\n[functions.noted]\n"
        f"url = '{installation.function.url}'\nmax_inflight = 64\n{retry}"
    )
    accepted = await installation.load.push(calls, PATIENCE_SECONDS)
    installation.load.stop()
    await all_succeeded
    seconds = max(times[-1] for times in answered.values()) - (busy_until - busy_seconds)
    late: list[float] = []
    early: list[float] = []
    for call_id in accepted:
        runs = invocations.runs[call_id]
        for attempt, (ended, run) in enumerate(
            zip(answered[call_id], runs[1:], strict=False), start=1
        ):
            lateness = run.began - ended - asked_wait(attempt)
            (late if lateness > -_MOMENT_SECONDS else early).append(lateness)
    p99_seconds = statistics.quantiles(late, n=100)[-1]
    attempts = [len(invocations.runs[call_id]) for call_id in accepted]
    tables.row(
        "A function that answers 503 at first",
        {
            "accepted": len(accepted),
            "busy for": f"{busy_seconds} s",
            "succeeded": len(succeeded),
            "attempts, median": round(statistics.median(attempts)),
            "most": max(attempts),
            "waits": len(late) + len(early),
            "too short": len(early),
            "too long, median": f"{statistics.median(late):.2f} s",
            "p99": f"{p99_seconds:.2f} s",
            "all done after": f"{seconds:.0f} s",
        },
    )
    assert succeeded == set(accepted)
    assert early == []
    assert p99_seconds < most_late_seconds
    assert seconds < busy_seconds + MAX_WAIT_SECONDS + most_late_seconds
    assert max(attempts) <= 10
    assert all(
        [run.attempt for run in invocations.runs[call_id]] == list(range(1, number + 1))
        for call_id, number in zip(accepted, attempts, strict=True)
    )
