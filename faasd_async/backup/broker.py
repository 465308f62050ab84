"""The nats-server of a state directory: that of the daemon that runs there, or one for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from faasd_async.backup.errors import BackupError
from faasd_async.nats import NatsClient, NatsError, ServerAddress
from faasd_async.nats.server import EmbeddedServer, ServerFiles, ServerSettings
from faasd_async.statelock import StateLock

#: Quotas are the streams'.
_NO_LIMIT_BYTES = 2**50

_PATIENCE_SECONDS = 20.0


@asynccontextmanager
async def broker_of(
    reactor: Any, state_dir: Path, binary: Path | None
) -> AsyncIterator[NatsClient]:
    """A connection to what has the streams of a state directory.

    If no daemon runs there, a nats-server is started for as long, and no daemon can be.

    :param binary: the nats-server to start; ``None``: the one that is installed.
    :raises BackupError: it cannot be reached.
    :raises StartError: it cannot be started.
    """
    if not (state_dir / "nats").is_dir():
        raise BackupError(f"{state_dir} is no state directory: there is no nats in it")
    lock = StateLock(state_dir)
    try:
        ours = lock.try_to_acquire()
    except OSError as error:
        raise BackupError(f"{lock.path} cannot be written: {error.strerror}") from None
    if not ours:
        async with connected(reactor, _running(state_dir)) as client:
            yield client
        return
    try:
        async with started(reactor, state_dir, binary) as client:
            yield client
    finally:
        lock.release(in_order=False)


def _running(state_dir: Path) -> ServerAddress:
    """Where the nats-server of a daemon that runs is.

    :raises BackupError: it cannot be found out.
    """
    files = ServerFiles(state_dir)
    try:
        credentials = files.read_credentials()
        host, _, port = files.address.read_text("ascii").strip().rpartition(":")
    except (OSError, ValueError) as error:
        raise BackupError(
            f"where the nats-server of {state_dir} listens cannot be read: {error}; run this as the"
            " daemon's user or as root, and when the daemon is ready"
        ) from None
    if credentials is None:
        raise BackupError(f"there are no credentials in {files.credentials}")
    return ServerAddress(host, int(port), credentials.user, credentials.password)


@asynccontextmanager
async def connected(reactor: Any, address: ServerAddress) -> AsyncIterator[NatsClient]:
    """A connection, for as long.

    :raises BackupError: there is none.
    """
    client = NatsClient(reactor, [address], name="faasd-async backup")
    client.start()
    try:
        try:
            await client.when_connected().addTimeout(_PATIENCE_SECONDS, reactor)
        except (NatsError, TimeoutError):
            raise BackupError(f"{address} cannot be reached: {client.last_error}") from None
        yield client
    finally:
        await client.stop()


@asynccontextmanager
async def started(reactor: Any, state_dir: Path, binary: Path | None) -> AsyncIterator[NatsClient]:
    """A nats-server on a state directory, for as long, and a connection to it.

    :raises StartError: it does not start.
    """
    server = EmbeddedServer(
        reactor,
        ServerSettings(state_dir=state_dir, max_file_store_bytes=_NO_LIMIT_BYTES, binary=binary),
    )
    await server.start()
    try:
        assert server.address is not None, "it has started"
        address = ServerAddress(*server.address, *server.credentials)
        async with connected(reactor, address) as client:
            yield client
    finally:
        await server.stop()
