"""``migrate``: what waits in a channel of NATS Streaming becomes calls of a daemon.

Each message is sent to the daemon as its caller would send it, under a key made of its place in the
channel, and acknowledged when the daemon's 202 has come: on disk there before it is gone here. If
anything breaks in between, the message comes again and the daemon knows its key. So it may be
broken off and begun again at any time.
"""

from __future__ import annotations

import hashlib
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater

from faasd_async.call.openfaas.message import UnreadableMessage
from faasd_async.call.openfaas.request import Place, read_request
from faasd_async.call.request import QueueRequest
from faasd_async.cli.daemon import Answer, Daemon, Unreachable, segment
from faasd_async.cli.exits import Exit
from faasd_async.cli.screen import Screen
from faasd_async.cli.session import Ended, Session, talks
from faasd_async.nats import NatsClient, NatsError, ServerAddress
from faasd_async.settings.checks import GET_PROTOBUF, has_protobuf

#: So many messages are on their way at a time.
_MOST_IN_FLIGHT = 32

#: What was not acknowledged for so long comes again.
_ACK_WAIT_SECONDS = 20

#: A daemon that is full, or starts just now, is asked again so often, a second apart.
_TRIES = 30
_NOT_NOW = frozenset((429, 503, 504, 507))

#: What a message has of the request that brought it, and ours has itself; and what would have us
#: wait for the function, for whose caller nobody waits any more.
_NOT_OURS = frozenset(
    (b"content-length", b"x-start-time", b"x-callback-url", b"idempotency-key", b"prefer")
)


@click.command()
@click.option("--from", "server", required=True, metavar="URL", help="nats://host:4222")
@click.option("--cluster", default="faas-cluster", show_default=True)
@click.option("--channel", default="faas-request", show_default=True)
@click.option("--group", default="faas", show_default=True, help="The queue-worker's.")
@click.option("--namespace", default="openfaas-fn", show_default=True)
@click.option(
    "--idle",
    type=click.FloatRange(min=0.1),
    default=_ACK_WAIT_SECONDS + 10.0,
    show_default=True,
    metavar="SECONDS",
    help="It is over when no message has come for so long.",
)
@talks
async def migrate(
    session: Session,
    server: str,
    cluster: str,
    channel: str,
    group: str,
    namespace: str,
    idle: float,
) -> Ended:
    """Bring what waits in a channel of NATS Streaming to a daemon.

    Stop OpenFaaS' gateway and queue-worker first. Every function has to be deployed at the daemon;
    what it refuses stays in the channel, and makes the exit code 1.
    """
    if not has_protobuf():
        raise click.ClickException(f"this needs the package protobuf: {GET_PROTOBUF}")
    from faasd_async.nats.stan import StanClient

    try:
        address = ServerAddress.parse(server)
    except NatsError as reason:
        raise click.UsageError(f"--from: {reason}") from None
    reactor = session.reactor
    nats = NatsClient(reactor, [address], name="faasd-async migrate")
    # The same each time: what one that was broken off had in hand is given to the next at once.
    client_id = f"faasd-async-migrate-{socket.gethostname().replace('.', '-')}"
    stan = StanClient(reactor, nats, cluster, client_id)
    try:
        await stan.start().addTimeout(2 * idle + 5, reactor)
        moving = Moving(
            reactor, session.daemon, session.screen, namespace=namespace, idle_seconds=idle
        )
        await moving.run(stan, channel, group)
    except (NatsError, TimeoutError) as reason:
        why = nats.last_error or reason
        raise Unreachable(f"no NATS Streaming at {address}: {why}") from reason
    finally:
        await stan.stop()
    return moving.tell()


class Moving:
    """Messages on their way.

    :param idle_seconds: it is over when none has come for so long.
    """

    def __init__(
        self,
        reactor: Any,
        daemon: Daemon,
        screen: Screen,
        *,
        namespace: str,
        idle_seconds: float,
    ) -> None:
        self._reactor = reactor
        self._daemon = daemon
        self._screen = screen
        self._namespace = namespace
        self._idle_seconds = idle_seconds
        self._over: Deferred[None] = Deferred()
        self._ending: IDelayedCall | None = None
        self._under_way: set[int] = set()
        self._moved: dict[int, str] = {}
        self._left: dict[int, str] = {}
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=screen.as_json,
        )
        self._task = self._progress.add_task("waiting for messages", total=None)

    async def run(self, stan: Any, channel: str, group: str) -> None:
        """Take part in a group until nothing comes any more.

        :param stan: a client with a session.
        """
        with self._progress:
            self._wait_for_more()
            stan.subscribe(
                channel,
                group,
                self._received,
                max_in_flight=_MOST_IN_FLIGHT,
                ack_wait_seconds=_ACK_WAIT_SECONDS,
            )
            await self._over

    def tell(self) -> Exit:
        """Say what became of them."""
        moved, left = Counter(self._moved.values()), self._left
        if self._screen.as_json:
            stay = {str(sequence): why for sequence, why in left.items()}
            self._screen.data({"moved": dict(moved), "left": stay})
        else:
            for function, count in sorted(moved.items()):
                self._screen.line(f"{function}: {count}")
            self._screen.line(f"{moved.total()} moved, {len(left)} left in the channel")
            for sequence, why in sorted(left.items()):
                self._screen.aside(f"message {sequence} stays: {why}")
        return Exit.FAILED if left else Exit.OK

    def _wait_for_more(self) -> None:
        self._ending = self._reactor.callLater(self._idle_seconds, self._over.callback, None)

    def _received(self, message: Any) -> None:
        sequence = message.sequence
        if sequence in self._moved:
            # Its acknowledgement was lost.
            _acknowledge(message)
            return
        if sequence in self._under_way or sequence in self._left or self._over.called:
            return
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        self._under_way.add(sequence)
        moving = Deferred.fromCoroutine(self._move(message))
        moving.addErrback(lambda failure: self._left.update({sequence: failure.getErrorMessage()}))
        moving.addCallback(lambda _: self._done(sequence))

    def _done(self, sequence: int) -> None:
        self._under_way.discard(sequence)
        self._progress.update(
            self._task, description=f"{len(self._moved)} moved, {len(self._left)} left"
        )
        if not self._under_way:
            self._wait_for_more()

    async def _move(self, message: Any) -> None:
        place = Place(message.channel, message.sequence, message.timestamp_ns)
        try:
            request, trouble = read_request(
                message.data, place, queue="default", namespace=self._namespace
            )
        except UnreadableMessage as reason:
            self._left[message.sequence] = f"it is no call: {reason}"
            return
        if trouble is not None:
            self._left[message.sequence] = f"nobody could be called back: {trouble}"
            return
        answer = await self._send(request, place)
        if answer.status != 202:
            self._left[message.sequence] = answer.reason
            return
        self._moved[message.sequence] = request.function
        _acknowledge(message)

    async def _send(self, request: QueueRequest, place: Place) -> Answer:
        assert isinstance(request.body, bytes)
        target = request.target.decode("ascii") if request.target != b"/" else ""
        path = f"/async-function/{segment(request.function)}{target}"
        fields = list(_fields(request, place))
        for _ in range(_TRIES):
            answer = await self._daemon.ask("POST", path, headers=fields, body=request.body)
            if answer.status not in _NOT_NOW:
                break
            await deferLater(self._reactor, 1.0)
        return answer


def _acknowledge(message: Any) -> None:
    """Let the channel forget it; if it cannot be told, it comes again."""
    with suppress(NatsError):
        message.ack()


def _fields(request: QueueRequest, place: Place) -> Iterator[tuple[str, str]]:
    """The header fields to send a message's call with."""
    for name, value in request.headers:
        if name.lower() not in _NOT_OURS:
            yield name.decode("ascii"), value.decode("latin-1")
    if request.callback is not None:
        yield "X-Callback-Url", request.callback.text
    yield "Idempotency-Key", "stan-" + hashlib.sha256(repr(place).encode()).hexdigest()
