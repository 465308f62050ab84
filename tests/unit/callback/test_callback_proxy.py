"""Where callbacks go without the proxy: what ``NO_PROXY`` says, as Go's programs read it."""

from __future__ import annotations

import pytest

from faasd_async.callback.world_client import is_direct


@pytest.mark.parametrize(
    ("host", "port", "except_for", "direct"),
    [
        ("a.test", 443, (), False),
        ("localhost", 443, (), True),
        ("127.0.0.9", 443, (), True),
        ("::1", 443, (), True),
        ("a.test", 443, ("*",), True),
        ("a.test", 443, ("A.test",), True),
        ("b.a.test.", 443, ("a.test",), True),
        ("ba.test", 443, ("a.test",), False),
        ("a.test", 443, (".a.test",), False),
        ("b.a.test", 443, (".a.test",), True),
        ("b.a.test", 443, ("*.a.test",), True),
        ("a.test", 443, ("a.test:8443",), False),
        ("a.test", 8443, ("a.test:8443",), True),
        ("10.1.2.3", 443, ("10.0.0.0/8",), True),
        ("11.1.2.3", 443, ("10.0.0.0/8",), False),
        ("10.1.2.3", 443, ("10.1.2.3",), True),
        ("167838211", 443, ("10.1.2.3",), True),
        ("fd00::1", 443, ("fd00::/8",), True),
        ("fd00::1", 443, ("fd00::1",), True),
        ("fd00::1", 443, ("[fd00::1]:443",), True),
        ("fd00::1", 443, ("[fd00::1]:444",), False),
        ("fd00::1", 443, ("a.test",), False),
        ("10.example", 443, ("10.0.0.0/8",), False),
    ],
)
def test_what_is_excepted(host: str, port: int, except_for: tuple[str, ...], direct: bool) -> None:
    """Names and what is below them, addresses and ranges, with a port or any."""
    assert is_direct(host, port, except_for) is direct
