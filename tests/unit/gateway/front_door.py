"""The whole gateway on a clock: real routes and channels, with a queue, functions and clients that
do what a test says."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent
from twisted.python.failure import Failure

from faasd_async.call import http_form
from faasd_async.call.callback_url import CallbackUrl
from faasd_async.call.headers import Headers
from faasd_async.call.plain import PlainCall
from faasd_async.call.request import QueueRequest
from faasd_async.callback.address import why_undeliverable
from faasd_async.callback.destination import DestinationPolicy
from faasd_async.callback.letter import write_letter
from faasd_async.errors import QueueError
from faasd_async.gateway.accept import Acceptance
from faasd_async.gateway.application import Gateway
from faasd_async.gateway.authentication import Authentication
from faasd_async.gateway.callback_orders import CallbackOrders
from faasd_async.gateway.calls.application import CallsGateway
from faasd_async.gateway.calls.cancel import Cancellation
from faasd_async.gateway.calls.events import Events
from faasd_async.gateway.calls.results import Results
from faasd_async.gateway.calls.status import Status
from faasd_async.gateway.calls.waiting import Waiting
from faasd_async.gateway.channel import GatewayChannel
from faasd_async.gateway.directory import Directory
from faasd_async.gateway.operator import Operators
from faasd_async.gateway.proxy import Proxy
from faasd_async.gateway.system.application import SystemGateway
from faasd_async.gateway.system.dead_letters import DeadLetterOffice
from faasd_async.gateway.system.flow import Flow
from faasd_async.gateway.system.flow_sheet import FlowSheet
from faasd_async.gateway.system.live import Live
from faasd_async.gateway.system.orders import Namespace
from faasd_async.gateway.system.provider import Provider
from faasd_async.gateway.system.recent import RecentCalls
from faasd_async.gateway.system.replay import Replay
from faasd_async.gateway.system.schedules import Timetable
from faasd_async.gateway.verification import Verification
from faasd_async.queue.interface import Source
from faasd_async.queue.memory import MemoryKeyedCalls, MemoryQueue
from faasd_async.runtime.deployments import Deployment
from faasd_async.runtime.interface import Invocation, Reply
from faasd_async.settings import AuthSettings, FunctionSettings, ScheduleSettings, VerifySettings
from faasd_async.worker.settlement import Settlement

NOW_NS = 1_700_000_000_123_456_789
NO_SCHEDULE = ScheduleSettings()
READ_TIMEOUT_SECONDS = 60.0
ACCEPT_DEADLINE_SECONDS = 0.9
LARGEST_BODY_BYTES = 5000
PEER = IPv4Address("TCP", "192.0.2.7", 40123)
#: Where callbacks find this daemon.
OWN_PORT = 8080


def whole(call: PlainCall | QueueRequest) -> QueueRequest:
    """All of a call."""
    return call if isinstance(call, QueueRequest) else call.request()


class PaperStore:
    """A queue that keeps its answers until the test gives them.

    :ivar at_once: stores at once instead.
    """

    def __init__(self) -> None:
        self.largest_call_bytes = 4000
        self.bodies = None
        self.at_once = True
        self.requests: list[QueueRequest] = []
        self.answers: list[Deferred[None]] = []
        self.keyed = MemoryKeyedCalls(self.put_later)
        self.delays: list[float] = []
        self.refusal: Exception | None = None

    def put_call_then(
        self, request: QueueRequest, stored: Callable[[QueueError | None], None]
    ) -> None:
        if self.refusal is not None and not isinstance(self.refusal, QueueError):
            raise self.refusal
        self.put_call(request).addCallbacks(stored, lambda failure: stored(failure.value))

    def put_plain_then(self, call: PlainCall, stored: Callable[[QueueError | None], None]) -> None:
        request = call.request()
        assert call.written == http_form.write(request.target, request.headers, request.body)
        assert call.body == request.body
        self.put_call_then(request, stored)

    def put_later(self, request: QueueRequest, delay_seconds: float) -> Deferred[None]:
        self.delays.append(delay_seconds)
        return self.put_call(request)

    def put_call(self, request: QueueRequest) -> Deferred[None]:
        self.requests.append(request)
        answer: Deferred[None] = Deferred()
        self.answers.append(answer)
        if self.refusal is not None:
            answer.errback(self.refusal)
        elif self.at_once:
            answer.callback(None)
        return answer


class PaperReply:
    """A function's reply, written by the test."""

    def __init__(self, status: int, headers: Headers) -> None:
        self.status = status
        self.headers = headers
        self.heard: list[str] = []
        self.write: Callable[[bytes], object] | None = None
        self._delivered: Deferred[None] = Deferred(lambda _: self.abort())

    def deliver_to(self, write: Callable[[bytes], object]) -> Deferred[None]:
        self.write = write
        return self._delivered

    def pause(self) -> None:
        self.heard.append("pause")

    def resume(self) -> None:
        self.heard.append("resume")

    def abort(self) -> None:
        self.heard.append("abort")
        if not self._delivered.called:
            self._delivered.errback(CancelledError())

    def says(self, piece: bytes) -> None:
        """The next piece of the body."""
        assert self.write is not None
        self.write(piece)

    def ends(self) -> None:
        """The body is whole."""
        self._delivered.callback(None)

    def breaks(self, reason: Exception) -> None:
        """The body will never be whole."""
        self._delivered.errback(reason)


class Run:
    """One invocation of a function."""

    def __init__(self, invocation: Invocation, timeout_seconds: float) -> None:
        self.invocation = invocation
        self.timeout_seconds = timeout_seconds
        self.cancelled = False
        self.reply: Deferred[Reply] = Deferred(self._cancel)

    def _cancel(self, _: Deferred[Reply]) -> None:
        self.cancelled = True

    def answers(
        self, status: int = 200, headers: Headers = (), body: bytes | None = b""
    ) -> PaperReply:
        """Reply; with a body, wholly."""
        reply = PaperReply(status, headers)
        self.reply.callback(reply)
        if body is not None:
            if body:
                reply.says(body)
            reply.ends()
        return reply

    def fails(self, reason: Exception) -> None:
        """Bring no answer."""
        self.reply.errback(reason)


class PaperFunction:
    """A runtime that runs nothing."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def start(self) -> Deferred[None]:
        return succeed(None)

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def when_over(self) -> Deferred[None]:
        return succeed(None)

    def invoke(self, invocation: Invocation, timeout_seconds: float) -> Deferred[Reply]:
        run = Run(invocation, timeout_seconds)
        self.runs.append(run)
        return run.reply


@dataclass(frozen=True)
class Answer:
    """One response, read."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: str) -> bytes | None:
        """The one value of a field, ``None`` if it is not there."""
        values = [value for each, value in self.headers if each.lower() == name.lower().encode()]
        assert len(values) < 2
        return values[0] if values else None


def read_answer(data: bytes, *, bodiless: bool = False) -> tuple[Answer, bytes]:
    """Read one response as a strict client would; :return: it and what follows it."""
    head, found, rest = data.partition(b"\r\n\r\n")
    assert found, f"no whole head in {data!r}"
    first, *lines = head.split(b"\r\n")
    version, status, _ = first.split(b" ", 2)
    assert version in (b"HTTP/1.1", b"HTTP/1.0")
    fields = [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
    answer = Answer(int(status), fields, b"")
    length = answer.header("Content-Length")
    if bodiless or answer.status < 200 or answer.status in (204, 304):
        return answer, rest
    if answer.header("Transfer-Encoding") == b"chunked":
        assert length is None
        body, rest = _read_chunks(rest)
    elif length is not None:
        body, rest = rest[: int(length)], rest[int(length) :]
        assert len(body) == int(length), f"only {body!r} of {int(length)} bytes"
    else:
        body, rest = rest, b""
    return Answer(answer.status, fields, body), rest


def _read_chunks(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, found, data = data.partition(b"\r\n")
        assert found, f"the last chunk is missing after {body!r}"
        piece, end, data = data[: int(size, 16)], *_split(data, int(size, 16))
        assert end == b"\r\n"
        if not piece:
            return body, data
        body += piece


def _split(data: bytes, size: int) -> tuple[bytes, bytes]:
    return data[size : size + 2], data[size + 2 :]


class Wire(StringTransport):
    """A client's connection; where StringTransport is stricter than a socket, as a socket."""

    def __init__(self, peer: IAddress) -> None:
        super().__init__(peerAddress=peer, lenient=True)
        self.half_closed = False

    def unregisterProducer(self) -> None:
        self.producer = None

    def loseWriteConnection(self) -> None:  # noqa: N802
        self.half_closed = True


class Client:
    """Somebody who speaks HTTP to the gateway.

    :param bytewise: each byte goes out alone.
    """

    def __init__(self, channel: GatewayChannel, peer: IAddress, bytewise: bool) -> None:
        self.wire = Wire(peer)
        self._channel = channel
        self.bytewise = bytewise
        self._gone = False
        channel.makeConnection(self.wire)

    def send(self, data: bytes) -> None:
        """Send, until the other side hears no more."""
        step = 1 if self.bytewise else max(len(data), 1)
        for start in range(0, len(data), step):
            if self.closed:
                return
            self._channel.dataReceived(data[start : start + step])

    def says_no_more(self) -> None:
        """Close the sending half of the connection, and go on listening."""
        self._channel.readConnectionLost()

    @property
    def closed(self) -> bool:
        """Whether the gateway has closed the connection."""
        return bool(self.wire.disconnecting or self.wire.disconnected)

    @property
    def received(self) -> bytes:
        return cast(bytes, self.wire.value())

    def answers(self, *, bodiless: bool = False) -> list[Answer]:
        """Everything received, which has to be whole responses."""
        return list(self._read_all(bodiless))

    def _read_all(self, bodiless: bool) -> Iterator[Answer]:
        rest = self.received
        while rest:
            answer, rest = read_answer(rest, bodiless=bodiless)
            yield answer

    def answer(self, *, bodiless: bool = False) -> Answer:
        """The one response."""
        (answer,) = self.answers(bodiless=bodiless)
        return answer

    def leaves(self) -> None:
        """The connection is lost, which a transport tells its producer first."""
        if self._gone:
            return
        self._gone = True
        producer, self.wire.producer = self.wire.producer, None
        if producer is not None:
            producer.stopProducing()
        self._channel.connectionLost(Failure(ConnectionLost()))


class Failures:
    """What was logged as a failure, unhandled errors of Deferreds among it."""

    def __init__(self, events: list[LogEvent]) -> None:
        self._events = events
        self._taken = 0

    def take(self) -> list[BaseException]:
        """Those since the last look."""
        gc.collect()
        fresh, self._taken = self._events[self._taken :], len(self._events)
        return [event["log_failure"].value for event in fresh if "log_failure" in event]


def paper_provider() -> Provider:
    """One that nobody orders anything of."""
    nobody: Any = None
    return Provider(Namespace("openfaas-fn"), nobody, nobody, nobody)


class QuietHour:
    """An hour in which nothing has happened."""

    every_seconds = 10.0
    count = 0

    def samples(self) -> Sequence[Mapping[str, object]]:
        return []

    def paces(self) -> Mapping[str, Mapping[str, object]]:
        return {}


@dataclass
class FrontDoor:
    """The gateway and all who have to do with it.

    :ivar bytewise: clients send each byte alone.
    :ivar shortcut: whether there is one; without, everything goes through the routes.
    :ivar queue: where dead letters lie, and what is replayed goes.
    :ivar waiting: those who wait for the end of a call.
    :ivar ended: what was told of synchronous calls.
    :ivar complete: whether all functions have been deployed.
    :ivar recalled: what the worker was told to let go of; it says that *begun* run.
    :ivar widths: how many calls of functions may run, as the worker has found out.
    :ivar forbidden: why no callback may go anywhere, if none may.
    :ivar full: why there is no room for a call, if there is none.
    :ivar provider: the functions as OpenFaaS' clients know them; there are none.
    :ivar operators: who may give orders.
    :ivar coming: the sizes of those for which it was asked.
    """

    bytewise: bool
    shortcut: bool = True
    clock: Clock = field(default_factory=Clock)
    store: PaperStore = field(default_factory=PaperStore)
    queue: MemoryQueue = field(init=False)
    waiting: Waiting = field(init=False)
    functions: dict[str, PaperFunction] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    clients: list[Client] = field(default_factory=list)
    accepted: list[QueueRequest] = field(default_factory=list)
    ended: list[tuple[str, str, int, float]] = field(default_factory=list)
    waiting_for: str | None = None
    complete: bool = True
    recalled: list[Source] = field(default_factory=list)
    begun: list[QueueRequest] = field(default_factory=list)
    widths: dict[str, int] = field(default_factory=dict)
    forbidden: str | None = None
    full: str | None = None
    coming: list[int] = field(default_factory=list)
    operators: Operators = field(default_factory=Operators)
    provider: Provider = field(default_factory=paper_provider)
    begins_traces: bool = False

    def __post_init__(self) -> None:
        self.queue = MemoryQueue(self.clock, lease_seconds=30.0)
        directory = Directory(self.deployments, "openfaas-fn", lambda: self.complete)
        verification = Verification(lambda: NOW_NS + round(self.clock.seconds() * 1e9))
        authentication = Authentication(self.operators, directory.find)
        acceptance = Acceptance(
            directory,
            self.store,
            callback_orders=CallbackOrders(
                directory,
                authentication,
                refuse_destination=self._refuse,
                why_undeliverable=why_undeliverable,
                own_route=DestinationPolicy(True, lambda: {OWN_PORT}).own_route,
            ),
            deadline_seconds=ACCEPT_DEADLINE_SECONDS,
            clock=self.clock,
            now_ns=lambda: NOW_NS,
            accepted=lambda call, seconds: self.accepted.append(whole(call)),
            verification=verification,
            authentication=authentication,
            why_no_room=self._why_no_room,
            withhold=self.operators.withhold,
            begins_traces=self.begins_traces,
        )
        proxy = Proxy(
            directory,
            clock=self.clock,
            verification=verification,
            authentication=authentication,
            now_ns=lambda: NOW_NS,
            invoked=lambda *told: self.ended.append(told[:4]),
            begins_traces=self.begins_traces,
            withhold=self.operators.withhold,
        )
        replay = Replay(self.queue, self.deployments, lambda: NOW_NS, self.accepted.append)
        self.waiting = Waiting(self.clock, self.queue.peers.hear)
        results = Results(self.clock, self.queue.lookup, self.queue.records, self.waiting)
        status = Status(self.queue.lookup, self.queue.peers)
        recent = RecentCalls(
            self.queue.listing, self.queue.lookup, self.queue.dead_letters, self.queue.peers
        )
        flow = self._flow()
        self.live = Live(self.clock, QuietHour(), flow, recent)
        gateway = Gateway(
            directory,
            acceptance,
            proxy,
            CallsGateway(
                status,
                results,
                self._cancellation(),
                Events(status, self.waiting),
                self.operators,
            ),
            SystemGateway(
                dead_letters=DeadLetterOffice(replay, self._refuse),
                flow=flow,
                timetable=Timetable(
                    self.queue.schedules,
                    self.deployments,
                    now_ns=lambda: NOW_NS,
                    namespace="openfaas-fn",
                ),
                provider=self.provider,
                recent=recent,
                live=self.live,
            ),
            why_not_ready=lambda: self.waiting_for,
            largest_body_bytes=LARGEST_BODY_BYTES,
            authentication=authentication,
            operators=self.operators,
        )
        self.site = gateway.site(READ_TIMEOUT_SECONDS, self.clock)
        if not self.shortcut:
            self.site.protocol = GatewayChannel
        self.deploy("f")

    def _cancellation(self) -> Cancellation:
        def settings_of(function: str) -> FunctionSettings | None:
            deployment = self.deployments.get(function)
            return None if deployment is None else deployment.settings

        letters = partial(write_letter, now_seconds=lambda: NOW_NS / 1e9)
        return Cancellation(
            self.queue.lookup,
            self.queue.backlog,
            self.queue.peers,
            self.waiting,
            end=Settlement(self.queue, letters, settings_of).end,
            now_ns=lambda: NOW_NS,
        )

    def _flow(self) -> Flow:
        def recall(source: Source) -> list[QueueRequest]:
            self.recalled.append(source)
            return self.begun

        sheet = FlowSheet(
            self.queue,
            self.deployments,
            lambda: self.widths,
            static=False,
            now_ns=lambda: NOW_NS,
        )
        return Flow(
            self.queue,
            self.deployments,
            sheet,
            recall=recall,
            let_go=self.waiting.let_go,
            namespace="openfaas-fn",
        )

    def _why_no_room(self, size_bytes: int) -> str | None:
        self.coming.append(size_bytes)
        return self.full

    def _refuse(self, url: CallbackUrl) -> str | None:
        return self.forbidden

    def deploy(
        self,
        name: str,
        *,
        max_inflight: int = 2,
        max_body_bytes: int = 1000,
        schedule: ScheduleSettings = NO_SCHEDULE,
        verify: VerifySettings | None = None,
        auth: AuthSettings | None = None,
    ) -> None:
        """Have a function."""
        settings = FunctionSettings(
            name=name,
            url="http://upstream.test/",
            max_inflight=max_inflight,
            max_body_bytes=max_body_bytes,
            timeout_seconds=7.0,
            queue="slow",
            schedule=schedule,
            verify=verify,
            auth=auth,
        )
        self.functions[name] = PaperFunction()
        self.deployments[name] = Deployment(settings, self.functions[name])

    @property
    def runs(self) -> list[Run]:
        """The invocations of ``f``."""
        return self.functions["f"].runs

    @property
    def free(self) -> int:
        """The tokens of ``f`` that nobody holds."""
        return self.deployments["f"].free

    def client(self, peer: IAddress = PEER) -> Client:
        """A new connection."""
        channel = self.site.buildProtocol(peer)
        assert isinstance(channel, GatewayChannel)
        client = Client(channel, peer, self.bytewise)
        self.clients.append(client)
        return client

    def ask(self, method: str, target: str, *fields: str, body: bytes = b"") -> Client:
        """Send one request on a connection of its own."""
        client = self.client()
        client.send(request(method, target, *fields, body=body))
        return client


def request(method: str, target: str, *fields: str, body: bytes = b"") -> bytes:
    """A request with a ``Host``, and with a ``Content-Length`` unless *fields* frame it."""
    lines = [f"{method} {target} HTTP/1.1", *fields]
    names = {line.partition(":")[0].lower() for line in fields}
    if "host" not in names:
        lines.insert(1, "Host: gateway.test")
    if not {"content-length", "transfer-encoding"} & names:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body
