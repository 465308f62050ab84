"""The deployments: which functions there are, each with its workbench and its tokens.

A deployment's tokens count the invocations that run, whoever asked for them: a worker waits for
one, a synchronous caller that finds none free is turned away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from weakref import WeakValueDictionary

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.runtime.collect import invoker_of
from faasd_async.runtime.interface import Invocation, Reply, Runtime
from faasd_async.runtime.tokens import Room, Tokens, nobody
from faasd_async.settings import FunctionSettings


class Deployment:
    """One function as it is deployed now.

    :param room: what it shares with the deployment before it.
    :ivar tokens: one for each invocation that may run at a time. Whoever invokes holds one.
    :ivar invoke_whole: as :meth:`invoke`, for somebody who waits for the whole answer; see
        :meth:`.interface.WholeRuntime.invoke_whole`.
    :ivar is_closing: no invocation is to begin any more.
    """

    def __init__(
        self, settings: FunctionSettings, runtime: Runtime, room: Room | None = None
    ) -> None:
        self.settings = settings
        self.runtime = runtime
        self.invoke_whole = invoker_of(runtime)
        self.is_closing = False
        self.tokens = Tokens(room or Room(settings.max_inflight))

    @property
    def name(self) -> str:
        return self.settings.name

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
        self.runtime.when_over().addCallback(lambda _: self.tokens.release())

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
        self._retiring: dict[Deployment, Deferred[None]] = {}
        #: Kept for as long as a deployment uses them, one that retires included.
        self._rooms: WeakValueDictionary[str, Room] = WeakValueDictionary()
        self.when_changed: Callable[[], None] = nobody

    def __getitem__(self, name: str) -> Deployment:
        return self._deployed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._deployed)

    def __len__(self) -> int:
        return len(self._deployed)

    async def deploy(self, functions: Mapping[str, FunctionSettings]) -> None:
        """Make *functions* the deployments: start what is new or changed, retire what is not
        wanted any more. What stayed the same goes on undisturbed.

        :raises FaasdAsyncError: a function cannot be started; then, as when this is cancelled,
            nothing has changed, and what had been started is stopped.
        """
        fresh: dict[str, Deployment] = {}
        try:
            for name, settings in functions.items():
                if name not in self._deployed or self._deployed[name].settings != settings:
                    fresh[name] = self._make(settings)
                    await fresh[name].runtime.start()
        except Exception:  # a cancelled start is one, too
            await self._stop_all(fresh.values())
            raise
        before = self._deployed
        self._deployed = {name: fresh.get(name) or before[name] for name in functions}
        self.complete = True
        for name, deployment in fresh.items():
            self._rooms[name] = deployment.tokens.room
            deployment.tokens.room.resize(deployment.settings.max_inflight)
        self.when_changed()
        for name, deployment in before.items():
            if self._deployed.get(name) is not deployment:
                self._retire(deployment)

    def _make(self, settings: FunctionSettings) -> Deployment:
        room = self._rooms.get(settings.name)
        return Deployment(settings, self._make_runtime(settings), room)

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
