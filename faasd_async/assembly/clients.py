"""The daemon as a client of brokers: of its own, or of somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from faasd_async.assembly.shared import Shared
from faasd_async.errors import ConfigurationError
from faasd_async.nats import BadCredentials, Limits, NatsClient, ServerAddress, Tls
from faasd_async.nats.nkey import Credentials, read_credentials_file, read_nkey_file
from faasd_async.nats.server import EmbeddedServer
from faasd_async.settings import NatsSettings

#: What may wait for a broker to take it; a publish beyond is refused.
_LIMITS = Limits(pending_bytes=32 * 2**20)

#: Likewise, of a client whose server is known to go away and come back.
_EAGER = replace(_LIMITS, longest_delay_seconds=0.25)


class Clients:
    """Makes clients, and knows all that it made."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._all: list[NatsClient] = []

    def reconnects(self) -> int:
        """How often all of them have connected anew."""
        return sum(client.statistics.reconnects for client in self._all)

    def of_queue(self, broker: EmbeddedServer | None) -> NatsClient:
        """The queue's.

        :param broker: the daemon's own; ``None``: the queue is with somebody else's.
        """
        if broker is None:
            return self._external(self._shared.settings.nats.urls, login=True)

        def embedded() -> list[ServerAddress]:
            if broker.address is None:
                return []
            return [ServerAddress(*broker.address, *broker.credentials)]

        client = NatsClient(self._shared.reactor, embedded, limits=_LIMITS)
        self._all.append(client)
        broker.on_ready.append(lambda _: client.reconnect_now())
        return client

    def of_streaming(self) -> NatsClient:
        """That of NATS Streaming."""
        nats = self._shared.settings.nats
        urls = nats.streaming.urls
        return self._external(urls or nats.urls, login=not urls, limits=_EAGER)

    def _external(
        self, urls: Iterable[str], *, login: bool, limits: Limits = _LIMITS
    ) -> NatsClient:
        """A client of somebody else's server.

        :param login: whether it is the one of ``[nats]``, whose credentials are for no other.
        """
        nats, reactor = self._shared.settings.nats, self._shared.reactor
        addresses = [ServerAddress.parse(url) for url in urls]
        if login:
            client = NatsClient(
                reactor,
                addresses,
                user=nats.user or "",
                password=nats.password or "",
                token=nats.token or "",
                credentials=_credentials(nats),
                tls=_tls(nats),
                limits=limits,
            )
        else:
            client = NatsClient(reactor, addresses, limits=limits)
        self._all.append(client)
        return client


def _credentials(nats: NatsSettings) -> Callable[[], Credentials] | None:
    """Read a key for each connection; once now, to tell whoever starts the daemon of a bad one.

    :raises ConfigurationError: it is one.
    """
    if nats.credentials_file is not None:
        key, read = "credentials_file", partial(read_credentials_file, nats.credentials_file)
    elif nats.nkey_file is not None:
        key, read = "nkey_file", partial(read_nkey_file, nats.nkey_file)
    else:
        return None
    try:
        read()
    except BadCredentials as reason:
        raise ConfigurationError(f"[nats] {key}: {reason}") from reason
    return read


def _tls(nats: NatsSettings) -> Tls:
    """TLS as the settings have it; its files are tried, as with :func:`_credentials`.

    :raises ConfigurationError: one is not what it should be.
    """
    given = bool(nats.ca_file or nats.certificate_file)
    tls = Tls(nats.ca_file, nats.certificate_file, nats.key_file, required=given)
    try:
        if given:
            tls.options("localhost")
    except BadCredentials as reason:
        raise ConfigurationError(f"[nats] {reason}") from reason
    return tls
