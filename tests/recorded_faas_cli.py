"""What faas-cli sent, and what it was answered that it understood: read from its recording."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDING = Path(__file__).parent / "recorded" / "faas-cli-requests.txt"

_COMMAND = re.compile(rb"^################ (.*?)  \(gateway <-> provider\)$", re.MULTILINE)
_PIECE = re.compile(
    rb"^##### [0-9:.]+ conn=(\d+) (CLIENT->SERVER|SERVER->CLIENT) (\d+) bytes\n", re.MULTILINE
)
_CHUNK = re.compile(rb"([0-9a-f]+)\r\n")


@dataclass
class Exchange:
    """A request and its answer, byte for byte.

    :ivar command: the command line that it was for.
    """

    command: str
    request: bytes = b""
    answer: bytes = b""

    def __str__(self) -> str:
        return f"{self.command}: {self.first_line}"

    @property
    def first_line(self) -> str:
        return self.request.split(b"\r\n", 1)[0].decode()

    @property
    def status(self) -> int:
        return int(self.answer.split(b" ", 2)[1])

    @property
    def answer_body(self) -> bytes:
        return self.answer.partition(b"\r\n\r\n")[2]

    @property
    def sent(self) -> Any:
        """What was sent as JSON, out of its chunks."""
        rest, body = self.request.partition(b"\r\n\r\n")[2], b""
        while found := _CHUNK.match(rest):
            size = int(found[1], 16)
            body += rest[found.end() : found.end() + size]
            rest = rest[found.end() + size + 2 :]
        return json.loads(body)

    def request_with(self, body: object) -> bytes:
        """The same request, with another body in one chunk."""
        content = json.dumps(body).encode()
        head = self.request.partition(b"\r\n\r\n")[0]
        return b"%b\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (head, len(content), content)


def read_recording() -> list[Exchange]:
    """All exchanges, in their order."""
    recording = RECORDING.read_bytes()
    commands = list(_COMMAND.finditer(recording))
    ends = [*(each.start() for each in commands[1:]), len(recording)]
    return [
        exchange
        for command, end in zip(commands, ends, strict=True)
        for exchange in exchanges_in(command[1].decode(), recording[command.end() : end])
    ]


def exchanges_in(command: str, recorded: bytes) -> Iterator[Exchange]:
    """What was said on recorded connections, in its order."""
    exchange = Exchange(command)
    for piece in _PIECE.finditer(recorded):
        data = recorded[piece.end() : piece.end() + int(piece[3])]
        if piece[2] == b"SERVER->CLIENT":
            exchange.answer += data
            continue
        if exchange.answer:
            yield exchange
            exchange = Exchange(command)
        exchange.request += data
    if exchange.answer:
        yield exchange
