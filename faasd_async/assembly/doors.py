"""The doors: where the daemon listens, and with what behind each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from twisted.internet.defer import Deferred, gatherResults

from faasd_async.assembly.shared import Shared
from faasd_async.gateway.application import Gateway
from faasd_async.gateway.calls.waiting import Waiting
from faasd_async.gateway.figures import FiguresGateway
from faasd_async.gateway.peers import Crowd, Trusted
from faasd_async.gateway.site import GatewaySite
from faasd_async.gateway.system.live import Live
from faasd_async.runtime.journal import Journal

Waited = Waiting | Journal | Live


def add_doors(shared: Shared, gateway: Gateway, *waiting: Waited) -> None:
    """Have the gateway listened for.

    :param waiting: where clients wait for an answer.
    """
    reactor, settings = shared.reactor, shared.settings.gateway
    trusted = None if settings.trusted_proxies is None else Trusted(settings.trusted_proxies)
    crowd = Crowd(settings.max_connections_per_address, trusted, reactor.seconds)
    for endpoint in settings.listen:
        site = gateway.site(settings.read_timeout_seconds, reactor)
        site.crowd, site.trusted = crowd, trusted
        site.answered = shared.figures.requests.answered
        shared.doors.add(endpoint, site, partial(_let_go, site, waiting))


def add_figures_doors(shared: Shared, reports: Sequence[Callable[[], Deferred[None]]]) -> None:
    """Have the figures listened for, apart from the gateway.

    :param reports: bring them up to date; none of them fails.
    """
    figures = FiguresGateway(shared.figures.render, partial(_refresh, reports))
    for endpoint in shared.settings.gateway.metrics_listen:
        site = figures.site(shared.reactor)
        shared.doors.add(endpoint, site, setting="[gateway] metrics_listen")


async def _let_go(site: GatewaySite, waiting: Iterable[Waited]) -> None:
    """A door is closed: clients leave when they have their answer, and nobody waits for one."""
    for each in waiting:
        each.close()
    await site.let_clients_go()


def _refresh(reports: Iterable[Callable[[], Deferred[None]]]) -> Deferred[None]:
    """Have all reports at once; none of them fails."""
    return gatherResults([report() for report in reports]).addCallback(lambda _: None)
