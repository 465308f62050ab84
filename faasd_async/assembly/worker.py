"""Who brings calls to their end: the worker, the settlement, and the schedules' ticks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial

from faasd_async.assembly.callbacks import Callbacks
from faasd_async.assembly.functions import Functions
from faasd_async.assembly.shared import Shared
from faasd_async.assembly.store import Store
from faasd_async.call.ids import CallKey
from faasd_async.callback.letter import write_letter
from faasd_async.gateway.calls.waiting import Waiting
from faasd_async.queue.interface import Queue
from faasd_async.queue.leases import Leases
from faasd_async.worker.settlement import Settlement
from faasd_async.worker.ticks import Ticks
from faasd_async.worker.worker import Worker


def make_settlement(
    shared: Shared, functions: Functions, callbacks: Callbacks, queue: Queue
) -> Settlement:
    return Settlement(
        queue,
        partial(write_letter, now_seconds=time.time),
        functions.settings_of,
        shared.watch.ended,
        callbacks.outbox(queue),
    )


def make_worker(
    shared: Shared,
    store: Store,
    functions: Functions,
    queue: Queue,
    settlement: Settlement,
    waiting: Waiting,
) -> Worker:
    settings = shared.settings
    return Worker(
        shared.reactor,
        queue,
        functions.deployments,
        Leases(shared.reactor, settings.worker.ack_wait_seconds),
        settlement,
        max_inflight=settings.worker.max_inflight,
        static=shared.static,
        lease_seconds=settings.worker.ack_wait_seconds,
        orphan_ttl_seconds=settings.queue.orphan_ttl_seconds,
        may_have_crashed=store.may_have_crashed,
        now_ns=time.time_ns,
        observer=shared.watch,
        ended=waiting.ended,
        moved=partial(_tell_all, (waiting.moved, queue.peers.moved)),
    )


def _tell_all(told: Iterable[Callable[[CallKey], None]], key: CallKey) -> None:
    """Tell all of them of a call."""
    for tell in told:
        tell(key)


def make_ticks(shared: Shared, functions: Functions, queue: Queue) -> Ticks:
    return Ticks(
        shared.reactor,
        queue,
        functions.deployments,
        now_ns=time.time_ns,
        accepted=shared.watch.accepted,
    )
