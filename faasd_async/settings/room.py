"""What one call may hold that goes through the queue.

A queued call is one message of NATS, and its answer another. Those have a bound, which the bodies
of calls whose callers wait do not meet.
"""

from __future__ import annotations

from collections.abc import Iterator

from faasd_async.settings.model import KIB, MIB, GatewaySettings, NatsSettings, QueueSettings
from faasd_async.settings.quantities import format_size, parse_size
from faasd_async.settings.table import Table

#: What the embedded nats-server takes in one message, and the part of it that is kept for heads.
EMBEDDED_MESSAGE_BYTES = 8 * MIB
HEAD_BYTES = 64 * KIB


def too_large_for_the_queue(root: Table, queue: QueueSettings, nats: NatsSettings) -> list[str]:
    """A notice for each ``max_body`` of the file that a queued call cannot have.

    What holds anyway, and is only written down, is no news. What another NATS server takes is not
    known before it is asked.

    :param root: the file, in which nothing is wrong.
    """
    if queue.backend == "memory" or not nats.embedded:
        return []
    limit = EMBEDDED_MESSAGE_BYTES - HEAD_BYTES
    return [
        f"{table.path} max_body = {format_size(asked)}: a call through the queue may have a body of"
        f" {format_size(limit)}, a larger one is refused with 413; at /function/<name> what is"
        " written there holds"
        for table, asked in _asked_for(root)
        if asked > limit and asked != GatewaySettings().max_body_bytes
    ]


def _asked_for(root: Table) -> Iterator[tuple[Table, int]]:
    functions = root.section("functions")
    for table in (
        root.section("gateway"),
        root.section("defaults"),
        *(functions.section(name) for name in functions),
    ):
        yield table, table.take("max_body", parse_size, 0)
