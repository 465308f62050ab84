"""The recorded sessions with NATS Streaming, as the frames that they are made of."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

RECORDED = Path(__file__).parent / "recorded"

SESSIONS = {"producer": "stan-producer.txt", "worker": "stan-worker.txt"}

_LINE = re.compile(r" *([0-9.]+) conn1 (client|server)> (.*)")
_FRAME = re.compile(rb"(PUB|MSG) (\S+) (?:(\S+) )??(?:(\S+) )?(\d+)\r\n")


class Frame(NamedTuple):
    """A message that was sent, or came.

    :ivar sent: by the client.
    :ivar reply: empty if there is none.
    """

    seconds: float
    sent: bool
    subject: bytes
    reply: bytes
    payload: bytes


def frames(name: str) -> list[Frame]:
    """The frames of one session: ``producer`` or ``worker``."""
    lines = (RECORDED / SESSIONS[name]).read_text().splitlines()
    return [frame for line in lines for frame in _frames_of(line)]


def _frames_of(line: str) -> Iterator[Frame]:
    seconds, who, escaped = _LINE.match(line).groups()  # type: ignore[union-attr]
    quoted = escaped.replace('"', '\\"')
    said: bytes = ast.literal_eval(f'b"{quoted}"')
    while said:
        found = _FRAME.match(said)
        if found is None:
            said = said.partition(b"\r\n")[2]
            continue
        _, _, *rest = arguments = found[0].split()
        size, rest = int(rest[-1]), rest[:-1]
        if arguments[0] == b"MSG":
            rest = rest[1:]
        reply = rest[0] if rest else b""
        end = found.end() + size
        yield Frame(float(seconds), who == "client", arguments[1], reply, said[found.end() : end])
        said = said[end + 2 :]
