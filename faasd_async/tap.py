"""The assembler: reads the settings and puts the daemon together. It holds no logic.

``makeService`` runs before twistd forks and before it drops privileges: nothing is opened,
spawned or listened on here.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.internet.protocol import Factory
from twisted.logger import ILogObserver
from twisted.python import usage

from faasd_async.callback.destination import DestinationPolicy
from faasd_async.callback.letter import write_letter
from faasd_async.callback.poster import Poster
from faasd_async.callback.world import world_client
from faasd_async.daemon import Daemon, Parts
from faasd_async.errors import ConfigurationError
from faasd_async.gateway.accept import Acceptance
from faasd_async.gateway.application import Gateway
from faasd_async.gateway.arrival import Directory
from faasd_async.gateway.doors import Doors
from faasd_async.gateway.figures import FiguresGateway
from faasd_async.gateway.proxy import Proxy
from faasd_async.gateway.system.application import SystemGateway
from faasd_async.nats import NatsClient, ServerAddress
from faasd_async.nats.server import EmbeddedServer, ServerSettings
from faasd_async.observe.calls import CallWatch
from faasd_async.observe.figures import Figures
from faasd_async.observe.logs import Level, make_observer
from faasd_async.queue.interface import Queue
from faasd_async.queue.jetstream import JetStreamQueue
from faasd_async.queue.jetstream.durability import Acknowledged, Barrier
from faasd_async.queue.jetstream.layout import Layout
from faasd_async.queue.leases import Leases
from faasd_async.queue.memory import MemoryQueue
from faasd_async.runtime.deployments import Deployments
from faasd_async.runtime.making import make_runtime
from faasd_async.settings import FunctionSettings, Settings, load
from faasd_async.statelock import StateLock
from faasd_async.worker.settlement import Settlement
from faasd_async.worker.worker import Worker

#: What an embedded nats-server takes in one message.
_EMBEDDED_PAYLOAD_BYTES = 8 * 2**20

#: What any nats-server takes unless it is told otherwise.
_USUAL_PAYLOAD_BYTES = 2**20

#: What a callback may take whose function is not deployed any more.
_USUAL_CALLBACK_SECONDS = 30.0


class Options(usage.Options):
    """The command line behind ``twistd faasd-async``.

    :ivar settings: what was read.
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
            self.settings = self.read_settings()
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

    def read_settings(self) -> Settings:
        """
        :raises ConfigurationError: they cannot be used.
        """
        return load(self["config"], os.environ, state_dir=self["state-dir"], listen=self["listen"])


def makeService(options: Options) -> IService:
    """Put the daemon together."""
    from twisted.internet import reactor

    # Twisted tells of every factory that starts and stops: one for each outgoing connection.
    Factory.noisy = False
    return Assembly(reactor, options).daemon()


class Assembly:
    """Everything the daemon is made of, each part made once."""

    def __init__(self, reactor: Any, options: Options) -> None:
        self.reactor = reactor
        self.options = options
        self.settings = options.settings
        self.state_dir = Path(self.settings.state_dir)
        self.static = self.settings.queue.mode == "static"
        self.figures = Figures()
        self.watch = CallWatch(self.figures, self.settings.worker.write_debug)
        self.deployments = Deployments(partial(make_runtime, reactor=reactor))

    def daemon(self) -> Daemon:
        settings = self.settings
        broker = self._broker()
        queue = self._queue(broker)
        parts = Parts(
            lock=StateLock(self.state_dir),
            broker=broker,
            queue=queue,
            deployments=self.deployments,
            hands=(self._worker(queue), self._poster(queue)),
            doors=Doors(self.reactor),
        )
        daemon = Daemon(
            self.reactor,
            parts,
            functions=settings.functions,
            reload=self._reload,
            drain_timeout_seconds=settings.worker.drain_timeout_seconds,
            notices=settings.notices,
            observer=self.options.observer,
        )
        gateway = self._gateway(queue, parts.doors, daemon)
        for endpoint in settings.gateway.listen:
            parts.doors.add(
                endpoint, gateway.site(settings.gateway.read_timeout_seconds, self.reactor)
            )
        figures = FiguresGateway(self.figures.render)
        for endpoint in settings.gateway.metrics_listen:
            parts.doors.add(endpoint, figures.site(self.reactor))
        return daemon

    def _broker(self) -> EmbeddedServer | None:
        nats, queue = self.settings.nats, self.settings.queue
        if queue.backend == "memory" or not nats.embedded:
            return None
        layout = self._layout()
        return EmbeddedServer(
            self.reactor,
            self.reactor,
            ServerSettings(
                state_dir=self.state_dir,
                max_file_store_bytes=layout.reserved_bytes,
                binary=None if nats.binary is None else Path(nats.binary),
                max_payload_bytes=_EMBEDDED_PAYLOAD_BYTES,
            ),
        )

    def _layout(self) -> Layout:
        return Layout(
            calls_bytes=self.settings.queue.max_bytes,
            callbacks_bytes=self.settings.queue.max_bytes,
            later_bytes=self.settings.queue.max_bytes,
            outcomes_bytes=self.settings.queue.results_max_bytes,
            dead_bytes=self.settings.queue.results_max_bytes,
            replicas=self.settings.nats.replicas,
            ack_wait_seconds=self.settings.worker.ack_wait_seconds,
        )

    def _queue(self, broker: EmbeddedServer | None) -> Queue:
        settings = self.settings
        if settings.queue.backend == "memory":
            return MemoryQueue(self.reactor, settings.worker.ack_wait_seconds)
        power = settings.queue.durability == "power" and broker is not None
        store = str(self.state_dir / "nats")
        return JetStreamQueue(
            self.reactor,
            self._client(broker),
            self._layout(),
            Barrier(self.reactor, store) if power else Acknowledged(),
            static=self.static,
            alone=broker is not None,
            largest_payload_bytes=_EMBEDDED_PAYLOAD_BYTES if broker else _USUAL_PAYLOAD_BYTES,
            now_seconds=time.time,
        )

    def _client(self, broker: EmbeddedServer | None) -> NatsClient:
        nats = self.settings.nats
        if broker is None:
            addresses = [ServerAddress.parse(url) for url in nats.urls]
            return NatsClient(
                self.reactor,
                addresses,
                user=nats.user or "",
                password=nats.password or "",
                token=nats.token or "",
            )

        def embedded() -> list[ServerAddress]:
            if broker.address is None:
                return []
            return [ServerAddress(*broker.address, *broker.credentials)]

        client = NatsClient(self.reactor, embedded)
        broker.on_ready.append(lambda _: client.reconnect_now())
        return client

    def _leases(self) -> Leases:
        return Leases(self.reactor, self.settings.worker.ack_wait_seconds)

    def _worker(self, queue: Queue) -> Worker:
        return Worker(
            self.reactor,
            queue,
            self.deployments,
            self._leases(),
            Settlement(queue, partial(write_letter, now_seconds=time.time), self._settings_of),
            max_inflight=self.settings.worker.max_inflight,
            static=self.static,
            lease_seconds=self.settings.worker.ack_wait_seconds,
            now_ns=time.time_ns,
            observer=self.watch,
        )

    def _poster(self, queue: Queue) -> Poster:
        callback = self.settings.callback
        return Poster(
            self.reactor,
            queue,
            self._leases(),
            world_client(self.reactor),
            timeout_seconds=self._callback_timeout_seconds,
            tries=callback.attempts,
            max_inflight=callback.max_inflight,
            observer=self.watch,
        )

    def _settings_of(self, function: str) -> FunctionSettings | None:
        deployment = self.deployments.get(function)
        return None if deployment is None else deployment.settings

    def _callback_timeout_seconds(self, function: str) -> float:
        settings = self._settings_of(function)
        return _USUAL_CALLBACK_SECONDS if settings is None else settings.callback_timeout_seconds

    def _gateway(self, queue: Queue, doors: Doors, daemon: Daemon) -> Gateway:
        settings = self.settings
        directory = Directory(self.deployments, settings.gateway.namespace)
        policy = DestinationPolicy(
            settings.callback.policy == "private", lambda: doors.port_numbers
        )
        acceptance = Acceptance(
            directory,
            queue,
            refuse_destination=policy.refuse,
            deadline_seconds=settings.queue.accept_deadline_seconds,
            clock=self.reactor,
            now_ns=time.time_ns,
            accepted=self.watch.accepted,
        )
        proxy = Proxy(
            directory, clock=self.reactor, now_ns=time.time_ns, invoked=self.watch.invoked
        )
        return Gateway(
            directory,
            acceptance,
            proxy,
            SystemGateway(),
            why_not_ready=daemon.why_not_ready,
            largest_body_bytes=settings.gateway.max_body_bytes,
        )

    def _reload(self) -> Mapping[str, FunctionSettings]:
        fresh = self.options.read_settings()
        self.watch.write_debug = fresh.worker.write_debug
        self.options.level.set(fresh.log.level)
        return fresh.functions
