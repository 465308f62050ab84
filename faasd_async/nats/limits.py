"""How much, how long, how often: every bound of a client in one place."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one client.

    :ivar pending_bytes: what may wait for the server to take it; a publish beyond is refused.
    :ivar handshake_seconds: from the first packet to the server's PONG.
    :ivar ping_interval_seconds: how often the connection is probed.
    :ivar pings_outstanding: so many unanswered probes, and the connection is given up.
    :ivar first_delay_seconds: before the second attempt to reconnect (the first is immediate);
        it doubles from there, and each is shortened by up to a half, at random.
    :ivar longest_delay_seconds: where the doubling ends.
    :ivar flush_seconds: how long stopping waits for the server to confirm what was published.
    """

    pending_bytes: int = 64 * 1024 * 1024
    handshake_seconds: float = 5.0
    ping_interval_seconds: float = 20.0
    pings_outstanding: int = 2
    first_delay_seconds: float = 0.05
    longest_delay_seconds: float = 2.0
    flush_seconds: float = 5.0
