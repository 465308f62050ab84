"""As many calls as there can be: the load that wrk makes.

wrk counts bytes. Every good answer of one kind has the same length, so if the bytes add up to that
length times the answers, each of them was whole, and looked as the one that was read before.
"""

from __future__ import annotations

import re
import socket
import subprocess
import tempfile
from dataclasses import dataclass

from benchmarks.harness import BODY, BenchmarkFailed

_SCRIPT = """\
wrk.method = "{method}"
wrk.body = string.rep("x", {body_bytes})
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("figures %d %d %d %d %d %d %d\\n", summary.requests, summary.duration,
    summary.bytes, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
"""

#: So many answers may be on their way when wrk stops; they are short, and come whole or not at all.
_BROKEN_OFF = 4


@dataclass(frozen=True)
class Load:
    """What was seen.

    :ivar answered: how many calls were; the daemon may have taken ``connections`` more, whose
        answers nobody waited for.
    """

    answered: int
    connections: int
    rate: float
    p50_ms: float
    p99_ms: float

    def check(self, what: str, count: int) -> None:
        """
        :raises BenchmarkFailed: the daemon's count does not fit.
        """
        if not self.answered <= count <= self.answered + self.connections:
            raise BenchmarkFailed(f"{self.answered} calls were answered, but {count} {what}")


@dataclass(frozen=True)
class Answer:
    """What each call is to be answered."""

    status: int
    body: bytes = b""


ACCEPTED = Answer(202)
REPLIED = Answer(200, b"ok")


def load(
    port: int, path: str, seconds: float, connections: int, expected: Answer, method: str = "POST"
) -> Load:
    """Have wrk load this machine's *port*, a POST with 1 KiB.

    :raises BenchmarkFailed: an answer was another one, or did not come.
    """
    body = BODY if method == "POST" else b""
    answer_bytes = _answer_bytes(port, path, method, body, expected)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT.format(method=method, body_bytes=len(body)))
        script.flush()
        words = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
        said = _run([*words, "-s", script.name, f"http://127.0.0.1:{port}{path}"])
    found = re.search("figures" + r" (\d+)" * 7, said)
    if found is None:
        raise BenchmarkFailed(said)
    requests, microseconds, got_bytes, p50, p99, refused, broken = map(int, found.groups())
    if not requests or refused or broken:
        raise BenchmarkFailed(f"{refused} answers were no 2xx, {broken} did not come:\n{said}")
    if not 0 <= got_bytes - requests * answer_bytes <= _BROKEN_OFF * answer_bytes:
        raise BenchmarkFailed(f"{requests} answers of {answer_bytes} bytes came to {got_bytes}")
    rate = requests * 1e6 / microseconds
    return Load(requests + 1, connections, rate, p50 / 1e3, p99 / 1e3)


def _run(words: list[str]) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise BenchmarkFailed("wrk makes the load: apt install wrk") from None


def _answer_bytes(port: int, path: str, method: str, body: bytes, expected: Answer) -> int:
    """The length, head and all, of an answer that is read and found right."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{length}\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(head.encode() + body)
        with connection.makefile("rb") as answer:
            lines = list(iter(answer.readline, b"\r\n"))
            fields = dict(line.rstrip().lower().split(b": ", 1) for line in lines[1:])
            reply = answer.read(int(fields[b"content-length"]))
    got = Answer(int(lines[0].split()[1]), reply)
    if got != expected:
        raise BenchmarkFailed(f"{method} {path} was answered {got}, not {expected}")
    return sum(map(len, lines)) + len(b"\r\n") + len(reply)
