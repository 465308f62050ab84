"""The two tokens that a call has while it runs: one of its deployment's, one of the daemon's."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError

from faasd_async.errors import NotHandedOver
from faasd_async.runtime.deployments import Deployment, Deployments
from faasd_async.semaphore import Semaphore
from faasd_async.worker.expiry import is_too_old
from faasd_async.worker.lane import Lane
from faasd_async.worker.lanes import Lanes
from faasd_async.worker.run import Run


class Admission:
    """Hands tokens out, the deployment's first, and takes them back.

    :param tokens: the daemon's.
    :param now_ns: the wall clock, Unix nanoseconds.
    """

    def __init__(
        self,
        deployments: Deployments,
        lanes: Lanes,
        tokens: Semaphore,
        now_ns: Callable[[], int],
    ) -> None:
        self._deployments = deployments
        self._lanes = lanes
        self._tokens = tokens
        self._now_ns = now_ns

    def at_once(self, run: Run) -> Deployment | None:
        """Take both tokens for a call that may begin this moment, as most can.

        :return: its deployment; ``None`` if there is anything to wait for or to look at.
        """
        request = run.request
        deployment = self._deployments.get(request.function)
        if (
            deployment is None
            or not self._tokens.tokens
            or not self._lanes.could_begin(request, deployment)
            or is_too_old(request, deployment.settings.expires_seconds, self._now_ns())
            or not deployment.tokens.take()
        ):
            return None
        # It was seen above that there is one.
        self._tokens.take()
        return deployment

    async def wait(self, run: Run, lane: Lane) -> Deployment:
        """Wait for both tokens.

        :raises NotHandedOver: the function is not deployed.
        """
        deployment = self._deployments.get(run.request.function)
        if deployment is None:
            raise NotHandedOver("no such function is deployed now")
        await deployment.tokens.acquire()
        try:
            await self._tokens.acquire()
        except CancelledError:
            deployment.release()
            raise
        lane.waiting.discard(run)
        return deployment

    def release(self, deployment: Deployment) -> None:
        """Give both tokens back."""
        was_full = not self._tokens.tokens
        self._tokens.release()
        if was_full:
            self._lanes.top_up()
        deployment.release()
