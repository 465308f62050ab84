"""The disk is full, whoever filled it: refusals, no crash, and service again when there is room."""

from __future__ import annotations

import random

import pytest_twisted
from installation import PATIENCE_SECONDS, Amount, Install
from loop_disk import LoopDisk
from tables import Tables


@pytest_twisted.ensureDeferred
async def test_the_disk_is_full_for_a_while(
    install: Install, disk: LoopDisk, dice: random.Random, tables: Tables, amount: Amount
) -> None:
    """Nothing that was accepted is lost, and nothing runs twice."""
    times = amount(3, 5)
    installation = await install(disk.mount_point)
    installation.function.seconds = lambda: dice.uniform(0, 0.02)
    daemon = await installation.up(
        "[queue]\nmin_free = '8MiB'\nmax_bytes = '64MiB'\nresults_max_bytes = '64MiB'\n"
        "[worker]\nack_wait = '2s'\n" + installation.function_settings()
    )
    load = installation.load
    for _ in range(times):
        await installation.moment(dice, 400)
        disk.fill()
        load.begin()
        refused = load.refused.total()
        await load.when_refused(refused + 300, PATIENCE_SECONDS)
        disk.clear()
        load.begin(1_000)
        await load.when_accepted(len(load.accepted) + 300, PATIENCE_SECONDS)
    assert daemon.status is None
    count = await installation.settle()
    tables.row(
        "The disk is full for a while, 64 callers",
        {
            "times": times,
            "accepted": count.accepted,
            **{f"refused with {status}": number for status, number in sorted(load.refused.items())},
            "no answer": load.cut_off,
            "lost": count.lost,
            "ran again": count.again,
        },
    )
    assert load.refused.keys() <= {503, 504, 507}
    assert (load.cut_off, count.lost, count.again) == (0, 0, 0)
