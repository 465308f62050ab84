"""The error families.

Every error this package raises on purpose descends from :class:`FaasdAsyncError`, so that an
edge can tell an expected refusal from a bug. Each family says who has to act: the operator
(:class:`ConfigurationError`, :class:`StartError`), the caller (``gateway``'s refusals), the queue's
owner (:class:`QueueUnavailable`) or the function's owner (:class:`InvocationError`).
"""


class FaasdAsyncError(Exception):
    """The base of everything raised on purpose."""


class ConfigurationError(FaasdAsyncError):
    """The settings are wrong; the text names file, key, what was found and what is allowed."""


class StartError(FaasdAsyncError):
    """The daemon cannot start; the text is one line: the cause and the remedy."""


class QueueError(FaasdAsyncError):
    """The queue did not do what it was asked to."""


class QueueUnavailable(QueueError):
    """The queue cannot be reached or cannot answer now: try again later (HTTP 503)."""


class QueueFull(QueueUnavailable):
    """The queue's quota is used up: nothing was stored (HTTP 503)."""


class NoSchedules(QueueError):
    """The broker cannot put calls off, now or ever (HTTP 501)."""


class AlreadyStored(QueueError):
    """Somebody else stored it first."""


class MaybeStored(QueueError):
    """The queue did not answer in time: the parcel may or may not be in it (HTTP 504)."""


class BodyGone(QueueError):
    """A body that lay in the store is there no longer, or not all of it."""


class CallTooLarge(QueueError):
    """The call is larger than the queue can store (HTTP 413).

    :ivar limit_bytes: what the queue would have taken.
    """

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"a call of {size_bytes} bytes is over the queue's {limit_bytes}")
        self.limit_bytes = limit_bytes


class InvocationError(FaasdAsyncError):
    """An invocation brought no answer of the function's own.

    :cvar status: the HTTP status that tells a caller so.
    """

    status = 502


class NotHandedOver(InvocationError):
    """The function was never reached: refused, unreachable, not started (HTTP 502).

    The call had no effect, so it may be tried again without counting as an attempt.
    """


class NotRunning(NotHandedOver):
    """The function's container is not there, and the text says why (HTTP 503)."""

    status = 503


class InvocationBroken(InvocationError):
    """The function was reached and broke off before its answer was whole (HTTP 502)."""


class InvocationTimedOut(InvocationError):
    """The function did not answer within its limit and was stopped (HTTP 504)."""

    status = 504
