"""What a daemon is made of, as far as its life has to know: each part comes up and goes down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred

from faasd_async.daemon.ground import Ground
from faasd_async.gateway.doors import Doors
from faasd_async.queue.interface import Queue
from faasd_async.runtime.deployments import Deployments
from faasd_async.runtime.process.notes import ProcessNotes
from faasd_async.statelock import StateLock


class Broker(Protocol):
    """A broker that this daemon runs itself."""

    def start(self) -> Deferred[None]: ...

    def stop(self) -> Deferred[None]: ...


class Sweeping(Protocol):
    """Who removes what an earlier daemon left behind of functions that are gone."""

    def start(self) -> None: ...

    def stop(self) -> Deferred[None]: ...


class Provider(Protocol):
    """Somebody else who runs functions, which are deployed here as far as they are known."""

    def start(self) -> Deferred[None]: ...

    async def stop(self) -> None: ...


class Onlooker(Protocol):
    """Who looks, from time to time, at how things are."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Hand(Protocol):
    """Who takes parcels from the queue."""

    def start(self) -> None: ...

    def stop_taking(self) -> None: ...

    def when_idle(self) -> Deferred[None]: ...

    def give_up(self) -> int: ...


@dataclass(frozen=True)
class Parts:
    """What a daemon is made of."""

    lock: StateLock
    ground: Ground
    processes: ProcessNotes
    broker: Broker | None
    queue: Queue
    deployments: Deployments
    sweeping: Sweeping
    hands: tuple[Hand, ...]
    doors: Doors
    provider: Provider | None = None
    onlookers: tuple[Onlooker, ...] = ()
