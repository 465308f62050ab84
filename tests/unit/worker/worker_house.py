"""A worker on a clock, with a queue in memory and functions that answer when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import LogEvent

from faasd_async.call.callback_url import parse
from faasd_async.call.ending import DeadLetter, Ending
from faasd_async.call.headers import Headers, first
from faasd_async.call.history import History
from faasd_async.call.ids import CallKey
from faasd_async.call.request import CallbackRequest, Outcome, QueueRequest
from faasd_async.callback.letter import write_letter
from faasd_async.errors import QueueError, QueueUnavailable
from faasd_async.queue.interface import Delivery, OfQueue, Selection, Source
from faasd_async.queue.leases import Leases
from faasd_async.queue.memory import MemoryQueue
from faasd_async.runtime.deployments import Deployment, Deployments
from faasd_async.runtime.interface import Invocation, Reply
from faasd_async.settings import FunctionSettings
from faasd_async.worker.settlement import Settlement
from faasd_async.worker.worker import Worker

LEASE_SECONDS = 30.0
ORPHAN_TTL_SECONDS = 7200.0
BEGAN_NS = 1_700_000_000 * 10**9
CALLBACK = parse(b"http://caller/told")

T = TypeVar("T")


def result_of(deferred: Deferred[T]) -> T:
    """What has been brought already."""
    results: list[T] = []
    deferred.addCallback(results.append)
    (result,) = results
    return result


def call(call_id: str, function: str = "f", **changes: Any) -> QueueRequest:
    given: dict[str, Any] = {
        "function": function,
        "queue": "default",
        "key": CallKey(call_id, "0"),
        "start_time_ns": 1,
        "target": b"/",
        "headers": (),
        "body": b"",
    }
    return QueueRequest(**(given | changes))


# -- functions


class PaperReply:
    """An answer that is there as a whole, or breaks off."""

    def __init__(self, status: int, headers: Headers, body: bytes, broken: Exception | None):
        self.status = status
        self.headers = headers
        self._body = body
        self._broken = broken
        self._delivered: Deferred[None] = Deferred()

    def deliver_to(self, write: Callable[[bytes], object]) -> Deferred[None]:
        write(self._body)
        if self._broken is not None:
            self._delivered.errback(self._broken)
        elif not self._delivered.called:
            self._delivered.callback(None)
        return self._delivered

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def abort(self) -> None:
        self._delivered.cancel()


class Invoked:
    """One invocation of a function.

    :ivar aborted: whether the worker let go of it.
    """

    def __init__(self, invocation: Invocation, timeout_seconds: float) -> None:
        self.invocation = invocation
        self.timeout_seconds = timeout_seconds
        self.aborted = False
        self.reply: Deferred[Reply] = Deferred(self._abort)

    def _abort(self, _: Deferred[Reply]) -> None:
        self.aborted = True

    @property
    def call_id(self) -> str:
        return self.invocation.call_id

    @property
    def attempt(self) -> int:
        """As the function is told."""
        return int(first(self.invocation.headers, b"x-attempt") or b"0")

    def answers(
        self,
        status: int = 200,
        headers: Headers = (),
        body: bytes = b"",
        broken: Exception | None = None,
    ) -> None:
        """Reply; with *broken* the body does not come to its end."""
        self.reply.callback(PaperReply(status, headers, body, broken))

    def fails(self, reason: Exception) -> None:
        """Bring no answer."""
        self.reply.errback(reason)


class PaperFunction:
    """A runtime that writes down what it is to run."""

    def __init__(self, invoked: list[Invoked]) -> None:
        self._invoked = invoked

    def start(self) -> Deferred[None]:
        return succeed(None)

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def when_over(self) -> Deferred[None]:
        return succeed(None)

    def invoke(self, invocation: Invocation, timeout_seconds: float) -> Deferred[Reply]:
        invoked = Invoked(invocation, timeout_seconds)
        self._invoked.append(invoked)
        return invoked.reply


# -- the queue

_STEPS = {
    "record_ending": "terminal record",
    "find_ending": "look for an end",
    "note_history": "note",
    "find_history": "look for notes",
    "put": "dead letter",
    "put_later": "put off",
    "put_callback": "callback",
    "when_durable": "barrier",
}


class Diary:
    """What the queue was asked for, in its order, and how it takes it.

    :ivar pages: the steps that were taken.
    :ivar refusals: what a step fails with, for as long as it stands here.
    :ivar lost_answers: steps that are taken although they fail, the next time.
    :ivar slow: steps that wait for :meth:`go_on`.
    """

    def __init__(self) -> None:
        self.pages: list[str] = []
        self.refusals: dict[str, QueueError] = {}
        self.lost_answers: dict[str, QueueError] = {}
        self.slow: set[str] = set()
        self._waiting: list[tuple[Deferred[Any], Callable[[], Deferred[Any]]]] = []

    def step(
        self, name: str, action: Callable[..., Deferred[Any]], *about: Any, **more: Any
    ) -> Deferred[Any]:
        self.pages.append(name)
        if name in self.refusals:
            return fail(self.refusals[name])
        if name in self.lost_answers:
            reason = self.lost_answers.pop(name)
            return action(*about, **more).addCallback(lambda _: fail(reason))
        if name in self.slow:
            waiting: Deferred[Any] = Deferred()
            self._waiting.append((waiting, partial(action, *about, **more)))
            return waiting
        return action(*about, **more)

    def go_on(self) -> None:
        """Take the slow steps that are waiting."""
        waiting, self._waiting = self._waiting, []
        for deferred, action in waiting:
            action().chainDeferred(deferred)


class Watched:
    """A part of the queue, with a diary.

    :ivar part: the part itself, for whoever is not to be written down.
    """

    def __init__(self, part: Any, diary: Diary) -> None:
        self.part = part
        self.diary = diary

    def __getattr__(self, name: str) -> Any:
        step = name.removesuffix("_then")
        if step not in _STEPS:
            return getattr(self.part, name)
        taken = partial(self.diary.step, _STEPS[step], getattr(self.part, step))
        return taken if step == name else partial(_told, taken)


def _told(taken: Callable[..., Deferred[Any]], *about: Any) -> None:
    """As the parts of the queue do that are given something to call."""
    *about_it, told = about
    taken(*about_it).addErrback(lambda failure: failure.value).addCallback(told)


class _WatchedDelivery:
    """A delivery that writes down how it ends."""

    def __init__(self, delivery: Delivery[QueueRequest], queue: WatchedQueue) -> None:
        self.parcel = delivery.parcel
        self.delivered = delivery.delivered
        self.inherited = self.left_behind = queue.inherited
        self._delivery = delivery
        self._queue = queue

    def extend(self) -> None:
        self._queue.extended.append((self.parcel.key.call_id, self.delivered))
        if self._queue.hears_extensions:
            self._delivery.extend()

    def lighten(self) -> None:
        self._delivery.lighten()
        self.parcel = self._delivery.parcel

    def settle_moved(self) -> None:
        self.settle()

    def settle(self) -> None:
        self._queue.diary.pages.append("settled")
        self._delivery.settle()

    def give_back(self, delay_seconds: float = 0.0) -> None:
        self._queue.diary.pages.append("given back")
        self._queue.delays.append(delay_seconds)
        self._delivery.give_back(delay_seconds if self._queue.keeps_delays else 0.0)

    def reject(self, reason: str) -> None:
        self._queue.diary.pages.append("rejected")
        self._delivery.reject(reason)


class WatchedQueue(Watched):
    """The queue in memory, watched.

    :ivar inherited: what it says of its deliveries.
    :ivar hears_extensions: otherwise leases run out whatever the worker does.
    :ivar keeps_delays: otherwise what is given back is there again at once.
    :ivar extended: the calls whose leases were extended, each with the number of its delivery.
    :ivar delays: of what was given back.
    """

    def __init__(self, clock: Clock) -> None:
        memory = MemoryQueue(clock, LEASE_SECONDS)
        super().__init__(memory, Diary())
        self.records = Watched(memory.records, self.diary)
        self.dead_letters = Watched(memory.dead_letters, self.diary)
        self.largest_call_bytes = 10_000
        self.bodies = None
        self.inherited = False
        self.hears_extensions = True
        self.keeps_delays = True
        self.extended: list[tuple[str, int]] = []
        self.delays: list[float] = []
        self._takers: list[Any] = []

    def take_calls(
        self,
        source: Source,
        on_delivery: Callable[[Delivery[QueueRequest]], None],
        room: Callable[[], int],
    ) -> Any:
        taker = self.part.take_calls(
            source, lambda delivery: on_delivery(_WatchedDelivery(delivery, self)), room
        )
        self._takers.append(taker)
        return taker

    def lose_takers(self) -> None:
        """Whoever takes calls is gone, and what it has in hand stays there."""
        for taker in self._takers:
            taker.stop()


# -- the house


class Watch:
    """Who is told what became of calls."""

    def __init__(self) -> None:
        self.attempts: list[tuple[str, int, int]] = []
        self.ends: list[tuple[str, str, str | None, bool]] = []
        self.given_back_calls: list[tuple[str, str, float]] = []

    def attempted(self, request: QueueRequest, outcome: Outcome, attempts: int) -> None:
        self.attempts.append((request.key.call_id, outcome.status, attempts))

    def ended(self, request: QueueRequest, ending: Ending, buried: bool) -> None:
        self.ends.append((request.key.call_id, ending.state, ending.reason, buried))

    def given_back(self, request: QueueRequest, reason: str, delay_seconds: float) -> None:
        self.given_back_calls.append((request.key.call_id, reason, delay_seconds))


class House:
    """A worker and what is around it. The queue has a clock of its own, which survives crashes.

    :ivar invoked: every invocation so far.
    :ivar may_have_crashed: whether the worker is told that somebody before it did.
    :ivar set_back_seconds: by how much the clock on the wall has been.
    :ivar events: what was logged.
    """

    def __init__(self, events: Sequence[LogEvent]) -> None:
        self.events = events
        self.queue_clock = Clock()
        self.queue = WatchedQueue(self.queue_clock)
        self.diary = self.queue.diary
        self.invoked: list[Invoked] = []
        self.watch = Watch()
        self.max_inflight = 100
        self.static = False
        self.may_have_crashed = True
        self.clock = Clock()
        self.set_back_seconds = 0
        self.deployments = Deployments(lambda _: PaperFunction(self.invoked))
        self.worker: Worker | None = None
        self._functions: dict[str, FunctionSettings] = {}
        self._failures_taken = 0

    def now_ns(self) -> int:
        return BEGAN_NS + round((self.clock.seconds() - self.set_back_seconds) * 1e9)

    # the daemon

    def starts(self, **functions: dict[str, Any]) -> None:
        """Start a worker; without *functions*, for those that were deployed before."""
        if functions:
            self.deploys(**functions)
        self.settlement = Settlement(
            cast(Any, self.queue),
            partial(write_letter, now_seconds=lambda: self.now_ns() / 1e9),
            self.settings_of,
            self.watch.ended,
        )
        self.worker = Worker(
            self.clock,
            cast(Any, self.queue),
            self.deployments,
            Leases(self.clock, LEASE_SECONDS),
            self.settlement,
            max_inflight=self.max_inflight,
            static=self.static,
            lease_seconds=LEASE_SECONDS,
            orphan_ttl_seconds=ORPHAN_TTL_SECONDS,
            may_have_crashed=lambda _: self.may_have_crashed,
            now_ns=self.now_ns,
            observer=self.watch,
        )
        self.queue.peers.hands = self.worker
        self.worker.start()

    def starts_with_one_that_waits_for_the_daemon(self) -> None:
        """Call 1 of ``f`` has the daemon's only token; call 2 of ``g`` has its function's."""
        self.max_inflight = 1
        self.queue.inherited = True
        self.diary.slow.add("look for an end")
        self.starts(f={}, g={"max_inflight": 1})
        self.puts("1")
        self.puts("2", function="g")
        self.diary.slow.clear()
        self.diary.go_on()

    def deploys(self, **functions: dict[str, Any]) -> None:
        """Have exactly these functions, each with what is to be said of it."""
        usual: dict[str, Any] = {"url": "http://f", "max_inflight": 10, "max_body_bytes": 1000}
        self._functions = {
            name: FunctionSettings(name=name, **(usual | settings))
            for name, settings in functions.items()
        }
        result_of(Deferred.fromCoroutine(self.deployments.deploy(self._functions)))

    def settings_of(self, function: str) -> FunctionSettings | None:
        deployment = self.deployments.get(function)
        return None if deployment is None else deployment.settings

    def stops(self) -> None:
        """End the worker in an orderly way, whatever it has in hand."""
        assert self.worker is not None
        self.worker.stop_taking()
        self.worker.give_up()
        assert self.worker.when_idle().called
        self.worker = None

    def crashes(self) -> None:
        """Nobody extends a lease any more, nobody settles; then a new daemon starts."""
        self.queue.lose_takers()
        before, self.clock = self.clock, Clock()
        self.clock.advance(before.seconds())
        self.deployments = Deployments(lambda _: PaperFunction(self.invoked))
        result_of(Deferred.fromCoroutine(self.deployments.deploy(self._functions)))
        self.starts()
        self.passes(LEASE_SECONDS)

    def deployment(self, function: str = "f") -> Deployment:
        return self.deployments[function]

    # calls

    def puts(self, *calls: QueueRequest | str, **changes: Any) -> None:
        """Put calls into the queue; a string is the id of a call of ``f``."""
        for each in calls:
            request = call(each, **changes) if isinstance(each, str) else each
            assert self.queue.put_call(request).called

    def passes(self, seconds: float) -> None:
        """Let time pass, in steps that miss no lease."""
        for step in (*[1.0] * int(seconds), seconds % 1):
            self.clock.advance(step)
            self.queue_clock.advance(step)

    @property
    def running(self) -> list[Invoked]:
        """The invocations that have no answer yet, of daemons that are gone too."""
        return [each for each in self.invoked if not each.reply.called]

    @property
    def ids(self) -> list[str]:
        """The calls of all invocations so far."""
        return [each.call_id for each in self.invoked]

    def left(self, function: str = "f") -> list[str]:
        """The calls that the queue has for somebody else; they are taken away."""
        taken: list[Delivery[QueueRequest]] = []
        source = OfQueue("default")
        self.queue.part.take_calls(source, taken.append, lambda: 1000).stop()
        for delivery in taken:
            delivery.settle()
        return [each.parcel.key.call_id for each in taken if each.parcel.function == function]

    # what is written down

    def ending(self, call_id: str = "1", function: str = "f") -> Ending | None:
        records = self.queue.records.part
        return cast(
            "Ending | None", result_of(records.find_ending(function, CallKey(call_id, "0")))
        )

    def notes(self, call_id: str = "1", function: str = "f") -> History | None:
        records = self.queue.records.part
        return cast(
            "History | None", result_of(records.find_history(function, CallKey(call_id, "0")))
        )

    def dead_letters(self) -> list[DeadLetter]:
        page = result_of(self.queue.dead_letters.look_through(Selection(), 0, 1000))
        return [cast("DeadLetter", filed.letter) for filed in page.letters]

    def callbacks(self) -> list[CallbackRequest]:
        """The callbacks that wait; they are taken away."""
        taken: list[Delivery[CallbackRequest]] = []
        self.queue.take_callbacks(taken.append, lambda: 1000).stop()
        for delivery in taken:
            delivery.settle()
        return [delivery.parcel for delivery in taken]

    def failures(self) -> list[Exception]:
        """What was logged as a failure since this was asked last."""
        failed = [event["log_failure"].value for event in self.events if "log_failure" in event]
        fresh = failed[self._failures_taken :]
        self._failures_taken = len(failed)
        return fresh

    def refuses(self, *steps: str, reason: QueueError | None = None) -> None:
        """Have the queue refuse these steps from now on, and no other."""
        why = reason or QueueUnavailable("away")
        self.diary.refusals = dict.fromkeys(steps, why)
