"""What goes on of a request's head, written once for all requests of a client that begin with it.

New in each call are its id, its time and its body. All that stands around them follows from the
head, and from who sent it.
"""

from __future__ import annotations

from typing import NamedTuple

from faasd_async.call.headers import Headers


class Letterhead(NamedTuple):
    """The head of a call that is to be stored, but for its id and its time.

    :ivar opening: up to the id.
    :ivar closing: from behind the time up to the body.
    """

    opening: bytes
    closing: bytes

    def written(self, call_id: bytes, start_time_ns: int, body: bytes) -> bytes:
        """One call as :func:`faasd_async.call.http_form.write` writes it."""
        ids = b"%b\r\nX-Start-Time: %d" % (call_id, start_time_ns)
        return b"".join((self.opening, ids, self.closing, body))


def letterhead(target: bytes, before: Headers, after: Headers, body_bytes: int) -> Letterhead:
    """
    :param target: as the function sees it.
    :param before: the fields before id and time.
    :param after: those behind.
    :param body_bytes: how long the body of each call is.
    """
    opening = b"POST %b HTTP/1.1\r\n%bX-Call-Id: " % (target, _lines(before))
    closing = b"\r\n%bContent-Length: %d\r\n\r\n" % (_lines(after), body_bytes)
    return Letterhead(opening, closing)


def _lines(fields: Headers) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in fields])
