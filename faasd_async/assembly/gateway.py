"""The front door: who is let in, what is accepted, and what callers may ask."""

from __future__ import annotations

import time
from collections.abc import Callable

from faasd_async.assembly.functions import Functions
from faasd_async.assembly.shared import Shared
from faasd_async.callback.address import why_undeliverable
from faasd_async.gateway.accept import Acceptance
from faasd_async.gateway.application import Gateway
from faasd_async.gateway.authentication import Authentication
from faasd_async.gateway.callback_orders import CallbackOrders
from faasd_async.gateway.calls.application import CallsGateway
from faasd_async.gateway.calls.cancel import Cancellation
from faasd_async.gateway.calls.events import Events
from faasd_async.gateway.calls.results import Results
from faasd_async.gateway.calls.status import Status
from faasd_async.gateway.calls.waiting import Waiting
from faasd_async.gateway.directory import Directory
from faasd_async.gateway.operator import Operators
from faasd_async.gateway.proxy import Proxy
from faasd_async.gateway.system.application import SystemGateway
from faasd_async.gateway.verification import Verification
from faasd_async.queue.interface import Queue
from faasd_async.queue.space import Space
from faasd_async.worker.settlement import Settlement


class Reception:
    """Makes what stands behind the doors, all of which lets in by the same rules."""

    def __init__(self, shared: Shared, functions: Functions) -> None:
        self._shared = shared
        self.directory = Directory(
            functions.deployments,
            shared.settings.gateway.namespace,
            lambda: functions.deployments.complete,
            functions.catalogue,
        )
        credentials = shared.options.credentials
        self._operators = Operators(credentials)
        self._withhold = self._operators.withhold if credentials else None
        self._verification = Verification(time.time_ns)

    def _authentication(self) -> Authentication:
        return Authentication(self._operators, self.directory.find)

    def acceptance(self, queue: Queue, space: Space | None) -> Acceptance:
        settings, authentication = self._shared.settings, self._authentication()
        return Acceptance(
            self.directory,
            queue,
            callback_orders=CallbackOrders(
                self.directory,
                authentication,
                refuse_destination=self._shared.policy.refuse,
                why_undeliverable=why_undeliverable,
                own_route=self._shared.policy.own_route,
            ),
            deadline_seconds=settings.queue.accept_deadline_seconds,
            clock=self._shared.reactor,
            now_ns=time.time_ns,
            accepted=self._shared.watch.accepted,
            verification=self._verification,
            authentication=authentication,
            why_no_room=space.why_no_room if space else lambda size_bytes: None,
            withhold=self._withhold,
            begins_traces=settings.gateway.begin_traces,
        )

    def _proxy(self) -> Proxy:
        return Proxy(
            self.directory,
            clock=self._shared.reactor,
            now_ns=time.time_ns,
            verification=self._verification,
            authentication=self._authentication(),
            invoked=self._shared.watch.invoked,
            withhold=self._withhold,
            begins_traces=self._shared.settings.gateway.begin_traces,
        )

    def calls(self, queue: Queue, settlement: Settlement, waiting: Waiting) -> CallsGateway:
        results = Results(self._shared.reactor, queue.lookup, queue.records, waiting)
        cancellation = Cancellation(
            queue.lookup,
            queue.backlog,
            queue.peers,
            waiting,
            end=settlement.end,
            now_ns=time.time_ns,
        )
        status = Status(queue.lookup, queue.peers)
        return CallsGateway(
            status,
            results,
            cancellation,
            Events(status, waiting),
            self._operators,
            queue.bodies,
        )

    def gateway(
        self,
        queue: Queue,
        acceptance: Acceptance,
        calls: CallsGateway,
        system: SystemGateway,
        why_not_ready: Callable[[], str | None],
    ) -> Gateway:
        return Gateway(
            self.directory,
            acceptance,
            self._proxy(),
            calls,
            system,
            why_not_ready=why_not_ready,
            largest_body_bytes=self._shared.settings.gateway.max_body_bytes,
            authentication=self._authentication(),
            operators=self._operators,
            bodies=queue.bodies,
        )
