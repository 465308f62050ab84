"""What a client can say, written down.

One command is one ``bytes``: commands are gathered and leave together, so that joining them is
the only copy on the way out.
"""

import json
from collections.abc import Mapping

from faasd_async.nats.wire.errors import BadSubject
from faasd_async.nats.wire.parser import CONTROL_LINE_BYTES

PING = b"PING\r\n"
PONG = b"PONG\r\n"
SUBJECTS_BYTES = CONTROL_LINE_BYTES - 64
"""What subject and reply, or queue, may take of a control line: the server hangs up on more."""


def connect(options: Mapping[str, str | bool | int]) -> bytes:
    """CONNECT, with options as the protocol names them."""
    return b"CONNECT %b\r\n" % json.dumps(options, separators=(",", ":")).encode()


def publish(subject: bytes, payload: bytes, reply: bytes, header_block: bytes) -> bytes:
    """PUB, or HPUB when there is a header block.

    :raises BadSubject: white space in subject or reply would make other fields of them.
    """
    subjects = b"%b %b" % (subject, reply)
    if subjects.split() != ([subject, reply] if reply else [subject]):
        raise BadSubject(f"cannot publish to {subject[:80]!r} with reply to {reply[:80]!r}")
    if len(subjects) > SUBJECTS_BYTES + 1:
        raise BadSubject(f"{subject[:80]!r} is longer than a control line may be")
    size = len(payload)
    if header_block:
        head = len(header_block)
        parts = subjects, head, head + size, header_block, payload
        return b"HPUB %b %d %d\r\n%b%b\r\n" % parts
    return b"PUB %b %d\r\n%b\r\n" % (subjects, size, payload)


def subscribe(sid: bytes, subject: bytes, queue: bytes) -> bytes:
    """SUB, as a member of a queue group when one is named.

    :raises BadSubject: white space in subject or queue would make other fields of them.
    """
    if subject.split() != [subject] or (queue and queue.split() != [queue]):
        raise BadSubject(f"cannot subscribe to {subject[:80]!r} in queue {queue[:80]!r}")
    if len(subject) + len(queue) > SUBJECTS_BYTES:
        raise BadSubject(f"{subject[:80]!r} is longer than a control line may be")
    return b"SUB %b %b %b\r\n" % (subject, queue, sid)


def unsubscribe(sid: bytes, max_messages: int = 0) -> bytes:
    """UNSUB: now, or once the server has delivered ``max_messages`` in all."""
    if max_messages:
        return b"UNSUB %b %d\r\n" % (sid, max_messages)
    return b"UNSUB %b\r\n" % sid
