"""The daemon as a whole: the parts in the order in which they need each other."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from faasd_async.assembly.callbacks import Callbacks
from faasd_async.assembly.clients import Clients
from faasd_async.assembly.doors import add_doors, add_figures_doors
from faasd_async.assembly.functions import Functions
from faasd_async.assembly.gateway import Reception
from faasd_async.assembly.queue import make_durability, make_queue, report_of
from faasd_async.assembly.shared import Shared
from faasd_async.assembly.store import Store
from faasd_async.assembly.system import System
from faasd_async.assembly.worker import make_settlement, make_ticks, make_worker
from faasd_async.daemon.life import Daemon
from faasd_async.daemon.parts import Parts
from faasd_async.daemon.privileges import NOTICE, gain_no_more
from faasd_async.daemon.reloading import Reading
from faasd_async.daemon.systemd import Notifier
from faasd_async.gateway.calls.waiting import Waiting
from faasd_async.options import Options
from faasd_async.settings.changes import restart_needed


def assemble(reactor: Any, options: Options) -> Daemon:
    """Make each part once, and the daemon of them."""
    shared = Shared(reactor, options)
    settings = shared.settings
    store, functions = Store(shared), Functions(shared)
    callbacks, clients = Callbacks(shared, functions), Clients(shared)
    durability = make_durability(shared, store)
    queue = make_queue(shared, store, clients, durability)
    space = store.space()

    waiting = Waiting(reactor, queue.peers.hear)
    settlement = make_settlement(shared, functions, callbacks, queue)
    worker = make_worker(shared, store, functions, queue, settlement, waiting)
    queue.peers.hands = worker
    reception = Reception(shared, functions)
    acceptance = reception.acceptance(queue, space)
    poster = callbacks.poster(queue, reception.directory, acceptance)
    system = System(shared, functions, queue, worker, waiting)

    daemon = Daemon(
        reactor,
        Parts(
            lock=store.lock,
            ground=store.ground,
            processes=functions.processes,
            broker=store.broker,
            queue=queue,
            deployments=functions.deployments,
            sweeping=functions.sweeping(),
            hands=(worker, poster, make_ticks(shared, functions, queue)),
            doors=shared.doors,
            provider=functions.catalogue,
            onlookers=(system.hour,),
        ),
        functions=settings.functions,
        reload=partial(_reload, shared, functions, callbacks),
        drain_timeout_seconds=settings.worker.drain_timeout_seconds,
        notices=(*settings.notices, *([] if gain_no_more() else [NOTICE])),
        observer=options.observer,
        systemd=Notifier(reactor, os.environ),
        when_clock_believed=store.wall_clock(store.newest_seconds).when_believed,
        deploy=functions.roster.deploy_file,
        troubles=(durability.why_refused, *([space.why_refused] if space else [])),
    )

    calls = reception.calls(queue, settlement, waiting)
    gateway = reception.gateway(queue, acceptance, calls, system.gateway(), daemon.why_not_ready)
    add_doors(shared, gateway, waiting, functions.journal, system.live)
    shared.figures.look_at(lambda: functions.now(worker.running()), clients.reconnects)
    report_flow = partial(system.sheet.report, shared.figures.flow, reactor)
    add_figures_doors(shared, (report_of(queue, shared), report_flow))
    return daemon


def _reload(shared: Shared, functions: Functions, callbacks: Callbacks) -> Reading:
    """Read the settings anew, and have all that may change while the daemon runs go by them.

    :raises ConfigurationError: they cannot be used; nothing has changed.
    """
    fresh = shared.options.read_settings()
    shared.doors.renew_certificates()
    shared.watch.write_debug = fresh.worker.write_debug
    shared.options.level.set(fresh.log.level)
    functions.read_by(fresh)
    callbacks.signing_secrets = fresh.callback.signing_secrets
    return Reading(fresh.functions, fresh.notices, restart_needed(shared.settings, fresh))
