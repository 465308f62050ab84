"""Who listens where: the daemon's own places, and somebody else's NATS server."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from faasd_async.cli.examinations.findings import Finding, well
from faasd_async.settings import Settings
from faasd_async.settings.endpoints import place_of

_PATIENCE_SECONDS = 5.0

#: Who listens everywhere is found here.
_FROM_HERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not to listen


def examine_network(settings: Settings, *, is_up: bool) -> Iterator[Finding]:
    """:param is_up: a daemon answers; so its places are taken, and by whom they should be."""
    if not is_up:
        for endpoint in (*settings.gateway.listen, *settings.gateway.metrics_listen):
            place = place_of(endpoint)
            if isinstance(place.port, int) and place.port:
                yield _place(endpoint, place.port, place.interface)
    for url in settings.nats.urls:
        yield _server(url)


def home_of(settings: Settings) -> str:
    """Where a daemon of these settings answers plain HTTP on this machine; empty: nowhere, or where
    it is, systemd knows."""
    for endpoint in settings.gateway.listen:
        if endpoint.partition(":")[0] not in ("tcp", "tcp6"):
            continue
        place = place_of(endpoint)
        host = _FROM_HERE.get(place.interface, place.interface)
        if place.port and "%" not in host:
            return f"http://[{host}]:{place.port}" if ":" in host else f"http://{host}:{place.port}"
    return ""


def _place(endpoint: str, port: int, interface: str) -> Finding:
    family = socket.AF_INET6 if ":" in interface else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((interface, port))
            probe.listen(1)
        except OSError as reason:
            remedies = {
                errno.EADDRINUSE: f"see who has it (ss -ltnp sport = :{port}), or listen elsewhere",
                errno.EACCES: "listen above 1023, or have systemd open it (faasd-async.socket)",
            }
            remedy = remedies.get(reason.errno or 0, "listen elsewhere")
            return Finding("port", "ill", f"{endpoint}: {reason.strerror}", remedy)
    return well("port", f"{endpoint} is free")


def _server(url: str) -> Finding:
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 4222)
    try:
        with socket.create_connection(address, _PATIENCE_SECONDS) as connection:
            connection.settimeout(_PATIENCE_SECONDS)
            greeting = connection.recv(64)
    except OSError as reason:
        return Finding("NATS", "ill", f"{url}: {reason}", "start it, or correct [nats] urls")
    if not greeting.startswith(b"INFO "):
        return Finding("NATS", "ill", f"{url} is no NATS server", "correct [nats] urls")
    return well("NATS", f"{url} answers")
