"""The operator's side: what may be looked at, and ordered."""

from __future__ import annotations

import time

from twisted.internet.defer import Deferred

from faasd_async.assembly.functions import Functions
from faasd_async.assembly.shared import Shared
from faasd_async.gateway.calls.waiting import Waiting
from faasd_async.gateway.system.application import SystemGateway
from faasd_async.gateway.system.dead_letters import DeadLetterOffice
from faasd_async.gateway.system.flow import Flow
from faasd_async.gateway.system.flow_sheet import FlowSheet
from faasd_async.gateway.system.functions import Functions as FunctionRoutes
from faasd_async.gateway.system.live import Live
from faasd_async.gateway.system.log_lines import LogLines
from faasd_async.gateway.system.orders import Namespace
from faasd_async.gateway.system.provider import Provider
from faasd_async.gateway.system.recent import RecentCalls
from faasd_async.gateway.system.replay import Replay
from faasd_async.gateway.system.schedules import Timetable
from faasd_async.gateway.system.secrets import Secrets
from faasd_async.gateway.system.shared.functions import SharedFunctions
from faasd_async.gateway.system.shared.logs import SharedLogs
from faasd_async.gateway.system.shared.provider import SharedProvider
from faasd_async.gateway.system.shared.secrets import SharedSecrets
from faasd_async.gateway.system.shared.theirs import Theirs
from faasd_async.observe.figures import DURATION_BOUNDS
from faasd_async.observe.hour import Hour
from faasd_async.queue.interface import Queue
from faasd_async.worker.worker import Worker


class System:
    """What operators look at, and the routes by which they do.

    :ivar hour: what has been going on of late.
    :ivar live: who is told as it goes on.
    """

    def __init__(
        self,
        shared: Shared,
        functions: Functions,
        queue: Queue,
        worker: Worker,
        waiting: Waiting,
    ) -> None:
        self._shared = shared
        self._functions = functions
        self._queue = queue
        self._namespace = Namespace(shared.settings.gateway.namespace)
        deployments = functions.deployments
        self.sheet = FlowSheet(
            queue, deployments, worker.widths, static=shared.static, now_ns=time.time_ns
        )
        self._flow = Flow(
            queue,
            deployments,
            self.sheet,
            recall=worker.recall,
            let_go=waiting.let_go,
            namespace=shared.settings.gateway.namespace,
        )
        self.hour = Hour(
            shared.reactor,
            DURATION_BOUNDS,
            shared.figures.durations,
            waiting=lambda: Deferred.fromCoroutine(self.sheet.waiting()),
            running=lambda: sum(each.running for each in deployments.values()),
            now_ns=time.time_ns,
        )
        self._recent = RecentCalls(queue.listing, queue.lookup, queue.dead_letters, queue.peers)
        self.live = Live(shared.reactor, self.hour, self._flow, self._recent)

    def gateway(self) -> SystemGateway:
        return SystemGateway(
            dead_letters=self._dead_letters(),
            flow=self._flow,
            timetable=self._timetable(),
            provider=self._provider(),
            recent=self._recent,
            live=self.live,
        )

    def _dead_letters(self) -> DeadLetterOffice:
        replay = Replay(
            self._queue,
            self._functions.deployments,
            time.time_ns,
            self._shared.watch.accepted,
        )
        return DeadLetterOffice(replay, self._shared.policy.refuse)

    def _timetable(self) -> Timetable:
        return Timetable(
            self._queue.schedules,
            self._functions.deployments,
            now_ns=time.time_ns,
            namespace=self._shared.settings.gateway.namespace,
        )

    def _provider(self) -> Provider:
        parts, namespace = self._functions, self._namespace
        counts = self._shared.figures.invocations
        functions = FunctionRoutes(
            parts.roster, namespace, counts=counts, usage_of=parts.running.usage
        )
        secrets = Secrets(parts.secrets, parts.roster, namespace)
        logs = LogLines(parts.journal, parts.roster, namespace, time.time_ns)
        if parts.other_provider is None or parts.catalogue is None:
            return Provider(namespace, functions, secrets, logs)
        theirs = Theirs(parts.other_provider, namespace)
        return SharedProvider(
            namespace,
            SharedFunctions(functions, theirs, parts.catalogue, namespace, counts),
            SharedSecrets(secrets, theirs, namespace),
            SharedLogs(logs, functions, theirs),
            theirs,
        )
