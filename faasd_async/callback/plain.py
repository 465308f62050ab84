"""The way to receivers behind ``http``: our own client, which costs a fraction of treq and Agent.

A callback is sent once a try. It goes to a second connection if not a byte of it has left by the
first; when that is certain is told in :mod:`faasd_async.http.pool`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IStreamClientEndpoint

from faasd_async.call.headers import end_to_end, first
from faasd_async.call.http_form import StoredFields
from faasd_async.call.request import CallbackRequest
from faasd_async.call.retry_after import ASKING_CODES
from faasd_async.call.route import cut
from faasd_async.callback.address import Place, place_of
from faasd_async.callback.receivers import SLOTS
from faasd_async.callback.tried import Try
from faasd_async.callback.way_out import CONNECT_SECONDS
from faasd_async.callback.written import LONGEST_ANSWER_BYTES, USER_AGENT, fields_of
from faasd_async.http.errors import ExchangeError
from faasd_async.http.exchange import Exchange
from faasd_async.http.pool import Pool
from faasd_async.http.reader import Fields
from faasd_async.http.request import write_head, write_head_of
from faasd_async.wheel import Alarm, Wheel

#: Idle connections are let go before most servers would close them.
IDLE_SECONDS = 4

#: To so many hosts connections are kept; the one that was not sent to longest makes room.
MOST_HOSTS = 256


class PlainSender:
    """Makes tries over connections that are kept.

    :param timeout_seconds: how long one may take, given the function's name.
    :param reach: the way to a host, given its name, its port, and whether what is requested looks
        like a function's route.
    """

    def __init__(
        self,
        reactor: Any,
        timeout_seconds: Callable[[str], float],
        reach: Callable[[str, int, bool], IStreamClientEndpoint],
    ) -> None:
        self._reactor = reactor
        self._reach = reach
        self._wheel = Wheel(reactor)
        self._timeout_seconds = timeout_seconds
        self._pools: OrderedDict[tuple[str, int, bool], Pool] = OrderedDict()

    def send(self, callback: CallbackRequest) -> Deferred[Try]:
        """Try once. Whatever goes wrong is told by what it brings; it can be cancelled.

        :param callback: its body is in it.
        :raises Unsendable: it cannot be written as it is.
        """
        assert isinstance(callback.body, bytes)
        try:
            place = place_of(callback.url)
        except ValueError as reason:
            return succeed(Try(0, 0.0, str(reason)))
        head = _head(callback, place, len(callback.body))
        sending = _Sending(head, callback.body, self._reactor.seconds)
        sending.begin(self._wheel, self._timeout_seconds(callback.function))
        tried = sending.tried
        self._pool(place).send(sending)
        return tried

    def _pool(self, place: Place) -> Pool:
        # A connection over which a function of this daemon may be called serves nothing else.
        where = place.host, place.port, cut(place.target) is not None
        pool = self._pools.get(where)
        if pool is not None:
            self._pools.move_to_end(where)
            return pool
        if len(self._pools) >= MOST_HOSTS:
            # What it carries is carried to its end.
            self._pools.popitem(last=False)[1].close()
        pool = self._pools[where] = Pool(
            self._reactor,
            self._wheel,
            self._reach(*where),
            max_connections=SLOTS,
            connect_timeout_seconds=CONNECT_SECONDS,
            idle_seconds=IDLE_SECONDS,
        )
        return pool


def _head(callback: CallbackRequest, place: Place, body_bytes: int) -> bytes:
    headers = callback.headers
    if type(headers) is StoredFields and headers.go_on and callback.url.username is None:
        stored = headers.with_one_more(USER_AGENT).lines
        parts = place.authority, stored, body_bytes
        return write_head_of(b"POST", place.target, b"\r\nHost: %b%b\r\nContent-Length: %d" % parts)
    fields = [
        (b"Host", place.authority),
        *end_to_end(fields_of(callback), without=(b"host",)),
        (b"Content-Length", b"%d" % body_bytes),
    ]
    return write_head(b"POST", place.target, fields)


class _Sending(Exchange):
    """One try under way.

    Who knows it and is known to it is forgotten in time, or nobody but the garbage collector would
    free them.

    :ivar tried: fires with what came of it; cancelling it lets go of the connection.
    """

    __slots__ = (
        "_alarm", "_began_seconds", "_left_bytes", "_limit_seconds", "_retry_after", "_seconds",
        "tried",
    )  # fmt: skip

    _alarm: Alarm
    _limit_seconds: float

    def __init__(self, head: bytes, body: bytes, seconds: Callable[[], float]) -> None:
        super().__init__(b"POST", head, body)
        self._seconds = seconds
        self._began_seconds = seconds()
        self._left_bytes = LONGEST_ANSWER_BYTES
        self._retry_after: bytes | None = None
        self.tried: Deferred[Try] = Deferred(self._cancelled)

    def begin(self, wheel: Wheel, limit_seconds: float) -> None:
        """Its time runs from now."""
        self._limit_seconds = limit_seconds
        self._alarm = wheel.after(limit_seconds, self._pass_by)

    # -- what the exchange tells

    def go_on(self, status: int, fields: Fields, pieces: list[bytes], complete: bool) -> None:
        if complete and not self.over and status not in ASKING_CODES:
            # Nothing of it matters but the status; and it has ended.
            self.over, self.status = True, status
            self._tell("")
        else:
            super().go_on(status, fields, pieces, complete)

    def replied(self, status: int, fields: Fields) -> None:
        self._retry_after = first(fields, b"retry-after")

    def received(self, piece: bytes) -> None:
        self._left_bytes -= len(piece)
        if self._left_bytes < 0:
            self.abort()
            self._tell("")

    def ended(self) -> None:
        self._tell("")

    def failed(self, reason: ExchangeError) -> None:
        self._tell(str(reason))

    # -- what ends it

    def _pass_by(self) -> None:
        self.abort()
        self._tell(f"no answer within {self._limit_seconds:g} s")

    def _cancelled(self, _: object) -> None:
        self._alarm.cancel()
        del self.tried
        self.abort()

    def _tell(self, error: str) -> None:
        """The status is the answer, even if its body did not come to an end."""
        self._alarm.cancel()
        tried = self.tried
        del self.tried
        seconds = self._seconds() - self._began_seconds
        tried.callback(Try(self.status, seconds, "" if self.status else error, self._retry_after))
