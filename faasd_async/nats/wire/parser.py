"""From the server's bytes to events.

A frame is one control line, and for MSG and HMSG a payload and a trailer behind it::

    MSG <subject> <sid> [reply-to] <#bytes>␍␊<payload>␍␊
    HMSG <subject> <sid> [reply-to] <#header bytes> <#total bytes>␍␊<headers><payload>␍␊
    INFO {json}␍␊   PING␍␊   PONG␍␊   +OK␍␊   -ERR 'text'␍␊

This is the hottest loop of the pipework, so it works on what one read brought, scans for line
ends with ``bytes.find`` and slices each part out once. It keeps three promises:

- An event is handed out when its whole frame, trailer included, has arrived, and exactly once,
  wherever the bytes were split.
- What is kept between two reads is less than one frame, and a frame is bounded: the control line
  by :data:`CONTROL_LINE_BYTES`, the payload by ``payload_limit_bytes``. A large payload that comes
  in many reads is joined once, not at each of them.
- Whatever is no frame raises :class:`ProtocolError`, after the events before it, and then again
  on each further read: there is no way back into step.
"""

from collections.abc import Iterator

from faasd_async.nats.wire.errors import ProtocolError
from faasd_async.nats.wire.events import Event, Message, ServerErr, Signal
from faasd_async.nats.wire.info import ServerInfo

CONTROL_LINE_BYTES = 4096
INFO_LINE_BYTES = 65536
"""INFO names every server of a cluster; it is the one line that may be long."""
DEFAULT_PAYLOAD_LIMIT_BYTES = 1024 * 1024

_SIGNALS = {signal.value: signal for signal in Signal}


class Parser:
    """One connection's incoming half.

    :ivar payload_limit_bytes: the largest message (headers and payload) believed.
    """

    __slots__ = ("_failed", "_held_bytes", "_pieces", "_wanted_bytes", "payload_limit_bytes")

    def __init__(self, payload_limit_bytes: int = DEFAULT_PAYLOAD_LIMIT_BYTES) -> None:
        self.payload_limit_bytes = payload_limit_bytes
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._wanted_bytes = 0
        self._failed: ProtocolError | None = None

    @property
    def held_bytes(self) -> int:
        """How much of an unfinished frame is waiting for its rest."""
        return self._held_bytes

    def receive(self, data: bytes) -> Iterator[Event]:
        """Take what was read and yield the events it completes.

        An iteration that is left early goes on with the next call.

        :raises ProtocolError: see above.
        """
        if self._failed is not None:
            raise self._failed
        if self._pieces:
            self._pieces.append(data)
            self._held_bytes += len(data)
            if self._held_bytes < self._wanted_bytes:
                return
            data = b"".join(self._pieces)
            self._pieces = []
            self._held_bytes = 0
        position = wanted = 0
        length = len(data)
        new_message = tuple.__new__  # as Message(…), without a detour through Python
        try:
            while position < length:
                end = data.find(b"\r\n", position)
                if end < 0:
                    self._check_line(data[position : position + 4], length - position - 1)
                    break
                if end - position > CONTROL_LINE_BYTES:
                    self._check_line(data[position : position + 4], end - position)
                fields = data[position:end].split()
                verb = fields[0] if fields else b""
                if verb == b"MSG":
                    head_bytes = 0
                elif verb == b"HMSG" and len(fields) > 4 and fields[-2].isdigit():
                    head_bytes = int(fields.pop(-2))
                else:
                    event = self._control(verb, data[position:end])
                    position = end + 2
                    yield event
                    continue
                if len(fields) == 5:
                    _, subject, sid, reply, total_field = fields
                elif len(fields) == 4:
                    _, subject, sid, total_field = fields
                    reply = b""
                else:
                    raise self._refusal(data[position:end])
                if not total_field.isdigit():
                    raise self._refusal(data[position:end])
                total_bytes = int(total_field)
                if total_bytes > self.payload_limit_bytes or head_bytes > total_bytes:
                    raise self._refusal(data[position:end])
                start = end + 2
                finish = start + total_bytes
                if length < finish + 2:
                    wanted = finish + 2 - position
                    break
                if data[finish : finish + 2] != b"\r\n":
                    raise self._failure(
                        f"{total_bytes} bytes on {subject[:80]!r} end without CR LF"
                    )
                position = finish + 2
                middle = start + head_bytes
                parts = (subject, sid, reply, data[start:middle], data[middle:finish])
                yield new_message(Message, parts)
        finally:
            if position < length and self._failed is None:
                rest = data[position:]
                self._pieces.append(rest)
                self._held_bytes = len(rest)
                self._wanted_bytes = wanted

    def _control(self, verb: bytes, line: bytes) -> Event:
        if line in _SIGNALS:
            return _SIGNALS[line]
        argument = line[len(verb) :].strip()
        if verb == b"INFO":
            try:
                return ServerInfo.from_json(argument)
            except ProtocolError as error:
                self._failed = error
                raise
        if verb == b"-ERR":
            return ServerErr(argument.decode("utf-8", "replace").strip("'"))
        raise self._refusal(line)

    def _check_line(self, start: bytes, line_bytes: int) -> None:
        limit = INFO_LINE_BYTES if start == b"INFO" else CONTROL_LINE_BYTES
        if line_bytes > limit:
            raise self._failure(f"a control line of more than {limit} bytes, beginning {start!r}")

    def _refusal(self, line: bytes) -> ProtocolError:
        return self._failure(f"no NATS frame, or one over its limit: {line[:80]!r}")

    def _failure(self, text: str) -> ProtocolError:
        self._failed = ProtocolError(text)
        return self._failed
