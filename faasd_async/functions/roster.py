"""Who is deployed: the functions of the settings' file and those that were deployed over HTTP.

The file's come first: nothing that was deployed otherwise takes their place, and only the file
changes them. Behind both stand those that another provider runs, which are deployed with them so
that they can be called, and are none of the roster's otherwise. One change is under way at a time,
a reading of the file included.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from msgspec.structs import replace
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from faasd_async.errors import FaasdAsyncError
from faasd_async.functions.deployment import Record
from faasd_async.functions.errors import Kept, NotStored, NotUsable, NotYet, RosterError, Unknown
from faasd_async.functions.reading import DeploymentReader
from faasd_async.functions.secrets import SecretStore
from faasd_async.functions.store import DeploymentStore
from faasd_async.runtime.deployments import Deployments
from faasd_async.settings import FunctionSettings
from faasd_async.settings.openfaas.deployment import FunctionDeployment

#: How many may be deployed over HTTP.
MOST_DEPLOYED = 1000

#: How many replicas a function may be scaled to.
MOST_REPLICAS = 100

Functions = Mapping[str, FunctionSettings]


class Entry(NamedTuple):
    """One function.

    :ivar record: how it was deployed over HTTP; ``None``: it is the file's.
    :ivar settings: as it is deployed; ``None``: it could not be.
    :ivar replicas: how many there are to be.
    :ivar available: how many take calls.
    """

    name: str
    record: Record | None
    settings: FunctionSettings | None
    created_ns: int
    replicas: int
    available: int


class Roster:
    """Deploys functions.

    :param now_ns: the wall clock, Unix nanoseconds.
    :param changed: told of the names of all functions after each change.
    :ivar reader: reads what is deployed over HTTP.
    """

    _log = Logger()

    def __init__(
        self,
        deployments: Deployments,
        store: DeploymentStore,
        secrets: SecretStore,
        reader: DeploymentReader,
        *,
        now_ns: Callable[[], int],
        changed: Callable[[Functions], None] = lambda functions: None,
    ) -> None:
        self.reader = reader
        self._deployments = deployments
        self._store = store
        self._secrets = secrets
        self._now_ns = now_ns
        self._changed = changed
        self._lock = DeferredLock()
        self._file: Functions = {}
        self._provided: Functions = {}
        self._records: dict[str, Record] | None = None
        self._replicas: dict[str, int] = {}
        self._first_seen_ns: dict[str, int] = {}
        self._failed: dict[str, str] = {}
        self._hidden: list[str] = []
        deployments.when_woken = self._woken

    # -- who there is

    def __iter__(self) -> Iterator[Entry]:
        for name in sorted({*self._file, *(self._records or ())}):
            yield self._entry(name)

    def __contains__(self, name: str) -> bool:
        return name in self._file or name in (self._records or ())

    def find(self, name: str) -> Entry:
        """
        :raises Unknown: there is none of that name.
        """
        if name in self:
            return self._entry(name)
        raise Unknown(f"no function is called {name}")

    def using(self, secret: str) -> list[str]:
        """The functions that are given a secret."""
        deployed = self._deployments.items()
        return sorted(name for name, each in deployed if secret in each.settings.secrets)

    def _entry(self, name: str) -> Entry:
        record = None if name in self._file else (self._records or {}).get(name)
        deployed = self._deployments.get(name)
        return Entry(
            name=name,
            record=record,
            settings=deployed.settings if deployed else None,
            created_ns=record.created_ns if record else self._first_seen_ns.get(name, 0),
            replicas=self._replicas.get(name, 1),
            available=deployed.available_replicas if deployed else 0,
        )

    # -- changes

    async def deploy_file(self, functions: Functions) -> None:
        """Make *functions* those of the file.

        :raises FaasdAsyncError: they cannot be deployed, and nothing has changed; or, the first
            time, what was deployed before cannot be read.
        """
        await self._lock.acquire()
        try:
            if self._records is None:
                self._secrets.prepare()
                self._records = self._store.load()
                self._replicas = {name: each.replicas for name, each in self._records.items()}
            await self._deploy(functions, self._records)
        finally:
            self._lock.release()

    async def deploy_provided(self, functions: Functions) -> None:
        """Make *functions* those that another provider runs. Under one name ours count.

        :raises FaasdAsyncError: nothing has changed.
        """
        await self._lock.acquire()
        before = self._provided
        try:
            self._provided = functions
            await self._deploy(self._file, self._all_records())
        except BaseException:
            self._provided = before
            raise
        finally:
            self._lock.release()

    async def put(self, deployment: FunctionDeployment, *, new: bool) -> None:
        """Deploy a function, or another version of it.

        :param new: whether it may be new, or there has to be one already.
        :raises RosterError: it is not deployed, and nothing has changed.
        """
        name = deployment.service
        await self._lock.acquire()
        try:
            records = self._changeable(name)
            before = records.get(name)
            if before is None and not new:
                raise Unknown(f"no function is called {name}")
            if before is None and len(records) >= MOST_DEPLOYED:
                raise NotUsable(f"{MOST_DEPLOYED} functions are deployed already")
            self._check(deployment)
            replicas = max(self._replicas.get(name, 1), 1)
            created_ns = before.created_ns if before else self._now_ns()
            record = Record(deployment, created_ns, replicas)
            write = partial(self._store.write, record)
            await self._change(name, {**records, name: record}, replicas, write)
        finally:
            self._lock.release()

    async def remove(self, name: str) -> None:
        """Remove a function; its calls wait for one of that name.

        :raises RosterError: it is not removed.
        """
        await self._lock.acquire()
        try:
            records = dict(self._changeable(name))
            if records.pop(name, None) is None:
                raise Unknown(f"no function is called {name}")
            await self._change(name, records, 1, partial(self._store.remove, name))
        finally:
            self._lock.release()

    async def scale(self, name: str, replicas: int) -> None:
        """Have so many replicas of a function. Of one of the file's that holds until the daemon is
        started anew.

        :raises RosterError: there are as many as before.
        """
        await self._lock.acquire()
        try:
            records, entry = self._all_records(), self.find(name)
            if not 0 <= replicas <= MOST_REPLICAS:
                raise NotUsable(
                    f"replicas: found {replicas}; allowed: an integer from 0 to {MOST_REPLICAS}"
                )
            if replicas > 1 and entry.settings is not None and entry.settings.image is not None:
                raise NotUsable(
                    f"{name} is an image, which runs in one container here; how many calls that"
                    " takes at a time is for max_inflight to say"
                )
            if entry.record is None:
                await self._change(name, records, replicas)
            else:
                record = replace(entry.record, replicas=replicas)
                write = partial(self._store.write, record)
                await self._change(name, {**records, name: record}, replicas, write)
        finally:
            self._lock.release()

    def _changeable(self, name: str) -> dict[str, Record]:
        if name in self._file:
            raise Kept(
                f"{name} stands in the daemon's settings file: change it there, and have the file"
                " read again (SIGHUP)"
            )
        return self._all_records()

    def _all_records(self) -> dict[str, Record]:
        if self._records is None:
            raise NotYet("the functions are still starting")
        return self._records

    def _check(self, deployment: FunctionDeployment) -> None:
        _, notices = self.reader.read(deployment)
        there = self._secrets.names
        for secret in deployment.secrets or ():
            if secret not in there:
                raise NotUsable(f"secrets: there is no secret called {secret}")
        for notice in notices:
            self._log.warn("{notice}", notice=notice)

    async def _change(
        self,
        name: str,
        records: dict[str, Record],
        replicas: int,
        write: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Have *records*, which are others of *name* alone: first running, then written.

        :raises RosterError: all is as it was.
        """
        before, scaled_before = self._records or {}, dict(self._replicas)
        self._replicas[name] = replicas
        try:
            failed = await self._deploy(self._file, records)
            if name in failed:
                raise NotUsable(f"{name} cannot be started: {failed[name]}")
            if write is not None:
                await write()
        except FaasdAsyncError as reason:
            self._replicas = scaled_before
            await self._go_back(before)
            if isinstance(reason, RosterError):
                raise
            raise NotUsable(f"{name} cannot be started: {reason}") from reason

    async def _go_back(self, records: dict[str, Record]) -> None:
        try:
            await self._deploy(self._file, records)
        except FaasdAsyncError as reason:
            self._records = records
            self._log.error("what was deployed is not all back: {reason}", reason=str(reason))

    async def _deploy(self, file: Functions, records: dict[str, Record]) -> dict[str, str]:
        """
        :return: why those were not deployed that were not.
        """
        wanted, failed = {**self._provided, **file}, dict[str, str]()
        for name, record in records.items():
            if name in file:
                failed[name] = "the settings file has a function of that name, which counts"
                continue
            try:
                wanted[name], _ = self.reader.read(record.deployment)
            except RosterError as reason:
                failed[name] = str(reason)
        wanted = {name: self._scaled(settings) for name, settings in wanted.items()}
        try:
            self._secrets.give(wanted)
        except OSError as error:
            raise NotStored(f"secrets cannot be given: {error.strerror}") from error
        spare = wanted.keys() - file.keys()
        errors = await self._deployments.deploy(wanted, spare)
        self._file, self._records = file, records
        self._note(wanted)
        failed |= {name: str(reason) for name, reason in errors.items()}
        for name, why in failed.items():
            if self._failed.get(name) != why:
                self._log.error("{function} is not deployed: {why}", function=name, why=why)
        self._failed = failed
        self._tell_hidden(wanted)
        return failed

    def _tell_hidden(self, wanted: Functions) -> None:
        hidden = sorted(name for name in self._provided if not wanted[name].is_provided)
        if hidden and hidden != self._hidden:
            self._log.warn(
                "the provider has functions that are not called, for those of these names here"
                " count: {functions}",
                functions=", ".join(hidden),
            )
        self._hidden = hidden

    def _note(self, wanted: Functions) -> None:
        now_ns = self._now_ns()
        self._first_seen_ns = {name: self._first_seen_ns.get(name, now_ns) for name in wanted}
        known = {*wanted, *(self._records or ())}
        self._replicas = {name: n for name, n in self._replicas.items() if name in known}
        self._changed(wanted)

    def _scaled(self, settings: FunctionSettings) -> FunctionSettings:
        if settings.is_provided:
            return settings
        replicas = self._replicas.get(settings.name, 1)
        return replace(
            settings, replicas=replicas, max_inflight=settings.max_inflight * max(replicas, 1)
        )

    def _woken(self, name: str) -> None:
        self._log.info("{function} had no replicas, and has one now", function=name)
        self._replicas[name] = 1
