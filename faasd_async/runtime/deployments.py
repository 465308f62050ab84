"""The deployments: which functions there are, each with its workbench and its tokens.

A deployment's tokens count the invocations that run, whoever asked for them: a worker waits for
one, a synchronous caller that finds none free is turned away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.logger import Logger

from ..errors import FaasdAsyncError
from ..settings import FunctionSettings
from .interface import Invocation, Reply, Runtime


class Deployment:
    """One function as it is deployed now.

    :ivar tokens: one for each invocation that may run at a time. Whoever invokes holds one.
    :ivar when_freed: called after a token came back.
    """

    def __init__(self, settings: FunctionSettings, runtime: Runtime) -> None:
        self.settings = settings
        self.runtime = runtime
        self.tokens = DeferredSemaphore(settings.max_inflight)
        self.when_freed: Callable[[], None] = _nobody

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def free(self) -> int:
        """How many more invocations may run."""
        return self.tokens.tokens

    def invoke(self, invocation: Invocation, timeout_seconds: float) -> Deferred[Reply]:
        """Run one invocation, holding a token; see :meth:`.interface.Runtime.invoke`."""
        return self.runtime.invoke(invocation, timeout_seconds)

    def release(self) -> None:
        """Give a token back."""
        self.tokens.release()
        self.when_freed()

    async def when_idle(self) -> None:
        """Wait until every token is back; then none is free any more."""
        await gatherResults([self.tokens.acquire() for _ in range(self.tokens.limit)])

    async def retire(self) -> None:
        """Wait for the invocations that run, then let go of the workbench."""
        self.when_freed = _nobody
        await self.when_idle()
        await self.runtime.stop()


class Deployments(Mapping[str, Deployment]):
    """All deployments by name.

    :param make_runtime: builds a function's workbench; opens nothing.
    """

    _log = Logger()

    def __init__(self, make_runtime: Callable[[FunctionSettings], Runtime]) -> None:
        self._make_runtime = make_runtime
        self._deployed: dict[str, Deployment] = {}
        self._retiring: set[Deferred[None]] = set()
        self.when_changed: Callable[[], None] = _nobody

    def __getitem__(self, name: str) -> Deployment:
        return self._deployed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._deployed)

    def __len__(self) -> int:
        return len(self._deployed)

    async def deploy(self, functions: Mapping[str, FunctionSettings]) -> None:
        """Make *functions* the deployments: start what is new or changed, retire what is not
        wanted any more. What stayed the same goes on undisturbed.

        :raises FaasdAsyncError: a function cannot be started; then nothing has changed.
        """
        fresh: dict[str, Deployment] = {}
        try:
            for name, settings in functions.items():
                if name not in self._deployed or self._deployed[name].settings != settings:
                    fresh[name] = Deployment(settings, self._make_runtime(settings))
                    await fresh[name].runtime.start()
        except FaasdAsyncError:
            for deployment in fresh.values():
                await deployment.runtime.stop()
            raise
        before = self._deployed
        self._deployed = {name: fresh.get(name) or before[name] for name in functions}
        self.when_changed()
        for name, deployment in before.items():
            if self._deployed.get(name) is not deployment:
                self._retire(deployment)

    def _retire(self, deployment: Deployment) -> None:
        retiring = Deferred.fromCoroutine(deployment.retire())
        self._retiring.add(retiring)
        retiring.addErrback(
            lambda reason: self._log.failure(
                "cannot let go of {function}", failure=reason, function=deployment.name
            )
        )
        retiring.addBoth(lambda _: self._retiring.discard(retiring))

    async def when_idle(self) -> None:
        """Wait until no invocation runs; then none can begin any more."""
        for deployment in self._deployed.values():
            await deployment.when_idle()

    async def stop(self) -> None:
        """Let go of every workbench, those still retiring included."""
        deployed, self._deployed = self._deployed, {}
        for deployment in deployed.values():
            await deployment.runtime.stop()
        for retiring in list(self._retiring):
            await retiring


def _nobody() -> None:
    """Nobody has asked to be told."""
