"""Callbacks: where they are put, how they are signed, and who brings them out."""

from __future__ import annotations

import time
from functools import partial

from faasd_async.assembly.functions import Functions
from faasd_async.assembly.shared import Shared
from faasd_async.call.callback_url import CallbackUrl
from faasd_async.callback.chain import Chain
from faasd_async.callback.names import Names
from faasd_async.callback.outbox import Outbox
from faasd_async.callback.poster import Poster
from faasd_async.callback.receivers import Receivers
from faasd_async.callback.schedule import Schedule
from faasd_async.callback.signing import Signing
from faasd_async.callback.way_out import WayOut
from faasd_async.callback.world import World
from faasd_async.gateway.accept import Acceptance
from faasd_async.gateway.chained import accept_chained
from faasd_async.gateway.directory import Directory
from faasd_async.queue.interface import Queue
from faasd_async.queue.leases import Leases
from faasd_async.settings import Secret

#: What a callback may take whose function is not deployed any more.
_USUAL_CALLBACK_SECONDS = 30.0


class Callbacks:
    """Makes what callbacks need.

    :ivar signing_secrets: of callbacks whose function is deployed no more.
    """

    def __init__(self, shared: Shared, functions: Functions) -> None:
        self._shared = shared
        self._functions = functions
        self._receivers = Receivers(shared.reactor, shared.settings.callback.max_inflight)
        self.signing_secrets = shared.settings.callback.signing_secrets

    def outbox(self, queue: Queue) -> Outbox:
        return Outbox(
            queue,
            self._receivers,
            self._functions.keeps_dead_letters,
            time.time_ns,
            self._shared.watch.callback_given_up,
        )

    def poster(self, queue: Queue, directory: Directory, acceptance: Acceptance) -> Poster:
        reactor, settings = self._shared.reactor, self._shared.settings
        callback = settings.callback
        return Poster(
            reactor,
            queue,
            Leases(reactor, settings.worker.ack_wait_seconds),
            Signing(
                Chain(
                    reactor,
                    World(reactor, self._timeout_seconds, self._way_out(), queue.bodies),
                    is_own=self._shared.policy.is_own,
                    enqueue=partial(accept_chained, directory, acceptance),
                    max_hops=callback.max_hops,
                    home=self._home,
                ),
                self._secrets,
                time.time,
                queue.bodies,
            ),
            self._receivers,
            Schedule(callback.attempts, callback.min_wait_seconds, callback.max_wait_seconds),
            max_inflight=callback.max_inflight,
            keeps_dead_letters=self._functions.keeps_dead_letters,
            now_ns=time.time_ns,
            observer=self._shared.watch,
        )

    def _home(self, url: CallbackUrl) -> CallbackUrl:
        home = self._shared.doors.home
        is_alias = self._shared.policy.is_alias
        return url if home is None or not is_alias(url) else url.moved_to(*home)

    def _way_out(self) -> WayOut:
        reactor, settings = self._shared.reactor, self._shared.settings
        return WayOut(
            reactor,
            Names(reactor),
            self._shared.policy.refuse_address,
            settings.proxy,
            settings.callback.ca_file,
        )

    def _secrets(self, function: str) -> tuple[Secret, ...]:
        settings = self._functions.settings_of(function)
        return self.signing_secrets if settings is None else settings.signing_secrets

    def _timeout_seconds(self, function: str) -> float:
        settings = self._functions.settings_of(function)
        return _USUAL_CALLBACK_SECONDS if settings is None else settings.callback_timeout_seconds
