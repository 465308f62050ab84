"""Who is let in under ``/system/`` as long as there is no password."""

from __future__ import annotations

import pytest

from faasd_async.call.headers import Headers
from faasd_async.gateway.operator import admit
from faasd_async.gateway.refusal import Refusal

HOST = (b"Host", b"127.0.0.1:8080")


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        ("127.0.0.1", (HOST,)),
        ("127.9.9.9", ((b"Host", b"localhost:8080"),)),
        ("::1", ((b"Host", b"[::1]:8080"),)),
        ("::ffff:127.0.0.1", ((b"Host", b"LOCALHOST"),)),
        ("127.0.0.1", ()),
        ("127.0.0.1", (HOST, (b"Origin", b"http://localhost:8080"))),
        (None, ((b"Host", b"anything.example"),)),
    ],
)
def test_somebody_at_this_machine_is_let_in(peer: str | None, headers: Headers) -> None:
    """A loopback peer or one on a Unix socket, under a name of this machine."""
    admit(peer, headers)


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        ("192.0.2.1", (HOST,)),
        ("::ffff:192.0.2.1", (HOST,)),
        ("127.0.0.1", (HOST, (b"X-Forwarded-For", b"192.0.2.1"))),
        ("127.0.0.1", (HOST, (b"x-forwarded-proto", b"https"))),
        ("127.0.0.1", (HOST, (b"Forwarded", b"for=192.0.2.1"))),
        ("127.0.0.1", (HOST, (b"Origin", b"http://evil.example"))),
        ("127.0.0.1", (HOST, (b"Origin", b"null"))),
        ("127.0.0.1", (HOST, (b"Origin", b"http://[bad"))),
        ("127.0.0.1", ((b"Host", b"rebound.evil.example"),)),
        (None, ((b"X-Forwarded-For", b"192.0.2.1"),)),
    ],
)
def test_anybody_else_is_refused(peer: str | None, headers: Headers) -> None:
    """Strangers, those whom a proxy brings, pages of other hosts, names that were bent here."""
    with pytest.raises(Refusal) as refused:
        admit(peer, headers)
    assert refused.value.status == 403
