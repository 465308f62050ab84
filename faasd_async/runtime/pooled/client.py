"""The connections to one function, and who goes over them."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from faasd_async.http.pool import Pool
from faasd_async.runtime.deadline import UnderWay
from faasd_async.runtime.interface import Invocation, Passing, Receiver, Reply, WhenWhole
from faasd_async.runtime.pooled.passed import PassedCall
from faasd_async.runtime.pooled.replied import RepliedCall
from faasd_async.runtime.pooled.whole import WholeCall
from faasd_async.wheel import Wheel

IDLE_SECONDS = 1


class PooledClient:
    """The connections to one function.

    :param clock: as for :class:`~faasd_async.http.pool.Pool`.
    :param address: where the function is, in words.
    """

    def __init__(
        self,
        clock: IReactorTime,
        wheel: Wheel,
        endpoint: IStreamClientEndpoint,
        address: str,
        *,
        max_connections: int,
        connect_timeout_seconds: float,
    ) -> None:
        self._address = address
        self._pool = Pool(
            clock,
            wheel,
            endpoint,
            max_connections=max_connections,
            connect_timeout_seconds=connect_timeout_seconds,
            idle_seconds=IDLE_SECONDS,
        )

    def open(self) -> None:
        self._pool.open()

    def close(self) -> Deferred[None]:
        return self._pool.close()

    def exchange(self, invocation: Invocation, head: bytes) -> Deferred[Reply]:
        """:return: as of :meth:`.interface.Runtime.invoke`, without a limit of time."""
        call = RepliedCall(invocation, head, self._address)
        when_replied = call.when_replied
        self._pool.send(call)
        return when_replied

    def exchange_whole(
        self,
        invocation: Invocation,
        head: bytes,
        under_way: UnderWay,
        timeout_seconds: float,
        most_bytes: int,
        when_whole: WhenWhole,
    ) -> Callable[[], None]:
        """As :meth:`.interface.WholeRuntime.invoke_whole`.

        :param under_way: what sees to the limit of time, and to the end of the runtime.
        """
        call = WholeCall(invocation, head, self._address, most_bytes, when_whole)
        call.begin(under_way, timeout_seconds)
        self._pool.send(call)
        return call.stop

    def exchange_passing(
        self,
        invocation: Invocation,
        head: bytes,
        under_way: UnderWay,
        timeout_seconds: float,
        receiver: Receiver,
    ) -> Passing:
        """As :meth:`.interface.PassingRuntime.invoke_passing`; *under_way* as of
        :meth:`exchange_whole`."""
        call = PassedCall(invocation, head, self._address, receiver)
        call.begin(under_way, timeout_seconds)
        self._pool.send(call)
        return call
