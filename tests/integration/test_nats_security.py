"""Servers of somebody else's that want to know who comes: TLS, NKEYs and JWTs, for real."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemon import StartDaemon
from listener import Listener
from nats_security import Certificates, Identity, credentials_file
from real_nats import QUICK, RealNats
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory

from faasd_async.nats import (
    AuthorizationFailed,
    HandshakeFailed,
    NatsError,
    NotConnected,
    Statistics,
    Tls,
    TlsMissing,
)
from faasd_async.nats.endpoint import HandshakeEndpoint, Login
from faasd_async.nats.nkey import read_credentials_file, read_nkey_file
from faasd_async.nats.protocol import NatsProtocol

StartServer = Callable[..., Awaitable[RealNats]]


@pytest_twisted.async_yield_fixture
async def start_server(reactor: Any, tmp_path: Path) -> Any:
    """Starts servers with a configuration of their own."""
    started: list[RealNats] = []

    async def start(configuration: str, jetstream: bool = True) -> RealNats:
        directory = tmp_path / f"server-{len(started)}"
        directory.mkdir()
        (directory / "nats.conf").write_text(configuration)
        server = RealNats(
            reactor, directory, "-c", str(directory / "nats.conf"), jetstream=jetstream
        )
        started.append(server)
        await server.start()
        return server

    yield start
    for server in started:
        await server.end()


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    directory = tmp_path / "certificates"
    directory.mkdir()
    return Certificates(directory)


async def why_not(server: RealNats, login: Login, tls: Tls | None = None) -> Exception | None:
    """What comes of an attempt to connect; ``None``: a connection."""
    reactor, address = server.reactor, server.address
    factory = Factory.forProtocol(
        lambda: NatsProtocol(reactor, lambda message: None, QUICK, Statistics())
    )
    dialled = HostnameEndpoint(reactor, address.host, address.port)
    endpoint = HandshakeEndpoint(reactor, dialled, login, 10, host=address.host, tls=tls or Tls())
    try:
        protocol = await server.soon(endpoint.connect(factory))
    except NatsError as error:
        return error
    gone = protocol.when_lost()
    protocol.drop(NotConnected("it was tried"))
    await server.soon(gone)
    return None


@pytest_twisted.ensureDeferred
async def test_a_daemon_behind_certificates_and_a_key(
    start_daemon: StartDaemon,
    start_server: StartServer,
    certificates: Certificates,
    listener: Listener,
    tmp_path: Path,
) -> None:
    """Calls are queued and run over mutual TLS, by whom the server knows the key of."""
    user = Identity.draw("user")
    key_file = tmp_path / "user.nk"
    key_file.write_text(user.seed)
    certificate, key = certificates.issue("server")
    server = await start_server(
        f"tls {{ cert_file: '{certificate}', key_file: '{key}', ca_file: '{certificates.ca}',"
        f" verify: true }}\nauthorization {{ users: [{{ nkey: {user.public} }}] }}\n"
    )
    own, own_key = certificates.issue("daemon")
    listener.on_request = lambda request: request.answer(200, b"")
    daemon = await start_daemon(
        f"[nats]\nembedded = false\nurls = ['tls://127.0.0.1:{server.port}']\n"
        f"nkey_file = '{key_file}'\nca_file = '{certificates.ca}'\n"
        f"certificate_file = '{own}'\nkey_file = '{own_key}'\n"
        f"[functions.f]\nurl = '{listener.url()}'\n"
    )
    accepted = await daemon.request("/async-function/f", b"x")
    (running,) = await listener.when(1)
    assert accepted.status == 202
    assert running.body == b"x"
    assert user.seed not in daemon.log


@pytest_twisted.ensureDeferred
async def test_a_jwt(start_server: StartServer, tmp_path: Path) -> None:
    """A ``.creds`` file opens a server in operator mode; somebody else's key does not, nor does
    it help to come back."""
    operator, account, user = map(Identity.draw, ("operator", "account", "user"))
    limits = {"subs": -1, "data": -1, "payload": -1}
    account_limits = limits | {"conn": -1, "leaf": -1, "imports": -1, "exports": -1}
    vouched = operator.vouch(account, limits=account_limits)
    server = await start_server(
        f"operator: {operator.vouch(operator)}\nresolver: MEMORY\n"
        f"resolver_preload: {{ {account.public}: {vouched} }}\n",
        jetstream=False,
    )
    jwt = account.vouch(user, **limits)
    good = credentials_file(tmp_path / "good.creds", jwt, user)
    bad = credentials_file(tmp_path / "bad.creds", jwt, Identity.draw("user"))
    let_in = await why_not(server, Login("c", credentials=partial(read_credentials_file, good)))
    refused = await why_not(server, Login("c", credentials=partial(read_credentials_file, bad)))
    assert let_in is None
    assert isinstance(refused, AuthorizationFailed)


@pytest_twisted.ensureDeferred
async def test_who_is_not_who_they_should_be(
    start_server: StartServer, certificates: Certificates, tmp_path: Path
) -> None:
    """A server whose certificate is of another authority, or for another host, or that has none,
    hears no password; one that has the right one does, whether the URL said TLS or not."""
    (tmp_path / "others").mkdir()
    others = Certificates(tmp_path / "others")
    password = "authorization { user: u, password: pw }\n"

    async def ending(host: str, ca: str | None) -> Exception | None:
        certificate, key = certificates.issue("server", host)
        server = await start_server(
            f"{password}tls {{ cert_file: '{certificate}', key_file: '{key}' }}\n"
        )
        return await why_not(server, Login("c", "u", "pw"), Tls(ca_file=ca))

    assert await ending("127.0.0.1", certificates.ca) is None
    for host, ca in (("127.0.0.2", certificates.ca), ("127.0.0.1", others.ca), ("127.0.0.1", None)):
        assert isinstance(await ending(host, ca), HandshakeFailed)
    plain = await start_server(password)
    insisting = Tls(ca_file=certificates.ca, required=True)
    assert isinstance(await why_not(plain, Login("c", "u", "pw"), insisting), TlsMissing)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nkey_file = 'nothing.nk'", "nkey_file: .*nothing.nk cannot be read"),
        ("credentials_file = 'empty'", "credentials_file: .*empty is no credentials file"),
        ("ca_file = 'empty'", "empty has no certificate in PEM"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_files_that_are_none(
    start_daemon: StartDaemon, tmp_path: Path, line: str, said: str
) -> None:
    """They stop the start, and are named."""
    (tmp_path / "empty").write_text("")
    daemon = await start_daemon(
        f"[nats]\nembedded = false\nurls = ['nats://127.0.0.1:1']\n{line}\n", wait_ready=False
    )
    await daemon.says(said)
    assert await daemon.ended() != 0


def test_a_key_of_our_tests_is_read(tmp_path: Path) -> None:
    """What :mod:`nats_security` writes is what the daemon reads."""
    user = Identity.draw("user")
    (tmp_path / "user.nk").write_text(user.seed)
    assert read_nkey_file(str(tmp_path / "user.nk")).key.public == user.public
