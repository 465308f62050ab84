"""The synchronous door: who is let through, and has the function's token."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.interfaces import IReactorTime

from faasd_async.call.route import FunctionRoute
from faasd_async.garbage import scales
from faasd_async.gateway.arrival import Arrival, Tracing, Withhold, trace
from faasd_async.gateway.authentication import Authentication, without_password
from faasd_async.gateway.directory import Directory
from faasd_async.gateway.passage import LEFT, Caller, Invoked, Passage
from faasd_async.gateway.refusal import (
    RETRY_SOON,
    Refusal,
    body_too_large,
    not_allowed,
)
from faasd_async.gateway.verification import Taken, Verification
from faasd_async.runtime.deployments import Deployment

#: What no function is ever asked.
NEVER = frozenset((b"CONNECT", b"TRACE"))

#: What they mostly are.
ALLOWED = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")

#: What is said of a call that may be sent again as it was.
_MAY_COME_AGAIN = frozenset((408, 425, 429, LEFT))


class Proxy:
    """Makes calls while their callers wait.

    :param now_ns: the wall clock, Unix nanoseconds.
    :param verification: looks at the signatures of requests that need one.
    :param authentication: asks the callers of functions that want a password for it.
    :param invoked: told how each call ended.
    :param withhold: leaves out of a call's header fields what is not for functions.
    :param begins_traces: calls that belong to no trace begin one.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        clock: IReactorTime,
        now_ns: Callable[[], int],
        verification: Verification,
        authentication: Authentication,
        invoked: Invoked,
        withhold: Withhold | None = None,
        begins_traces: bool = False,
    ) -> None:
        self._directory = directory
        self._verification = verification
        self._authentication = authentication
        self._clock = clock
        self._now_ns = now_ns
        self._invoked = invoked
        self._withhold = withhold
        self._begins_traces = begins_traces

    def find(self, method: bytes, route: FunctionRoute) -> Deployment:
        """Whom a call is for.

        :raises Refusal: 405, or that there is nobody.
        """
        if method in NEVER:
            raise not_allowed(*ALLOWED)
        return self._directory.find(route)

    def pass_on(
        self, arrival: Arrival, caller: Caller, deployment: Deployment | None = None
    ) -> Passage | None:
        """Have *caller* answered with the function's reply.

        :param deployment: whom the call is for, if the door has looked already.
        :return: the call under way, if it is under way still.
        """
        scales.weigh(len(arrival.body))
        invoked, withhold = self._invoked, self._withhold
        try:
            if deployment is None:
                deployment = self.find(arrival.method, arrival.route)
            tracing = self._admit(arrival, deployment)
            auth = deployment.settings.auth
            if auth is not None:
                self._authentication.admit(auth, arrival.headers)
                withhold = without_password
            verify = deployment.settings.verify
            if verify is not None:
                taken = self._verification.take(
                    deployment.name, verify, arrival.headers, arrival.body
                )
                if taken is not None:
                    invoked = partial(self._verified_call, taken)
        except Refusal as refusal:
            caller.refuse(refusal)
            return None
        had = deployment.tokens.take()
        assert had, "one was free, and nobody waits while one is"
        passage = Passage(deployment, tracing, caller, self._clock, invoked)
        passage.begin(arrival, withhold, self._begins_traces)
        return None if passage.over else passage

    def _verified_call(
        self,
        taken: Taken,
        function: str,
        call_id: str,
        status: int,
        seconds: float,
        traceparent: bytes = b"",
    ) -> None:
        """A call is over whose signature was taken; one that failed may come again."""
        if status in _MAY_COME_AGAIN or status >= 500:
            self._verification.forget(taken)
        self._invoked(function, call_id, status, seconds, traceparent)

    def _admit(self, arrival: Arrival, deployment: Deployment) -> Tracing:
        tracing = trace(arrival, self._now_ns())
        if len(arrival.body) > deployment.settings.max_body_bytes:
            raise body_too_large(deployment.settings.max_body_bytes, tracing.fields)
        if deployment.is_closing:
            raise Refusal(503, "the daemon is stopping", (*tracing.fields, *RETRY_SOON))
        if not deployment.free:
            raise Refusal(
                429,
                f"{deployment.name} runs {deployment.settings.max_inflight} calls already",
                (*tracing.fields, *RETRY_SOON),
            )
        return tracing
