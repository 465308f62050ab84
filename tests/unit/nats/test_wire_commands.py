"""Commands: written as the protocol has them, and never two where one was meant."""

import pytest

from faasd_async.nats.wire import BadSubject, commands

BLOCK = b"NATS/1.0\r\nA: b\r\n\r\n"


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ((b"a", b"hi", b"", b""), b"PUB a  2\r\nhi\r\n"),
        ((b"a", b"hi", b"r", b""), b"PUB a r 2\r\nhi\r\n"),
        ((b"a", b"hi", b"", BLOCK), b"HPUB a  18 20\r\n" + BLOCK + b"hi\r\n"),
        ((b"a", b"", b"r", BLOCK), b"HPUB a r 18 18\r\n" + BLOCK + b"\r\n"),
    ],
)
def test_publish(arguments: tuple[bytes, bytes, bytes, bytes], written: bytes) -> None:
    """With and without reply and headers."""
    assert commands.publish(*arguments) == written


@pytest.mark.parametrize("bad", [b"", b"a b", b" a", b"a\r\nPING", b"a\tb", b"a\n", b"x" * 5000])
def test_publish_refuses_subject(bad: bytes) -> None:
    """White space would make two fields, or two commands, of a subject."""
    for block in (b"", BLOCK):
        with pytest.raises(BadSubject):
            commands.publish(bad, b"", b"r", block)
        with pytest.raises(BadSubject):
            commands.publish(bad, b"", b"", block)
        if bad:
            with pytest.raises(BadSubject):
                commands.publish(b"a", b"", bad, block)


def test_subscribe() -> None:
    """Alone and in a queue group."""
    assert commands.subscribe(b"1", b"a.*", b"") == b"SUB a.*  1\r\n"
    assert commands.subscribe(b"1", b"a.*", b"q") == b"SUB a.* q 1\r\n"
    for subject, queue in [(b"", b""), (b"a b", b""), (b"a", b"q q"), (b"a\r\n", b"")]:
        with pytest.raises(BadSubject):
            commands.subscribe(b"1", subject, queue)


def test_unsubscribe() -> None:
    """At once, or after so many messages."""
    assert commands.unsubscribe(b"1") == b"UNSUB 1\r\n"
    assert commands.unsubscribe(b"1", 5) == b"UNSUB 1 5\r\n"


def test_connect() -> None:
    """Options are one line of JSON."""
    assert commands.connect({"verbose": False}) == b'CONNECT {"verbose":false}\r\n'
