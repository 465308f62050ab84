"""Passing replies on as they come, whatever the runtime."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from faasd_async.errors import InvocationError
from faasd_async.runtime.interface import (
    Invocation,
    InvokePassing,
    Passing,
    PassingRuntime,
    Receiver,
    Reply,
    Runtime,
)


def passer_of(runtime: Runtime) -> InvokePassing:
    """What does for any runtime as
    :meth:`~faasd_async.runtime.interface.PassingRuntime.invoke_passing` does."""
    if isinstance(runtime, PassingRuntime):
        return runtime.invoke_passing

    def invoke_passing(
        invocation: Invocation, timeout_seconds: float, receiver: Receiver
    ) -> Passing:
        return pass_reply(runtime.invoke(invocation, timeout_seconds), receiver)

    return invoke_passing


def pass_reply(replying: Deferred[Reply], receiver: Receiver) -> Passing:
    """Pass on a reply that is to come; result as of
    :meth:`~faasd_async.runtime.interface.PassingRuntime.invoke_passing`."""
    passed = _Passed(receiver)
    passed.wait_for(replying)
    return passed


class _Passed:
    """A reply on its way."""

    __slots__ = ("_over", "_receiver", "_reply", "_waiting")

    _waiting: Deferred[Any]

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._reply: Reply | None = None
        self._over = False

    def wait_for(self, replying: Deferred[Reply]) -> None:
        self._waiting = replying
        replying.addCallbacks(self._replied, self._failed)

    def pause(self) -> None:
        if self._reply is not None:
            self._reply.pause()

    def resume(self) -> None:
        if self._reply is not None:
            self._reply.resume()

    def stop(self) -> None:
        if not self._over:
            self._over = True
            self._waiting.cancel()

    def _replied(self, reply: Reply) -> None:
        if self._over:
            reply.abort()
            return
        self._reply = reply
        self._receiver.replied(reply.status, reply.headers)
        if self._over:
            reply.abort()
            return
        self._waiting = reply.deliver_to(self._receiver.received)
        self._waiting.addCallbacks(self._delivered, self._failed)
        if not self._over:
            self._receiver.flush()

    def _delivered(self, _: None) -> None:
        if not self._over:
            self._over = True
            self._receiver.ended()

    def _failed(self, failure: Failure) -> None:
        if self._over:
            return
        self._over = True
        reason = failure.value
        assert isinstance(reason, Exception)
        if self._reply is not None and not isinstance(reason, InvocationError):
            # A bug: what goes on there must not go on for nobody.
            self._reply.abort()
        self._receiver.failed(reason)
