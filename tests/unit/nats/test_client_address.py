"""Server URLs: read, or refused with the reason."""

import pytest

from faasd_async.nats import BadServerAddress, ServerAddress


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("nats://host", ServerAddress("host")),
        ("nats://host:4223/", ServerAddress("host", 4223)),
        ("nats://u:p%40ss@host:1", ServerAddress("host", 1, user="u", password="p@ss")),
        ("nats://t0ken@host", ServerAddress("host", token="t0ken")),
        ("tls://t0ken@host:1", ServerAddress("host", 1, token="t0ken", tls=True)),
        ("nats://[::1]:4222", ServerAddress("::1", 4222)),
        ("nats://u:p@[fe80::1]", ServerAddress("fe80::1", user="u", password="p")),
    ],
)
def test_parse(url: str, address: ServerAddress) -> None:
    """With and without port, user, token; IPv6 in brackets."""
    assert ServerAddress.parse(url) == address


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://host", "expected nats://"),
        ("host:4222", "expected nats://"),
        ("nats://", "expected nats://"),
        ("nats://host:port", "no NATS URL"),
        ("nats://host:99999", "no NATS URL"),
        ("nats://[::1", "no NATS URL"),
        ("nats://host/path", "ends after the port"),
    ],
)
def test_refused(url: str, reason: str) -> None:
    """The text names what is wrong."""
    with pytest.raises(BadServerAddress, match=reason):
        ServerAddress.parse(url)


def test_no_secret_in_errors() -> None:
    """Neither an error nor a representation shows a password."""
    with pytest.raises(BadServerAddress) as caught:
        ServerAddress.parse("nats://u:secret@host/path")
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(ServerAddress.parse("nats://u:secret@host"))


def test_str() -> None:
    """As it is written in a URL."""
    assert str(ServerAddress("host", 1)) == "host:1"
    assert str(ServerAddress("::1", 1)) == "[::1]:1"
