"""The power is cut under load: what was answered with 202 is on the disk, and runs."""

from __future__ import annotations

import random

import pytest_twisted
from installation import MAX_INFLIGHT, Amount, Install, Installation
from invocations import Count
from loop_disk import LoopDisk
from tables import Tables

TITLE = "The power is cut, 64 callers"


async def cut_again_and_again(
    installation: Installation,
    disk: LoopDisk,
    dice: random.Random,
    cuts: int,
    durability: str,
) -> Count:
    """The function takes up to 20 ms, so that some of what was accepted waits at a cut."""
    installation.function.seconds = lambda: dice.uniform(0, 0.02)
    settings = f"[queue]\ndurability = '{durability}'\n" + installation.function_settings()
    await installation.up(settings)
    for _ in range(cuts):
        await installation.moment(dice, 400)
        await installation.cut_power(disk)
    installation.function.seconds = lambda: 0.0
    return await installation.settle(losses=durability == "process")


def tell(tables: Tables, durability: str, cuts: int, count: Count) -> None:
    tables.row(
        TITLE,
        {
            "durability": durability,
            "cuts": cuts,
            "accepted": count.accepted,
            "unanswered": count.in_flight,
            "lost": count.lost,
            "ran again": count.again,
            "unexcused": count.unexcused,
        },
    )


@pytest_twisted.ensureDeferred
async def test_no_call_whose_202_was_read_is_lost_in_a_power_cut(
    install: Install,
    disk: LoopDisk,
    dice: random.Random,
    tables: Tables,
    amount: Amount,
) -> None:
    """With ``durability = "power"``, at any moment; what runs again was in flight."""
    cuts = amount(3, 20)
    installation = await install(disk.mount_point)
    count = await cut_again_and_again(installation, disk, dice, cuts, "power")
    tell(tables, "power", cuts, count)
    assert count.lost == 0
    assert count.unexcused == 0
    assert count.most_again <= MAX_INFLIGHT


@pytest_twisted.ensureDeferred
async def test_the_trial_sees_losses_where_a_202_does_not_wait_for_the_disk(
    install: Install,
    disk: LoopDisk,
    dice: random.Random,
    tables: Tables,
    amount: Amount,
) -> None:
    """With ``durability = "process"``: it promises nothing for a power cut."""
    cuts = amount(3, 20)
    installation = await install(disk.mount_point)
    count = await cut_again_and_again(installation, disk, dice, cuts, "process")
    tell(tables, "process", cuts, count)
    assert count.lost > 0
