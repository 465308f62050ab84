"""Whom a call is for: the deployment that its route names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from twisted.internet.defer import Deferred

from faasd_async.call.route import FunctionRoute, without_namespace
from faasd_async.gateway.refusal import (
    RETRY_SOON,
    Refusal,
    of_provider_error,
    unknown_function,
)
from faasd_async.provider.errors import ProviderError
from faasd_async.runtime.deployments import Deployment


class Elsewhere(Protocol):
    """Somebody else who runs functions, and may have one that is not known here yet."""

    def when_looked_for(self) -> Deferred[None]:
        """:return: fires when what it has by now is deployed; fails with a
        :class:`ProviderError`."""


class Directory:
    """Finds the deployment that a route names.

    :param namespace: the one that may stand behind a function's name.
    :param complete: whether every function is there by now: the doors are open before.
    :param elsewhere: who is asked for a function before it is said that there is none.
    """

    def __init__(
        self,
        deployments: Mapping[str, Deployment],
        namespace: str,
        complete: Callable[[], bool] = lambda: True,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._deployments = deployments
        self._namespace = namespace
        self._complete = complete
        self._elsewhere = elsewhere

    def may_come(self, route: FunctionRoute) -> bool:
        """Whether nothing is known of the function here, and it might be elsewhere."""
        if self._elsewhere is None or not self._complete():
            return False
        return without_namespace(route.name, self._namespace) not in self._deployments

    async def look_around(self, route: FunctionRoute) -> None:
        """Have a function deployed that is not known here, if it is elsewhere.

        :raises Refusal: nobody can tell now: 503, or 502 as for any call whose function cannot be
            reached while the caller waits.
        """
        if self._elsewhere is not None and self.may_come(route):
            try:
                await self._elsewhere.when_looked_for()
            except ProviderError as reason:
                refusal = of_provider_error(reason)
                raise refusal if route.asynchronous else Refusal(502, str(reason)) from None

    def find(self, route: FunctionRoute) -> Deployment:
        """
        :raises Refusal: 404, no function is called so; 503, not yet.
        """
        name = without_namespace(route.name, self._namespace)
        try:
            return self._deployments[name]
        except KeyError:
            if not self._complete():
                raise Refusal(503, "the functions are still starting", RETRY_SOON) from None
            raise unknown_function(route.name) from None

    def knows(self, route: FunctionRoute) -> bool:
        """Whether there is such a function, or may be by the time that all have started, or
        elsewhere."""
        name = without_namespace(route.name, self._namespace)
        return name in self._deployments or self._elsewhere is not None or not self._complete()
