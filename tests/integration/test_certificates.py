"""Doors that speak TLS, whose certificates are renewed while they are open."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest_twisted
from certificates import Authority
from daemon import StartDaemon, free_port
from raw_http import Conversation
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.ssl import (
    Certificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)

REQUEST = b"POST /function/echo HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\nhi"


class Caller(Conversation):
    """Somebody with a connection that is encrypted."""

    @property
    def certificate(self) -> bytes:
        """The server's."""
        return Certificate(self.transport.getPeerCertificate()).dumpPEM()  # type: ignore[union-attr]

    async def asks(self) -> bytes:
        """One request more on the connection."""
        before = len(self.answers)
        self.send(REQUEST)
        answers = await self.when_answers(before + 1)
        return answers[-1].body


@pytest_twisted.ensureDeferred
async def test_a_certificate_is_renewed(
    start_daemon: StartDaemon, reactor: Any, tmp_path: Path
) -> None:
    """On SIGHUP, for whoever comes from then on; whoever is in stays in. One that cannot be used
    changes nothing, and the log says so. So it is with a file, and with a directory of them."""
    authority = Authority()
    files = (tmp_path / "pair.pem", tmp_path / "directory" / "pair.pem")
    files[1].parent.mkdir()
    ports = free_port(), free_port()
    endpoints = (
        f"ssl:{ports[0]}:privateKey={files[0]}:interface=127.0.0.1",
        f"tls:{files[1].parent}:port={ports[1]}:interface=127.0.0.1",
    )
    trust = trustRootFromCertificates([Certificate.loadPEM(authority.pem)])

    async def comes(port: int) -> Caller:
        options = optionsForClientTLS("here", trust)
        endpoint = wrapClientTLS(options, TCP4ClientEndpoint(reactor, "127.0.0.1", port))
        caller: Caller = await connectProtocol(endpoint, Caller(reactor, "POST"))
        assert await caller.asks() == b"hi"
        return caller

    def renew() -> list[bytes]:
        pairs = [authority.pair_for("here") for _ in files]
        for file, pair in zip(files, pairs, strict=True):
            file.write_bytes(pair)
        return [pair.partition(b"-----BEGIN PRIVATE")[0] for pair in pairs]

    first = renew()
    daemon = await start_daemon(
        "[functions.echo]\ncommand = 'cat'\n",
        options=("--listen", endpoints[0], "--listen", endpoints[1]),
    )
    early = [await comes(port) for port in ports]
    assert [caller.certificate for caller in early] == first
    second = renew()
    daemon.signal(signal.SIGHUP)
    await daemon.says("tls:.* has its renewed certificate")
    late = [await comes(port) for port in ports]
    assert [caller.certificate for caller in late] == second != first
    files[0].write_bytes(authority.pem)
    daemon.signal(signal.SIGHUP)
    await daemon.says(r"cannot be used: .*its files hold no key and certificate that fit together")
    latest = [await comes(port) for port in ports]
    assert [caller.certificate for caller in latest] == second
    for caller in (*early, *late, *latest):
        assert await caller.asks() == b"hi"
        caller.transport.loseConnection()  # type: ignore[union-attr]
    assert await daemon.stop() == 0
