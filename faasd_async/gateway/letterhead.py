"""What goes on of a request's head, written once for all requests of a client that begin with it.

New in each call are its id, its time and its body. All that stands around them follows from the
head, and from who sent it.
"""

from __future__ import annotations

from typing import NamedTuple

from faasd_async.call.headers import Headers


class Letterhead(NamedTuple):
    """The head of a call that is to be stored, but for its id and its time.

    :ivar before: the fields before these two, :ivar:`after` those behind them.
    :ivar opening: as it is stored, up to the id.
    :ivar closing: from behind the time up to the body.
    """

    before: Headers
    after: Headers
    opening: bytes
    closing: bytes

    def headers(self, call_id: bytes, start_time: bytes) -> list[tuple[bytes, bytes]]:
        """The fields of one call."""
        ids = ((b"X-Call-Id", call_id), (b"X-Start-Time", start_time))
        return [*self.before, *ids, *self.after]

    def written(self, call_id: bytes, start_time: bytes, body: bytes) -> bytes:
        """One call as :func:`faasd_async.call.http_form.write` writes it."""
        parts = (self.opening, call_id, b"\r\nX-Start-Time: ", start_time, self.closing, body)
        return b"".join(parts)


def letterhead(target: bytes, before: Headers, after: Headers, body_bytes: int) -> Letterhead:
    """
    :param target: as the function sees it.
    :param body_bytes: how long the body of each call is.
    """
    opening = b"POST %b HTTP/1.1\r\n%bX-Call-Id: " % (target, _lines(before))
    closing = b"\r\n%bContent-Length: %d\r\n\r\n" % (_lines(after), body_bytes)
    return Letterhead(before, after, opening, closing)


def _lines(fields: Headers) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in fields])
