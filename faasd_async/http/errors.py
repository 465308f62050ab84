"""How an exchange comes to a bad end."""

from __future__ import annotations

from faasd_async.errors import FaasdAsyncError


class ExchangeError(FaasdAsyncError):
    """A request brought no whole reply."""


class Unsendable(ExchangeError):
    """The request is none: a part of it would break out of its line."""


class NotSent(ExchangeError):
    """Not a byte of the request has left: there was no connection for it."""


class BrokenOff(ExchangeError):
    """The request was sent, in part at least, and the peer hung up before its reply was whole."""


class BadReply(BrokenOff):
    """What came is no reply, or one over the bounds."""
