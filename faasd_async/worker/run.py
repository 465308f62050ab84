"""One call in the worker's hands, from its delivery to its end."""

from __future__ import annotations

from dataclasses import dataclass, field

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from faasd_async.call.request import Outcome, QueueRequest
from faasd_async.errors import InvocationError, NotHandedOver
from faasd_async.queue.interface import Delivery
from faasd_async.runtime.collect import gather
from faasd_async.runtime.deployments import Deployment
from faasd_async.runtime.interface import Invocation


@dataclass(slots=True, eq=False)
class Run:
    """One call that was delivered and is not settled yet.

    :ivar delivery: the newest of its deliveries: the one that will be settled.
    :ivar work: what is going on; cancelling it gives the call back.
    """

    delivery: Delivery[QueueRequest]
    work: Deferred[None] = field(default_factory=Deferred)

    @property
    def request(self) -> QueueRequest:
        return self.delivery.parcel


async def make_call(request: QueueRequest, deployment: Deployment, clock: IReactorTime) -> Outcome:
    """Invoke the function and gather its answer, within its ``async_timeout``.

    :raises NotHandedOver: the function saw nothing of the call.
    """
    invocation = Invocation(
        function=request.function,
        call_id=request.key.call_id,
        method=b"POST",
        target=request.target,
        headers=request.headers,
        body=request.body,
    )
    began = clock.seconds()
    try:
        reply = await deployment.invoke(invocation, deployment.settings.async_timeout_seconds)
        body = await gather(reply, deployment.settings.max_body_bytes)
    except NotHandedOver:
        raise
    except InvocationError as reason:
        return Outcome(reason.status, (), b"", clock.seconds() - began, str(reason))
    return Outcome(reply.status, reply.headers, body, clock.seconds() - began)
