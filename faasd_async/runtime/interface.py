"""What every workbench offers: run one invocation, hand over the reply as it comes.

A runtime owns whatever it needs (a connection pool, a process) and knows nothing of queues,
callbacks or gateways. The gateway streams a reply on; the worker gathers it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec
from twisted.internet.defer import Deferred

from faasd_async.call.body import Body
from faasd_async.call.headers import Headers
from faasd_async.http.flowing import Pieces
from faasd_async.runtime.spill import Spill


class FlowingBody(Protocol):
    """A body that comes from somewhere else."""

    def __len__(self) -> int: ...

    def open(self) -> Pieces:
        """Read it from its beginning."""


class Invocation(msgspec.Struct, frozen=True):
    """One HTTP request to a function.

    :ivar function: the deployment's name.
    :ivar call_id: for logs; the header stands in *headers* too.
    :ivar target: raw path and query as the function sees them; at least ``/``.
    :ivar headers: end to end, ``Host`` included when the caller sent one; no ``Content-Length``.
    :ivar spill: where the answer goes if it is too large to be gathered, if anywhere; for somebody
        who waits for it whole.
    """

    function: str
    call_id: str
    method: bytes
    target: bytes
    headers: Headers
    body: bytes | FlowingBody
    spill: Spill | None = None


class Reply(Protocol):
    """A function's answer: its head now, its body as it comes.

    Exactly one of :meth:`deliver_to` and :meth:`abort` has to be called, or the function is
    left waiting. After :meth:`deliver_to`, :meth:`abort` may still cut the body short.
    """

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Headers:
        """End to end, in the function's order; ``Content-Length`` is kept where it was sent."""

    def deliver_to(self, write: Callable[[bytes], object]) -> Deferred[None]:
        """Pass the body on, piece by piece.

        :return: fires after the last piece; fails with
            :class:`~faasd_async.errors.InvocationBroken`,
            :class:`~faasd_async.errors.InvocationTimedOut`, or, after :meth:`abort`, with
            :class:`~twisted.internet.defer.CancelledError`.
        """

    def pause(self) -> None:
        """Stop the pieces: the receiver is slow."""

    def resume(self) -> None:
        """Let the pieces come again."""

    def abort(self) -> None:
        """Let go of the function: close its connection, kill its process group."""


class Answer(NamedTuple):
    """A reply, whole; its header fields end to end."""

    status: int
    headers: Headers
    body: Body


#: Told of an answer, or why there is none: as :meth:`Runtime.invoke` and :meth:`Reply.deliver_to`
#: fail.
WhenWhole = Callable[[Answer | Exception], None]

#: As :meth:`WholeRuntime.invoke_whole`.
InvokeWhole = Callable[[Invocation, float, int, WhenWhole], Callable[[], None]]


class Receiver(Protocol):
    """Who takes a reply as it comes: its head, pieces of its body, its end.

    Nothing is told after the end or a failure, nor after :meth:`Passing.stop`.
    """

    def replied(self, status: int, headers: Headers) -> None:
        """The head; the fields end to end, as of :class:`Reply`."""

    def received(self, piece: bytes) -> None:
        """A piece of the body."""

    def flush(self) -> None:
        """What was told last is all that has come by now."""

    def ended(self) -> None:
        """The body is whole."""

    def failed(self, reason: Exception) -> None:
        """It will not be whole, or there is no reply: as :meth:`Runtime.invoke` and
        :meth:`Reply.deliver_to` fail."""


class Passing(Protocol):
    """A reply that is being passed on."""

    def pause(self) -> None:
        """The receiver is slow: little more comes."""

    def resume(self) -> None:
        """Let the pieces come again."""

    def stop(self) -> None:
        """Let go of the function; nobody is told any more."""


#: As :meth:`PassingRuntime.invoke_passing`.
InvokePassing = Callable[[Invocation, float, Receiver], Passing]


class Runtime(Protocol):
    """One deployment's workbench."""

    def start(self) -> Deferred[None]:
        """Bring up what must be up before the first invocation; fires when it is, or fails
        with :class:`~faasd_async.errors.StartError`. Opens nothing before."""

    def stop(self) -> Deferred[None]:
        """Let go of everything; invocations still under way are aborted."""

    def invoke(self, invocation: Invocation, timeout_seconds: float) -> Deferred[Reply]:
        """Run one invocation.

        The limit covers the whole of it, the last byte of the reply's body included; a
        function that passes it is stopped.

        :return: the reply, once its head is there. Cancelling it aborts the function. Fails with
            an :class:`~faasd_async.errors.InvocationError`:
            :class:`~faasd_async.errors.NotHandedOver` if the function surely saw nothing.
        """

    def when_over(self) -> Deferred[None] | None:
        """What was told to be over may not quite be: a process that is made to end has a moment.

        :return: fires when nothing is left of the invocations that were over when it was asked;
            ``None``: nothing is.
        """


@runtime_checkable
class Readiness(Protocol):
    """A runtime that knows whether it would take an invocation at once."""

    @property
    def is_ready(self) -> bool: ...


@runtime_checkable
class WholeRuntime(Runtime, Protocol):
    """A runtime that gathers replies itself, and does so for less than it costs to pass them on."""

    def invoke_whole(
        self,
        invocation: Invocation,
        timeout_seconds: float,
        most_bytes: int,
        when_whole: WhenWhole,
    ) -> Callable[[], None]:
        """Run one invocation.

        :param most_bytes: how large the answer's body may be.
        :param when_whole: called once, perhaps at once.
        :return: stops the function; *when_whole* is not called any more then.
        """


@runtime_checkable
class PassingRuntime(Runtime, Protocol):
    """A runtime that tells of a reply by calls, for less than Deferreds cost."""

    def invoke_passing(
        self, invocation: Invocation, timeout_seconds: float, receiver: Receiver
    ) -> Passing:
        """Run one invocation and tell *receiver* of its reply, perhaps at once."""
