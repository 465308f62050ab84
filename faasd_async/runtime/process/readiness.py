"""Whether a function's own server is ready."""

from __future__ import annotations

from urllib.parse import urlsplit

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.protocol import Factory, Protocol

from faasd_async.errors import InvocationError
from faasd_async.http.endpoint import host_endpoint
from faasd_async.runtime.collect import gather
from faasd_async.runtime.interface import Invocation
from faasd_async.runtime.reactor import IRuntimeReactor
from faasd_async.runtime.upstream import Upstream

PROBE_SECONDS = 2.0
READY_BODY_BYTES = 64 * 1024


class _Probes(Factory):
    noisy = False
    protocol = Protocol


async def answers(upstream: Upstream, function: str, path: str) -> bool:
    """Whether ``GET`` of *path* has a 2xx for an answer."""
    question = Invocation(function, "", b"GET", path.encode("ascii"), (), b"")
    try:
        reply = await upstream.invoke(question, PROBE_SECONDS)
        await gather(reply, READY_BODY_BYTES)
    except InvocationError:
        return False
    return 200 <= reply.status < 300


async def listens(reactor: IRuntimeReactor, url: str) -> bool:
    """Whether the port of *url* takes connections."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    endpoint = host_endpoint(reactor, parts.hostname, port, PROBE_SECONDS)
    try:
        protocol = await endpoint.connect(_Probes())
    except CancelledError:
        raise
    except ConnectingCancelledError:
        raise CancelledError() from None
    except Exception:
        # Whatever the reason: it does not, or not yet.
        return False
    assert isinstance(protocol, Protocol)
    transport = protocol.transport
    assert transport is not None
    transport.loseConnection()
    # A port nobody listens on may be the very one that the kernel picked for our end of the
    # connection, which then is connected with itself.
    return bool(transport.getHost() != transport.getPeer())
