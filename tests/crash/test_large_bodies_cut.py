"""The power is cut while calls with large bodies come: each that was accepted comes whole."""

from __future__ import annotations

import hashlib
import random
import re

import pytest_twisted
from installation import PATIENCE_SECONDS, Amount, Install, Installation
from load import Load
from loop_disk import LoopDisk
from tables import Tables
from twisted.internet.task import deferLater

_MIB = 2**20

#: More than a message of NATS holds: it lies in the store in pieces.
BODY_BYTES = 9 * _MIB

CALLERS = 4

#: How long after an accepted call the power goes, at most: about as long as an upload takes.
MOST_SECONDS = 0.3

#: What the streams hold when no body is left in any.
SMALL_BYTES = _MIB


async def held_bytes(installation: Installation) -> float:
    """What lies in all streams together."""
    page = (await installation.daemon.figures()).body.decode()
    found = re.findall(r"^faasd_async_stream_bytes\{.*\} (\S+)$", page, re.MULTILINE)
    assert found
    return sum(map(float, found))


@pytest_twisted.ensureDeferred
async def test_the_power_is_cut_while_large_bodies_come(
    install: Install, disk: LoopDisk, dice: random.Random, tables: Tables, amount: Amount
) -> None:
    """Byte by byte; and of those that were cut short nothing is left in the end."""
    cuts = amount(3, 20)
    installation = await install(disk.mount_point)
    reactor, invocations = installation.reactor, installation.invocations
    bodies = [dice.randbytes(BODY_BYTES) for _ in range(CALLERS)]
    loads = [Load(reactor, installation.port, callers=1, body=body) for body in bodies]
    settings = "[queue]\nmin_free = '32MiB'\n" + installation.function_settings()
    await installation.up(settings)
    for _ in range(cuts):
        for load in loads:
            load.begin()
        # A call that three cuts in a row find under way is a dead letter.
        await invocations.when_run([each for load in loads for each in load.accepted])
        first = dice.choice(loads)
        await first.when_accepted(len(first.accepted) + 1, PATIENCE_SECONDS)
        await deferLater(reactor, dice.uniform(0, MOST_SECONDS))
        await installation.cut_power(disk)
    for load in loads:
        load.stop()
    accepted = {
        call_id: hashlib.sha256(body).hexdigest()
        for load, body in zip(loads, bodies, strict=True)
        for call_id in load.accepted
    }
    await invocations.when_run(accepted)
    await installation.settle()
    count = invocations.count(accepted)
    digests = installation.function.digests
    changed = [each for each, digest in accepted.items() if digests[each] - {digest}]
    await installation.up()
    left = await held_bytes(installation)
    while left > SMALL_BYTES:
        await deferLater(reactor, 0.2)
        left = await held_bytes(installation)
    assert await installation.daemon.stop() == 0
    tables.row(
        f"The power is cut, {CALLERS} callers, bodies of {BODY_BYTES // _MIB} MiB",
        {
            "cuts": cuts,
            "accepted": count.accepted,
            "unanswered": count.in_flight,
            "lost": count.lost,
            "ran again": count.again,
            "unexcused": count.unexcused,
            "changed": len(changed),
            "left in the store": f"{left / 1024:.0f} KiB",
        },
    )
    assert (count.lost, count.unexcused, changed) == (0, 0, [])
