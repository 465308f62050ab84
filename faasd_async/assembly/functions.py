"""The functions: what runs them, who has deployed them, and what is to be known of each."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from msgspec.structs import replace
from twisted.internet.defer import Deferred

from faasd_async.assembly.shared import Shared
from faasd_async.functions.reading import DeploymentReader
from faasd_async.functions.roster import Roster
from faasd_async.functions.secrets import SecretStore
from faasd_async.functions.store import DeploymentStore
from faasd_async.observe.glance import FunctionNow
from faasd_async.provider.catalogue import Catalogue
from faasd_async.provider.interface import Asks
from faasd_async.provider.listed import ListReader
from faasd_async.provider.remembered import Remembered
from faasd_async.provider.waking import Waking
from faasd_async.runtime.container.installation import Installation, engine_at, engine_is_there
from faasd_async.runtime.container.sweeping import Sweeping
from faasd_async.runtime.deployments import Deployments
from faasd_async.runtime.interface import Runtime
from faasd_async.runtime.journal import Journal
from faasd_async.runtime.making import make_runtime
from faasd_async.runtime.process.notes import ProcessNotes
from faasd_async.runtime.process.usage import RunningProcesses
from faasd_async.settings import FunctionSettings, Settings


class Functions:
    """What is deployed, and all that it takes.

    :ivar other_provider: somebody else who runs functions.
    :ivar catalogue: what is known of those; ``None`` if there is nobody.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        reactor, settings, state_dir = shared.reactor, shared.settings, shared.state_dir
        self.processes = ProcessNotes(reactor, state_dir)
        self.journal = Journal(time.time_ns)
        self.running = RunningProcesses()
        self.secrets = SecretStore(state_dir, shared.elsewhere)
        self._containers = Installation(
            engine_at(
                reactor,
                settings.containers.socket,
                os.environ,
                settings.containers.logins_file,
            ),
            state_dir,
            now_seconds=time.time,
            patience_seconds=settings.worker.drain_timeout_seconds,
            keep=self.journal.keep,
        )
        self.other_provider = self._other_provider()
        self.deployments = Deployments(self._make_runtime)
        self.roster = Roster(
            self.deployments,
            DeploymentStore(state_dir / "functions", shared.elsewhere),
            self.secrets,
            DeploymentReader(settings, self._has_engine),
            now_ns=time.time_ns,
            changed=self.journal.forget_others,
        )
        self.catalogue = self._catalogue()

    def _other_provider(self) -> Asks | None:
        if self._shared.settings.provider.url is None:
            return None
        # treq brings much along, and is for those alone who need it.
        from faasd_async.provider.asking import Asking

        return Asking(
            self._shared.reactor,
            self._shared.settings.provider,
            self._shared.options.authorization,
        )

    def _catalogue(self) -> Catalogue | None:
        settings = self._shared.settings
        provider = settings.provider
        if self.other_provider is None or provider.url is None:
            return None
        return Catalogue(
            self._shared.reactor,
            self.other_provider,
            ListReader(settings),
            Remembered(
                self._shared.state_dir / "provider.json", provider.url, self._shared.elsewhere
            ),
            deploy=self.roster.deploy_provided,
            namespace=settings.gateway.namespace,
            refresh_seconds=provider.refresh_seconds,
        )

    def _has_engine(self) -> bool:
        return engine_is_there(self._shared.settings.containers.socket, os.environ)

    def _make_runtime(self, settings: FunctionSettings) -> Runtime:
        return make_runtime(
            settings,
            self._shared.reactor,
            note=self.running.noting(settings.name, self.processes.note),
            containers=self._containers,
            keep=self.journal.keep,
            secrets_of=self.secrets.directory_of,
            wake=self._wake,
        )

    def _wake(self, function: str) -> Deferred[None]:
        assert self.other_provider is not None
        namespace = self._shared.settings.gateway.namespace
        return Waking(self._shared.reactor, self.other_provider, namespace).wake(function)

    def sweeping(self) -> Sweeping:
        return Sweeping(
            self._shared.reactor,
            self._containers.ours,
            self.deployments.__contains__,
            self._has_engine,
        )

    def settings_of(self, function: str) -> FunctionSettings | None:
        """A function's, if it is deployed."""
        deployment = self.deployments.get(function)
        return None if deployment is None else deployment.settings

    def keeps_dead_letters(self, function: str) -> bool:
        settings = self.settings_of(function)
        return settings is None or settings.dead_letters == "failed"

    def now(self, queued: Mapping[str, int]) -> list[FunctionNow]:
        """How things are with each.

        :param queued: how many queued calls of each run.
        """
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

    def read_by(self, fresh: Settings) -> None:
        """Have deployments read by other settings from now on."""
        self.roster.reader = DeploymentReader(fresh, self._has_engine)
        if self.catalogue is not None:
            settings = self._shared.settings
            kept = replace(fresh, provider=settings.provider, gateway=settings.gateway)
            self.catalogue.reader = ListReader(kept)
