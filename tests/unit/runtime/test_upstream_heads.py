"""The head of a request to a function, of fields as they are stored and as pairs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from faasd_async.call.headers import FRAMING, HOP_BY_HOP, Headers
from faasd_async.call.http_form import StoredFields, read, write
from faasd_async.errors import InvocationBroken
from faasd_async.runtime.interface import Invocation
from faasd_async.runtime.upstream import Upstream

VALUES = st.binary(max_size=30).map(lambda raw: raw.translate(None, b"\x00\r\n"))
LIKELY = st.sampled_from([*sorted(HOP_BY_HOP | FRAMING), b"x-a", b"host", b"x-host", b"teapot"])
NAMES = LIKELY | LIKELY.map(bytes.title) | LIKELY.map(bytes.upper)
FIELDS = st.lists(st.tuples(NAMES, VALUES | NAMES), max_size=6)


@implementer(IStreamClientEndpoint)
class Peer:
    """A function that hears, and never answers."""

    def __init__(self) -> None:
        self.transport = StringTransport()

    def connect(
        self,
        protocolFactory: IProtocolFactory,  # noqa: N803 - Twisted's name
    ) -> Deferred[IProtocol]:
        protocol = protocolFactory.buildProtocol(None)  # type: ignore[arg-type]
        assert protocol is not None
        protocol.makeConnection(self.transport)
        return succeed(protocol)


def stored(fields: Headers, target: bytes = b"/") -> StoredFields:
    return read(write(target, fields, b""))[1]


def sent(headers: Headers, target: bytes = b"/x?y") -> bytes:
    """What a function behind a path of its own is sent; raises why nothing is."""
    peer, whole = Peer(), list[object]()
    upstream = Upstream(
        Clock(),  # type: ignore[arg-type] # nothing but its time is used
        "f",
        "http://h:81/base",
        max_inflight=1,
        connect_timeout_seconds=5.0,
        endpoint=peer,
    )
    call = Invocation("f", "1", b"POST", target, headers, b"body")
    stop = upstream.invoke_whole(call, 5.0, 1000, whole.append)
    stop()
    for each in whole:
        assert isinstance(each, InvocationBroken)
        raise each
    return peer.transport.value()


def test_stored_fields_are_sent_as_they_are_stored() -> None:
    """In their order and case, behind ``Host`` and before the length."""
    assert sent(stored([(b"x-One", b"1"), (b"X-One", b"")])) == (
        b"POST /base/x?y HTTP/1.1\r\nHost: h:81\r\nx-One: 1\r\nX-One: \r\n"
        b"Content-Length: 4\r\n\r\nbody"
    )


@given(FIELDS)
def test_stored_or_not_the_same_goes_on(fields: list[tuple[bytes, bytes]]) -> None:
    """What is not for the far end stays behind either way: it may have been stored by somebody
    else."""
    assert sent(stored(fields)) == sent(fields)


@pytest.mark.parametrize("lines", [b"\r\nX: a\rb", b"\r\nX: a\nHost: b", b"\r\nX: a\0b"])
def test_a_stored_field_that_breaks_out_of_its_line_is_not_sent(lines: bytes) -> None:
    """Nor would it be understood by anybody."""
    with pytest.raises(InvocationBroken):
        sent(StoredFields(lines))


def test_a_target_with_a_space_is_not_sent() -> None:
    """It would end the target there."""
    with pytest.raises(InvocationBroken):
        sent(stored([(b"X", b"1")]), b"/x y")
