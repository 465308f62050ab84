"""The assembler: reads the settings and puts the daemon together. It holds no logic.

``makeService`` runs before twistd forks and before it drops privileges: nothing is opened,
spawned or listened on here.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace as replace_settings
from twisted.application.service import IService
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThreadPool
from twisted.logger import ILogObserver
from twisted.python import usage

from faasd_async.call.callback_url import CallbackUrl
from faasd_async.call.ids import CallKey
from faasd_async.callback.address import why_undeliverable
from faasd_async.callback.chain import Chain
from faasd_async.callback.destination import DestinationPolicy
from faasd_async.callback.letter import write_letter
from faasd_async.callback.names import Names
from faasd_async.callback.outbox import Outbox
from faasd_async.callback.poster import Poster
from faasd_async.callback.receivers import Receivers
from faasd_async.callback.schedule import Schedule
from faasd_async.callback.signing import Signing
from faasd_async.callback.way_out import WayOut
from faasd_async.callback.world import World
from faasd_async.daemon import Daemon, Parts
from faasd_async.errors import ConfigurationError
from faasd_async.functions.reading import DeploymentReader
from faasd_async.functions.roster import Roster
from faasd_async.functions.secrets import SecretStore
from faasd_async.functions.store import DeploymentStore
from faasd_async.garbage import look_less_often
from faasd_async.gateway.accept import Acceptance
from faasd_async.gateway.application import Gateway
from faasd_async.gateway.arrival import Directory
from faasd_async.gateway.authentication import Authentication
from faasd_async.gateway.calls.application import CallsGateway
from faasd_async.gateway.calls.cancel import Cancellation
from faasd_async.gateway.calls.events import Events
from faasd_async.gateway.calls.results import Results
from faasd_async.gateway.calls.status import Status
from faasd_async.gateway.calls.waiting import Waiting
from faasd_async.gateway.chained import accept_chained
from faasd_async.gateway.channel import GatewaySite
from faasd_async.gateway.doors import Doors
from faasd_async.gateway.figures import FiguresGateway
from faasd_async.gateway.operator import Operators
from faasd_async.gateway.peers import Crowd, Trusted
from faasd_async.gateway.proxy import Proxy
from faasd_async.gateway.system.application import SystemGateway
from faasd_async.gateway.system.dead_letters import DeadLetterOffice
from faasd_async.gateway.system.flow import Flow
from faasd_async.gateway.system.flow_sheet import FlowSheet
from faasd_async.gateway.system.functions import Functions
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
from faasd_async.gateway.verification import Verification
from faasd_async.ground import Ground
from faasd_async.nats import BadCredentials, Limits, NatsClient, ServerAddress, Tls
from faasd_async.nats.nkey import Credentials, read_credentials_file, read_nkey_file
from faasd_async.nats.server import EmbeddedServer, ServerFiles, ServerSettings
from faasd_async.nats.server.rescue import Rescue
from faasd_async.observe.calls import CallWatch
from faasd_async.observe.figures import DURATION_BOUNDS, Figures
from faasd_async.observe.glance import FunctionNow
from faasd_async.observe.hour import Hour
from faasd_async.observe.logs import Level, make_observer
from faasd_async.privileges import NOTICE, gain_no_more
from faasd_async.provider.catalogue import Catalogue
from faasd_async.provider.interface import Asks
from faasd_async.provider.listed import ListReader
from faasd_async.provider.remembered import Remembered
from faasd_async.provider.waking import Waking
from faasd_async.queue.interface import Queue
from faasd_async.queue.jetstream import JetStreamQueue
from faasd_async.queue.jetstream.durability import (
    Acknowledged,
    Barrier,
    Durability,
    SomebodyElses,
)
from faasd_async.queue.jetstream.layout import Layout
from faasd_async.queue.jetstream.streams import StoreDisk
from faasd_async.queue.leases import Leases
from faasd_async.queue.space import Disk, Space
from faasd_async.reloading import Reading
from faasd_async.runtime.container.installation import Installation, engine_at, engine_is_there
from faasd_async.runtime.container.sweeping import Sweeping
from faasd_async.runtime.deployments import Deployments
from faasd_async.runtime.interface import Runtime
from faasd_async.runtime.journal import Journal
from faasd_async.runtime.making import make_runtime
from faasd_async.runtime.process.notes import ProcessNotes
from faasd_async.runtime.process.usage import RunningProcesses
from faasd_async.settings import FunctionSettings, NatsSettings, Secret, Settings, load
from faasd_async.settings.changes import restart_needed
from faasd_async.settings.credentials import Credentials as Password
from faasd_async.settings.credentials import read_authorization, read_credentials
from faasd_async.statelock import StateLock
from faasd_async.systemd import Notifier
from faasd_async.wallclock import WallClock, newest_below
from faasd_async.worker.expiry import EARLIEST_NS
from faasd_async.worker.settlement import Settlement
from faasd_async.worker.ticks import Ticks
from faasd_async.worker.worker import Worker

#: What an embedded nats-server may store is bounded by the quotas of the streams. Its own limit
#: counts what they might hold: one that has just been lowered would be in its own way.
_NO_LIMIT_BYTES = 2**50

#: What may wait for a broker to take it; a publish beyond is refused.
_LIMITS = Limits(pending_bytes=32 * 2**20)

#: Likewise, of a client whose server is known to go away and come back.
_EAGER = replace(_LIMITS, longest_delay_seconds=0.25)

#: With this share of ``min_free`` a broker that could not write is given another start: enough for
#: the ends of what was accepted, while new calls are refused still.
_RESTART_SHARE = 1 / 4

#: What an embedded nats-server takes in one message.
_EMBEDDED_PAYLOAD_BYTES = 8 * 2**20

#: What any nats-server takes unless it is told otherwise.
_USUAL_PAYLOAD_BYTES = 2**20

#: What a callback may take whose function is not deployed any more.
_USUAL_CALLBACK_SECONDS = 30.0


class Options(usage.Options):
    """The command line behind ``twistd faasd-async``.

    :ivar settings: what was read.
    :ivar credentials: the operator's, if there is authentication.
    :ivar authorization: ours with another provider, if it is to be told any.
    :ivar observer: where the log goes; ``None`` leaves it to twistd.
    """

    synopsis = "[options]"
    longdesc = "Accepts calls of functions, keeps them safe, runs them and tells their end."
    optFlags = [["check", None, "Only check the settings: exit with 0 if they can be used, else 1"]]  # noqa: RUF012
    optParameters = [  # noqa: RUF012
        ["config", None, None, "The settings, a TOML file"],
        ["state-dir", None, None, "Where the queue is kept; over the file's state_dir"],
    ]

    settings: Settings
    credentials: Password | None = None
    authorization: Secret | None = None
    level: Level
    observer: ILogObserver | None = None

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []

    def opt_listen(self, endpoint: str) -> None:
        """A Twisted endpoint string to listen on, over the file's; may be repeated"""
        self["listen"].append(endpoint)

    def postOptions(self) -> None:
        self["config"] = self["config"] and os.path.abspath(self["config"])
        self["state-dir"] = self["state-dir"] and os.path.abspath(self["state-dir"])
        try:
            self.settings = self.read_settings(self._runs_in())
            self.credentials = read_credentials(self.settings.gateway)
            self.authorization = read_authorization(self.settings.provider, self.settings.gateway)
        except ConfigurationError as reason:
            sys.stderr.write(f"{reason}\n")
            raise SystemExit(1) from None
        if self["check"]:
            sys.stdout.write("the settings can be used\n")
            raise SystemExit(0)
        log = self.settings.log
        self.level = Level(log.level)
        twistd: Mapping[str, Any] = self.parent or {}
        if not twistd.get("syslog") and not twistd.get("logger"):
            path = twistd.get("logfile")
            if path is None and not twistd.get("nodaemon"):
                path = "twistd.log"
            path = os.path.abspath(path) if path and path != "-" else None
            self.observer = make_observer(path, log.format == "json", self.level)

    def read_settings(self, runs_in: str | None = None) -> Settings:
        """
        :param runs_in: where the daemon will run, if it is to be looked for programs.
        :raises ConfigurationError: they cannot be used.
        """
        return load(
            self["config"],
            os.environ,
            state_dir=self["state-dir"],
            listen=self["listen"],
            runs_in=runs_in,
        )

    def _runs_in(self) -> str | None:
        """Where twistd will run the daemon; ``None`` if it is another root, without our files."""
        twistd: Mapping[str, Any] = self.parent or {}
        return None if twistd.get("chroot") else os.path.abspath(twistd.get("rundir") or ".")


def makeService(options: Options) -> IService:
    """Put the daemon together."""
    from twisted.internet import reactor

    # Twisted tells of every factory that starts and stops: one for each outgoing connection.
    Factory.noisy = False
    keep_monotonic(reactor)
    daemon = Assembly(reactor, options).daemon()
    look_less_often()
    return daemon


def keep_monotonic(reactor: Any) -> None:
    """Have a reactor that nothing waits for yet measure its waits by the monotonic clock.

    Twisted's own choice is the clock on the wall: put forward by a day it would end every wait, put
    back by one it would make them all a day longer.
    """
    if not reactor.getDelayedCalls():
        reactor.seconds = time.monotonic


class Assembly:
    """Everything the daemon is made of, each part made once."""

    def __init__(self, reactor: Any, options: Options) -> None:
        self.reactor = reactor
        self.options = options
        self.settings = options.settings
        self.state_dir = Path(self.settings.state_dir)
        self.lock = StateLock(self.state_dir)
        self.ground = Ground(reactor, self._grounds())
        self.disk = Disk(self.reactor, self.settings.state_dir)
        self.static = self.settings.queue.mode == "static"
        self.operators = Operators(options.credentials)
        self.withhold = self.operators.withhold if options.credentials else None
        self.figures = Figures()
        # What twistd's own observers show is not known here.
        level = options.level if options.observer else None
        self.watch = CallWatch(self.figures, self.settings.worker.write_debug, level)
        self.verification = Verification(time.time_ns)
        # Of callbacks whose function is deployed no more.
        self.signing_secrets = self.settings.callback.signing_secrets
        self.processes = ProcessNotes(reactor, self.state_dir)
        self.receivers = Receivers(reactor, self.settings.callback.max_inflight)
        self.doors = Doors(reactor)
        self.clients: list[NatsClient] = []
        self.policy = DestinationPolicy(
            self.settings.callback.policy == "private",
            lambda: self.doors.port_numbers,
            self.settings.gateway.aliases,
        )
        self.journal = Journal(time.time_ns)
        self.running = RunningProcesses()

        def elsewhere(change: Callable[[], None]) -> Deferred[None]:
            return deferToThreadPool(reactor, reactor.getThreadPool(), change)

        self.elsewhere = elsewhere
        self.secrets = SecretStore(self.state_dir, elsewhere)
        self.containers = Installation(
            engine_at(
                reactor,
                self.settings.containers.socket,
                os.environ,
                self.settings.containers.logins_file,
            ),
            self.state_dir,
            now_seconds=time.time,
            patience_seconds=self.settings.worker.drain_timeout_seconds,
            keep=self.journal.keep,
        )
        self.other_provider = self._other_provider()
        self.deployments = Deployments(self._make_runtime)
        self.roster = Roster(
            self.deployments,
            DeploymentStore(self.state_dir / "functions", elsewhere),
            self.secrets,
            DeploymentReader(self.settings, self._has_engine),
            now_ns=time.time_ns,
            changed=self.journal.forget_others,
        )

        self.catalogue = self._catalogue()

    def _other_provider(self) -> Asks | None:
        """Somebody else who runs functions."""
        if self.settings.provider.url is None:
            return None
        # treq brings much along, and is for those alone who need it.
        from faasd_async.provider.asking import Asking

        return Asking(self.reactor, self.settings.provider, self.options.authorization)

    def _catalogue(self) -> Catalogue | None:
        provider = self.settings.provider
        if self.other_provider is None or provider.url is None:
            return None
        return Catalogue(
            self.reactor,
            self.other_provider,
            ListReader(self.settings),
            Remembered(self.state_dir / "provider.json", provider.url, self.elsewhere),
            deploy=self.roster.deploy_provided,
            namespace=self.settings.gateway.namespace,
            refresh_seconds=provider.refresh_seconds,
        )

    def _has_engine(self) -> bool:
        return engine_is_there(self.settings.containers.socket, os.environ)

    def _make_runtime(self, settings: FunctionSettings) -> Runtime:
        return make_runtime(
            settings,
            self.reactor,
            note=self.running.noting(settings.name, self.processes.note),
            containers=self.containers,
            keep=self.journal.keep,
            secrets_of=self.secrets.directory_of,
            wake=self._wake,
        )

    def _wake(self, function: str) -> Deferred[None]:
        assert self.other_provider is not None
        namespace = self.settings.gateway.namespace
        return Waking(self.reactor, self.other_provider, namespace).wake(function)

    def _grounds(self) -> list[Path]:
        """What must stay what it is while the daemon runs; its store last."""
        grounds = [self.state_dir, self.lock.path]
        if self.settings.queue.backend != "memory" and self.settings.nats.embedded:
            files = ServerFiles(self.state_dir)
            grounds += [files.lock, files.directory, *files.store]
        return grounds

    def daemon(self) -> Daemon:
        settings = self.settings
        broker = self._broker()
        barrier = self._durability(broker)
        queue = self._queue(broker, barrier)
        space = self._space(broker)
        waiting = Waiting(self.reactor, queue.peers.hear)
        settlement = self._settlement(queue)
        worker = queue.peers.hands = self._worker(queue, settlement, waiting)
        sheet = FlowSheet(
            queue,
            self.deployments,
            worker.widths,
            static=self.static,
            now_ns=time.time_ns,
        )
        self.figures.look_at(
            partial(self._functions_now, worker),
            lambda: sum(client.statistics.reconnects for client in self.clients),
        )
        flow = Flow(
            queue,
            self.deployments,
            sheet,
            recall=worker.recall,
            namespace=settings.gateway.namespace,
        )
        directory = Directory(
            self.deployments,
            settings.gateway.namespace,
            lambda: self.deployments.complete,
            self.catalogue,
        )
        acceptance = self._acceptance(queue, directory, space)
        hour = self._hour(sheet)
        parts = Parts(
            lock=self.lock,
            ground=self.ground,
            processes=self.processes,
            broker=broker,
            queue=queue,
            deployments=self.deployments,
            sweeping=Sweeping(
                self.reactor,
                self.containers.ours,
                self.deployments.__contains__,
                self._has_engine,
            ),
            hands=(worker, self._poster(queue, directory, acceptance), self._ticks(queue)),
            doors=self.doors,
            provider=self.catalogue,
            onlookers=(hour,),
        )
        daemon = Daemon(
            self.reactor,
            parts,
            functions=settings.functions,
            reload=self._reload,
            drain_timeout_seconds=settings.worker.drain_timeout_seconds,
            notices=(*settings.notices, *([] if gain_no_more() else [NOTICE])),
            observer=self.options.observer,
            systemd=Notifier(self.reactor, os.environ),
            when_clock_believed=self._wall_clock(broker).when_believed,
            deploy=self.roster.deploy_file,
            troubles=(barrier.why_refused, *([space.why_refused] if space else [])),
        )
        calls = self._calls(queue, settlement, waiting)
        recent = RecentCalls(queue.listing, queue.lookup, queue.dead_letters, queue.peers)
        live = Live(self.reactor, hour, flow, recent)
        system = SystemGateway(
            dead_letters=self._dead_letters(queue),
            flow=flow,
            timetable=self._timetable(queue),
            provider=self._provider(),
            recent=recent,
            live=live,
        )
        gateway = self._gateway(queue, daemon, acceptance, directory, calls, system)
        trusted = _trusted(settings.gateway.trusted_proxies)
        most = settings.gateway.max_connections_per_address
        crowd = Crowd(most, trusted, self.reactor.seconds)
        for endpoint in settings.gateway.listen:
            site = gateway.site(settings.gateway.read_timeout_seconds, self.reactor)
            site.crowd, site.trusted = crowd, trusted
            site.answered = self.figures.requests.answered
            parts.doors.add(endpoint, site, partial(_let_go, site, waiting, self.journal, live))
        reports = (self._report(queue), partial(sheet.report, self.figures.flow, self.reactor))
        figures = FiguresGateway(self.figures.render, partial(_refresh, reports))
        for endpoint in settings.gateway.metrics_listen:
            parts.doors.add(
                endpoint, figures.site(self.reactor), setting="[gateway] metrics_listen"
            )
        return daemon

    def _hour(self, sheet: FlowSheet) -> Hour:
        return Hour(
            self.reactor,
            DURATION_BOUNDS,
            self.figures.durations,
            waiting=lambda: Deferred.fromCoroutine(sheet.waiting()),
            running=lambda: sum(each.running for each in self.deployments.values()),
            now_ns=time.time_ns,
        )

    def _functions_now(self, worker: Worker) -> list[FunctionNow]:
        queued = worker.running()
        return [
            FunctionNow(
                each.name,
                each.settings.queue,
                each.running,
                queued.get(each.name, 0),
                each.settings.replicas,
                each.available_replicas,
            )
            for each in self.deployments.values()
        ]

    def _broker(self) -> EmbeddedServer | None:
        nats, queue = self.settings.nats, self.settings.queue
        if queue.backend == "memory" or not nats.embedded:
            return None
        server = EmbeddedServer(
            self.reactor,
            ServerSettings(
                state_dir=self.state_dir,
                max_file_store_bytes=_NO_LIMIT_BYTES,
                binary=None if nats.binary is None else Path(nats.binary),
                max_payload_bytes=_EMBEDDED_PAYLOAD_BYTES,
            ),
            why_not_again=self.ground.look,
        )
        enough_bytes = round(queue.min_free_bytes * _RESTART_SHARE)
        Rescue(self.reactor, server, self.disk.free_bytes, enough_bytes, self.ground.look)
        return server

    def _wall_clock(self, broker: EmbeddedServer | None) -> WallClock:
        """Of what somebody else's broker has stored we are told nothing before we begin."""
        store = str(self.state_dir / "nats")
        return WallClock(
            self.reactor,
            time.time,
            partial(newest_below, store) if broker else lambda: 0.0,
            earliest_seconds=EARLIEST_NS / 1e9,
            patience_seconds=self.settings.queue.clock_wait_seconds,
        )

    def _durability(self, broker: EmbeddedServer | None) -> Durability:
        queue, nats = self.settings.queue, self.settings.nats
        if queue.backend == "memory" or queue.durability == "process":
            return Acknowledged(self.ground)
        if broker is None:
            return SomebodyElses(nats.replicas, self.ground)
        return Barrier(
            self.reactor,
            str(self.state_dir / "nats"),
            ground=self.ground,
            flushed=self.figures.flushed,
        )

    def _space(self, broker: EmbeddedServer | None) -> Space | None:
        """With somebody else's broker the disk is somebody else's too."""
        if broker is None:
            return None
        self.figures.watch_disk(self.disk.free_bytes)
        min_free_bytes = self.settings.queue.min_free_bytes
        # What cannot be written because its store is gone is no matter of room.
        return Space(
            self.disk, min_free_bytes, lambda: broker.write_error if not self.ground.lost else None
        )

    def _report(self, queue: Queue) -> Callable[[], Deferred[None]]:
        if isinstance(queue, JetStreamQueue):
            return partial(queue.report, self.figures.stored)
        return lambda: succeed(None)

    def _layout(self) -> Layout:
        queue = self.settings.queue
        return Layout(
            calls_bytes=queue.max_bytes,
            callbacks_bytes=queue.max_bytes,
            later_bytes=queue.max_bytes,
            outcomes_bytes=queue.results_max_bytes,
            dead_bytes=queue.dead_letters_max_bytes,
            waiting_messages=queue.max_messages,
            outcomes_messages=queue.results_max_messages,
            dead_messages=queue.dead_letters_max_messages,
            replicas=self.settings.nats.replicas,
            ack_wait_seconds=self.settings.worker.ack_wait_seconds,
        )

    def _queue(self, broker: EmbeddedServer | None, durability: Durability) -> Queue:
        settings = self.settings
        if settings.queue.backend == "memory":
            from faasd_async.queue.memory import MemoryQueue

            return MemoryQueue(self.reactor, settings.worker.ack_wait_seconds)
        make: Callable[..., JetStreamQueue] = JetStreamQueue
        if settings.queue.backend == "nats-streaming":
            make = self._streaming_queue()
        return make(
            self.reactor,
            self._client(broker),
            self._layout(),
            durability,
            static=self.static,
            alone=broker is not None,
            largest_payload_bytes=_EMBEDDED_PAYLOAD_BYTES if broker else _USUAL_PAYLOAD_BYTES,
            now_seconds=time.time,
            disk=StoreDisk(self.disk.free_bytes, settings.queue.min_free_bytes) if broker else None,
        )

    def _streaming_queue(self) -> Callable[..., JetStreamQueue]:
        """A JetStream queue with NATS Streaming before it, but for JetStream's part of it."""
        # Not everybody has protobuf; whether it is there was looked for with the settings.
        from faasd_async.nats.stan import StanClient
        from faasd_async.queue.streaming import Channels, StreamingQueue, client_id

        settings, streaming = self.settings, self.settings.nats.streaming
        client = self._external(
            streaming.urls or settings.nats.urls, login=not streaming.urls, limits=_EAGER
        )
        stan = StanClient(
            self.reactor,
            client,
            streaming.cluster_id,
            streaming.client_id or client_id(socket.gethostname(), settings.state_dir),
        )
        channels = Channels(
            channel=streaming.channel,
            group=streaming.queue_group,
            namespace=settings.gateway.namespace,
            ack_wait_seconds=max(round(settings.worker.ack_wait_seconds), 1),
            ahead=settings.worker.max_inflight,
            refuse_callback=lambda url: why_undeliverable(url) or self.policy.refuse(url),
        )
        return partial(StreamingQueue, stan=stan, channels=channels)

    def _client(self, broker: EmbeddedServer | None) -> NatsClient:
        if broker is None:
            return self._external(self.settings.nats.urls, login=True)

        def embedded() -> list[ServerAddress]:
            if broker.address is None:
                return []
            return [ServerAddress(*broker.address, *broker.credentials)]

        client = NatsClient(self.reactor, embedded, limits=_LIMITS)
        self.clients.append(client)
        broker.on_ready.append(lambda _: client.reconnect_now())
        return client

    def _external(
        self, urls: Iterable[str], *, login: bool, limits: Limits = _LIMITS
    ) -> NatsClient:
        """A client of somebody else's server.

        :param login: whether it is the one of ``[nats]``, whose credentials are for no other.
        """
        nats = self.settings.nats
        addresses = [ServerAddress.parse(url) for url in urls]
        if login:
            client = NatsClient(
                self.reactor,
                addresses,
                user=nats.user or "",
                password=nats.password or "",
                token=nats.token or "",
                credentials=_nats_credentials(nats),
                tls=_nats_tls(nats),
                limits=limits,
            )
        else:
            client = NatsClient(self.reactor, addresses, limits=limits)
        self.clients.append(client)
        return client

    def _leases(self) -> Leases:
        return Leases(self.reactor, self.settings.worker.ack_wait_seconds)

    def _settlement(self, queue: Queue) -> Settlement:
        return Settlement(
            queue,
            partial(write_letter, now_seconds=time.time),
            self._settings_of,
            self.watch.ended,
            Outbox(
                queue,
                self.receivers,
                self._keeps_dead_letters,
                time.time_ns,
                self.watch.callback_given_up,
            ),
        )

    def _worker(self, queue: Queue, settlement: Settlement, waiting: Waiting) -> Worker:
        return Worker(
            self.reactor,
            queue,
            self.deployments,
            self._leases(),
            settlement,
            max_inflight=self.settings.worker.max_inflight,
            static=self.static,
            lease_seconds=self.settings.worker.ack_wait_seconds,
            orphan_ttl_seconds=self.settings.queue.orphan_ttl_seconds,
            may_have_crashed=self._may_have_crashed,
            now_ns=time.time_ns,
            observer=self.watch,
            ended=waiting.ended,
            moved=partial(_tell_all, (waiting.moved, queue.peers.moved)),
        )

    def _may_have_crashed(self, left_behind: bool) -> bool:
        """Alone on its queue a daemon knows how the one before it ended; of others it cannot."""
        alone = self.settings.nats.embedded
        return (left_behind and self.lock.left_behind) if alone else True

    def _poster(self, queue: Queue, directory: Directory, acceptance: Acceptance) -> Poster:
        callback = self.settings.callback
        schedule = Schedule(callback.attempts, callback.min_wait_seconds, callback.max_wait_seconds)
        return Poster(
            self.reactor,
            queue,
            self._leases(),
            Signing(
                Chain(
                    self.reactor,
                    World(
                        self.reactor, self._callback_timeout_seconds, self._way_out(), queue.bodies
                    ),
                    is_own=self.policy.is_own,
                    enqueue=partial(accept_chained, directory, acceptance),
                    max_hops=callback.max_hops,
                    home=self._home,
                ),
                self._signing_secrets,
                time.time,
                queue.bodies,
            ),
            self.receivers,
            schedule,
            max_inflight=callback.max_inflight,
            keeps_dead_letters=self._keeps_dead_letters,
            now_ns=time.time_ns,
            observer=self.watch,
        )

    def _home(self, url: CallbackUrl) -> CallbackUrl:
        home = self.doors.home
        return url if home is None or not self.policy.is_alias(url) else url.moved_to(*home)

    def _way_out(self) -> WayOut:
        return WayOut(
            self.reactor,
            Names(self.reactor),
            self.policy.refuse_address,
            self.settings.proxy,
            self.settings.callback.ca_file,
        )

    def _ticks(self, queue: Queue) -> Ticks:
        return Ticks(
            self.reactor,
            queue,
            self.deployments,
            now_ns=time.time_ns,
            accepted=self.watch.accepted,
        )

    def _timetable(self, queue: Queue) -> Timetable:
        return Timetable(
            queue.schedules,
            self.deployments,
            now_ns=time.time_ns,
            namespace=self.settings.gateway.namespace,
        )

    def _settings_of(self, function: str) -> FunctionSettings | None:
        deployment = self.deployments.get(function)
        return None if deployment is None else deployment.settings

    def _keeps_dead_letters(self, function: str) -> bool:
        settings = self._settings_of(function)
        return settings is None or settings.dead_letters == "failed"

    def _signing_secrets(self, function: str) -> tuple[Secret, ...]:
        settings = self._settings_of(function)
        return self.signing_secrets if settings is None else settings.signing_secrets

    def _callback_timeout_seconds(self, function: str) -> float:
        settings = self._settings_of(function)
        return _USUAL_CALLBACK_SECONDS if settings is None else settings.callback_timeout_seconds

    def _acceptance(self, queue: Queue, directory: Directory, space: Space | None) -> Acceptance:
        return Acceptance(
            directory,
            queue,
            refuse_destination=self.policy.refuse,
            why_undeliverable=why_undeliverable,
            own_route=self.policy.own_route,
            deadline_seconds=self.settings.queue.accept_deadline_seconds,
            clock=self.reactor,
            now_ns=time.time_ns,
            accepted=self.watch.accepted,
            verification=self.verification,
            authentication=self._authentication(directory),
            why_no_room=space.why_no_room if space else lambda size_bytes: None,
            withhold=self.withhold,
            begins_traces=self.settings.gateway.begin_traces,
        )

    def _gateway(
        self,
        queue: Queue,
        daemon: Daemon,
        acceptance: Acceptance,
        directory: Directory,
        calls: CallsGateway,
        system: SystemGateway,
    ) -> Gateway:
        settings = self.settings
        proxy = Proxy(
            directory,
            clock=self.reactor,
            now_ns=time.time_ns,
            verification=self.verification,
            authentication=self._authentication(directory),
            invoked=self.watch.invoked,
            withhold=self.withhold,
            begins_traces=self.settings.gateway.begin_traces,
        )
        return Gateway(
            directory,
            acceptance,
            proxy,
            calls,
            system,
            why_not_ready=daemon.why_not_ready,
            largest_body_bytes=settings.gateway.max_body_bytes,
            authentication=self._authentication(directory),
            operators=self.operators,
            bodies=queue.bodies,
        )

    def _authentication(self, directory: Directory) -> Authentication:
        return Authentication(self.operators, directory.find)

    def _provider(self) -> Provider:
        namespace = Namespace(self.settings.gateway.namespace)
        counts = self.figures.invocations
        functions = Functions(self.roster, namespace, counts=counts, usage_of=self.running.usage)
        secrets = Secrets(self.secrets, self.roster, namespace)
        logs = LogLines(self.journal, self.roster, namespace, time.time_ns)
        if self.other_provider is None or self.catalogue is None:
            return Provider(namespace, functions, secrets, logs)
        theirs = Theirs(self.other_provider, namespace)
        return SharedProvider(
            namespace,
            SharedFunctions(functions, theirs, self.catalogue, namespace, counts),
            SharedSecrets(secrets, theirs, namespace),
            SharedLogs(logs, functions, theirs),
            theirs,
        )

    def _calls(self, queue: Queue, settlement: Settlement, waiting: Waiting) -> CallsGateway:
        results = Results(self.reactor, queue.lookup, queue.records, waiting)
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
            self.operators,
            queue.bodies,
        )

    def _dead_letters(self, queue: Queue) -> DeadLetterOffice:
        replay = Replay(queue, self.deployments, time.time_ns, self.watch.accepted)
        return DeadLetterOffice(replay, self.policy.refuse)

    def _reload(self) -> Reading:
        fresh = self.options.read_settings()
        self.doors.renew_certificates()
        self.watch.write_debug = fresh.worker.write_debug
        self.options.level.set(fresh.log.level)
        self.roster.reader = DeploymentReader(fresh, self._has_engine)
        if self.catalogue is not None:
            kept = replace_settings(
                fresh, provider=self.settings.provider, gateway=self.settings.gateway
            )
            self.catalogue.reader = ListReader(kept)
        self.signing_secrets = fresh.callback.signing_secrets
        return Reading(fresh.functions, fresh.notices, restart_needed(self.settings, fresh))


def _nats_credentials(nats: NatsSettings) -> Callable[[], Credentials] | None:
    """Read a key for each connection; once now, to tell whoever starts the daemon of a bad one.

    :raises ConfigurationError: it is one.
    """
    if nats.credentials_file is not None:
        key, read = "credentials_file", partial(read_credentials_file, nats.credentials_file)
    elif nats.nkey_file is not None:
        key, read = "nkey_file", partial(read_nkey_file, nats.nkey_file)
    else:
        return None
    try:
        read()
    except BadCredentials as reason:
        raise ConfigurationError(f"[nats] {key}: {reason}") from reason
    return read


def _nats_tls(nats: NatsSettings) -> Tls:
    """TLS as the settings have it; its files are tried, as with :func:`_nats_credentials`.

    :raises ConfigurationError: one is not what it should be.
    """
    given = bool(nats.ca_file or nats.certificate_file)
    tls = Tls(nats.ca_file, nats.certificate_file, nats.key_file, required=given)
    try:
        if given:
            tls.options("localhost")
    except BadCredentials as reason:
        raise ConfigurationError(f"[nats] {reason}") from reason
    return tls


def _trusted(proxies: tuple[str, ...] | None) -> Trusted | None:
    return None if proxies is None else Trusted(proxies)


def _tell_all(told: Iterable[Callable[[CallKey], None]], key: CallKey) -> None:
    """Tell all of them of a call."""
    for tell in told:
        tell(key)


def _let_go(site: GatewaySite, *waiting: Waiting | Journal | Live) -> None:
    """A door is closed: clients leave when they have their answer, and nobody waits for one."""
    site.let_clients_go()
    for each in waiting:
        each.close()


def _refresh(reports: Iterable[Callable[[], Deferred[None]]]) -> Deferred[None]:
    """Have all reports at once; none of them fails."""
    return gatherResults([report() for report in reports]).addCallback(lambda _: None)
