"""The bounds of a session with NATS Streaming."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StanLimits:
    """How much, how long, how often.

    :ivar unanswered: publishes that may be on their way at a time; one more is refused.
    :ivar publish_seconds: how long a publish waits to be acknowledged.
    :ivar request_seconds: how long the server may take to answer anything else. It takes half a
        second of its own to find out whether an earlier client of our id is still alive.
    :ivar ping_interval_seconds: how often the session is probed; the server may want another.
    :ivar pings_outstanding: so many unanswered probes, and the session is given up; likewise.
    :ivar first_delay_seconds: before the second attempt to open a session (the first is immediate).
    :ivar longest_delay_seconds: where the doubling of that ends.
    """

    unanswered: int = 1024
    publish_seconds: float = 2.0
    request_seconds: float = 2.0
    ping_interval_seconds: int = 5
    pings_outstanding: int = 3
    first_delay_seconds: float = 0.05
    longest_delay_seconds: float = 0.5
