"""The deployments: which functions there are, each with its workbench and its tokens.

A deployment's tokens count the invocations that run, whoever asked for them: a worker waits for
one, a synchronous caller that finds none free is turned away.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TypeVar, overload
from weakref import WeakValueDictionary

from msgspec.structs import replace
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.errors import FaasdAsyncError, StartError
from faasd_async.runtime.asleep import Asleep
from faasd_async.runtime.collect import invoker_of
from faasd_async.runtime.interface import Invocation, Readiness, Reply, Runtime
from faasd_async.runtime.passing import passer_of
from faasd_async.runtime.tokens import Room, Tokens, nobody
from faasd_async.settings import FunctionSettings

T = TypeVar("T")


class Deployment:
    """One function as it is deployed now.

    :param room: what it shares with the deployment before it.
    :ivar tokens: one for each invocation that may run at a time. Whoever invokes holds one.
    :ivar invoke_whole: as :meth:`invoke`, for somebody who waits for the whole answer; see
        :meth:`.interface.WholeRuntime.invoke_whole`.
    :ivar invoke_passing: as :meth:`invoke`, for somebody who takes the answer as it comes; see
        :meth:`.interface.PassingRuntime.invoke_passing`.
    :ivar is_closing: no invocation is to begin any more.
    """

    def __init__(
        self, settings: FunctionSettings, runtime: Runtime, room: Room | None = None
    ) -> None:
        self.settings = settings
        self.runtime = runtime
        self.invoke_whole = invoker_of(runtime)
        self.invoke_passing = passer_of(runtime)
        self.is_closing = False
        self.tokens = Tokens(room or Room(settings.max_inflight))

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def available_replicas(self) -> int:
        """How many replicas would take a call at this moment, as far as anybody can tell."""
        if isinstance(self.runtime, Readiness) and not self.runtime.is_ready:
            return 0
        return self.settings.replicas

    def wake(self, runtime: Runtime) -> None:
        """Have a workbench that is up, after all."""
        self.runtime = runtime
        self.invoke_whole = invoker_of(runtime)
        self.invoke_passing = passer_of(runtime)
        self.settings = replace(self.settings, replicas=1)

    @property
    def free(self) -> int:
        """How many more invocations may run."""
        return self.tokens.room.free

    @property
    def running(self) -> int:
        """How many invocations run, those of the deployment before this one included."""
        return self.tokens.room.in_use

    @property
    def when_freed(self) -> Callable[[], None]:
        """Called after a token came back."""
        return self.tokens.room.when_freed

    @when_freed.setter
    def when_freed(self, told: Callable[[], None]) -> None:
        self.tokens.room.when_freed = told

    def invoke(self, invocation: Invocation, timeout_seconds: float) -> Deferred[Reply]:
        """Run one invocation, holding a token; see :meth:`.interface.Runtime.invoke`."""
        return self.runtime.invoke(invocation, timeout_seconds)

    def release(self) -> None:
        """Give a token back.

        It is free when nothing is left of the invocation: the end of a process that passed its
        limit is told at once, and the process takes a moment to die.
        """
        over = self.runtime.when_over()
        if over is None:
            self.tokens.release()
        else:
            over.addCallback(lambda _: self.tokens.release())

    async def when_idle(self) -> None:
        """Wait until every token is back; then none is free any more."""
        self.is_closing = True
        await gatherResults([self.tokens.acquire() for _ in range(self.tokens.limit)])

    async def retire(self) -> None:
        """Wait for the invocations that run or wait here, then let go of the workbench."""
        await self.tokens.when_unused()
        await self.runtime.stop()


class Deployments(Mapping[str, Deployment]):
    """All deployments by name.

    :param make_runtime: builds a function's workbench; opens nothing.
    :ivar complete: whether they were all deployed, once; before, one that is missing may come yet.
    """

    _log = Logger()

    def __init__(self, make_runtime: Callable[[FunctionSettings], Runtime]) -> None:
        self._make_runtime = make_runtime
        self._deployed: dict[str, Deployment] = {}
        self.complete = False
        self._stopped = False
        self._retiring: dict[Deployment, Deferred[None]] = {}
        #: Kept for as long as a deployment uses them, one that retires included.
        self._rooms: WeakValueDictionary[str, Room] = WeakValueDictionary()
        self.when_changed: Callable[[], None] = nobody
        #: Told of a function without replicas that was called, and has one now.
        self.when_woken: Callable[[str], None] = lambda name: None

    def __getitem__(self, name: str) -> Deployment:
        return self._deployed[name]

    @overload
    def get(self, name: str, /) -> Deployment | None: ...

    @overload
    def get(self, name: str, /, default: Deployment | T) -> Deployment | T: ...

    def get(self, name: str, /, default: object = None) -> object:
        """As any mapping's, for less: it is asked several times for each call."""
        return self._deployed.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._deployed)

    def __len__(self) -> int:
        return len(self._deployed)

    async def deploy(
        self, functions: Mapping[str, FunctionSettings], spare: Collection[str] = ()
    ) -> Mapping[str, FaasdAsyncError]:
        """Make *functions* the deployments: start what is new or changed, retire what is not
        wanted any more. What stayed the same goes on undisturbed.

        :param spare: the names of those without which the rest is deployed: one that cannot be
            started stays as it was, or is left out.
        :return: why these were not started.
        :raises FaasdAsyncError: a function cannot be started; then, as when this is cancelled,
            nothing has changed, and what had been started is stopped.
        """
        fresh: dict[str, Deployment] = {}
        failed: dict[str, FaasdAsyncError] = {}
        try:
            for name, settings in functions.items():
                if name not in self._deployed or self._deployed[name].settings != settings:
                    fresh[name] = self._make(settings)
                    try:
                        await fresh[name].runtime.start()
                    except FaasdAsyncError as reason:
                        if name not in spare:
                            raise
                        failed[name] = reason
                        await self._stop(fresh.pop(name))
            if self._stopped:
                raise StartError("the daemon is stopping")
        except Exception:  # a cancelled start is one, too
            await self._stop_all(fresh.values())
            raise
        before = self._deployed
        self._deployed = {
            name: fresh.get(name) or before[name]
            for name in functions
            if name in fresh or name in before
        }
        self.complete = True
        for name, deployment in fresh.items():
            self._rooms[name] = deployment.tokens.room
            deployment.tokens.room.resize(deployment.settings.max_inflight)
        self.when_changed()
        for name, deployment in before.items():
            if self._deployed.get(name) is not deployment:
                self._retire(deployment)
        return failed

    def _make(self, settings: FunctionSettings) -> Deployment:
        room = self._rooms.get(settings.name)
        runtime = self._make_runtime(settings)
        if settings.replicas:
            return Deployment(settings, runtime, room)

        def woken() -> None:
            deployment.wake(runtime)
            if self._deployed.get(settings.name) is deployment:
                self.when_woken(settings.name)

        deployment = Deployment(settings, Asleep(settings.name, runtime, woken), room)
        return deployment

    def _retire(self, deployment: Deployment) -> None:
        if deployment.name not in self._deployed:
            deployment.when_freed = nobody
        self._retiring[deployment] = retiring = Deferred.fromCoroutine(deployment.retire())

        def retired(failed: Failure | None) -> None:
            del self._retiring[deployment]
            if failed is not None:
                self._log.failure("cannot let go of {function}", failed, function=deployment.name)

        retiring.addBoth(retired)

    async def when_idle(self) -> None:
        """Wait until no invocation runs; then none can begin any more."""
        idle = [Deferred.fromCoroutine(each.when_idle()) for each in self._deployed.values()]
        await gatherResults(idle)

    async def stop(self) -> None:
        """Let go of every workbench, those still retiring included."""
        self._stopped = True
        deployed, self._deployed = self._deployed, {}
        retiring = dict(self._retiring)
        await self._stop_all([*deployed.values(), *retiring])
        await gatherResults(retiring.values())

    async def _stop_all(self, deployments: Iterable[Deployment]) -> None:
        """Let go of workbenches, all at the same time; what still runs on them is aborted."""
        await gatherResults([Deferred.fromCoroutine(self._stop(each)) for each in deployments])

    async def _stop(self, deployment: Deployment) -> None:
        try:
            await deployment.runtime.stop()
        except Exception:
            self._log.failure("cannot let go of {function}", function=deployment.name)
