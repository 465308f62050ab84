"""Reading what nats-server says."""

import pytest

from faasd_async.lines import LINE_BYTES
from faasd_async.nats.server.log import LogLine, LogReader, parse_line

SAID = (
    b"[7] [INF] Listening for client connections on 127.0.0.1:4222\n"
    b"[7] [INF] \n"
    b"[7] [INF] Server is ready\n"
)


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("TRC", "debug"),
        ("DBG", "debug"),
        ("INF", "debug"),
        ("WRN", "warn"),
        ("ERR", "error"),
        ("FTL", "critical"),
    ],
)
def test_each_level_has_its_own(word: str, level: str) -> None:
    """The bracketed word becomes a twisted.logger level, and is no longer in the text."""
    assert parse_line(f"[42] [{word}] some text".encode()) == LogLine(level, "some text")


@pytest.mark.parametrize("line", [b"nats-server: no such file", b"[1] [XYZ] text", b"[x] [INF] t"])
def test_a_line_without_brackets_is_a_bare_warning(line: bytes) -> None:
    """What does not look like the log is kept whole."""
    assert parse_line(line) == LogLine("warn", line.decode(), bare=True)


def test_the_expected_warning_is_no_warning() -> None:
    """The warning about passwords in the configuration is shown to those who debug only."""
    line = parse_line(b"[1] [WRN] Plaintext passwords detected, use nkeys or bcrypt")
    assert line.level == "debug"


def test_bytes_that_are_no_text_are_shown_all_the_same() -> None:
    """Bytes outside UTF-8 are replaced."""
    assert parse_line(b"[1] [INF] \xff").text == "\N{REPLACEMENT CHARACTER}"


def test_the_address_is_read() -> None:
    """The line about client connections, and only that one, gives an address."""
    listening = parse_line(b"[1] [INF] Listening for client connections on 127.0.0.1:43210")
    assert listening.address == ("127.0.0.1", 43210)
    assert parse_line(b"[1] [INF] Listening for route connections on 127.0.0.1:1").address is None
    assert parse_line(b"Listening for client connections on 127.0.0.1:43210").address is None


def test_readiness_is_read() -> None:
    """Only the log's own line says that the server is ready."""
    assert parse_line(b"[1] [INF] Server is ready").ready
    assert not parse_line(b"Server is ready").ready
    assert not parse_line(b"[1] [INF] Server is ready to be doubted").ready


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "[ERR] Filestore [FAAS_CALLS] Critical write error: write /s/6.blk: no space left on"
            " device",
            "no space left on device",
        ),
        (
            "[ERR] JetStream failed to store a msg on stream '$G > FAAS_CALLS': write /s/6.blk: no"
            " space left on device",
            "no space left on device",
        ),
        (
            "[ERR] JetStream stream '$G > X' critical write error: write /s/6.blk: input/output"
            " error",
            "input/output error",
        ),
        (
            "[WRN] error opening msg block file: open /s/7.blk: read-only file system",
            "read-only file system",
        ),
        (
            "[ERR] JetStream out of File resources, will be DISABLED",
            "JetStream out of File resources, will be DISABLED",
        ),
    ],
)
def test_a_write_error_is_read(line: str, reason: str) -> None:
    """Each way in which a server says that it stores no more, with the kernel's reason."""
    assert parse_line(f"[1] {line}".encode()).write_error == reason


@pytest.mark.parametrize(
    "line",
    [
        "[1] [DBG] JetStream failed to store a msg on stream 'X': maximum bytes exceeded",
        "[1] [WRN] JetStream API queue limit reached, dropping 100 requests",
        "[1] [INF] Filestore: no space left on device was yesterday",
        "no space left on device",
    ],
)
def test_what_is_no_write_error(line: str) -> None:
    """A full quota is a refusal, and what is said for information or without a log harms nobody."""
    assert parse_line(line.encode()).write_error is None


@pytest.mark.parametrize("at", range(len(SAID) + 1))
def test_lines_come_whole_wherever_they_are_cut(at: int) -> None:
    """However the bytes arrive, the same lines come out, empty ones left out."""
    reader = LogReader()
    lines = reader.feed(SAID[:at]) + reader.feed(SAID[at:])
    assert [line.text for line in lines] == [
        "Listening for client connections on 127.0.0.1:4222",
        "Server is ready",
    ]


def test_the_last_line_needs_no_end() -> None:
    """What came without a line end is a line when nothing more can come."""
    reader = LogReader()
    assert reader.feed(b"[1] [FTL] dying") == []
    assert reader.finish() == [LogLine("critical", "dying")]
    assert reader.finish() == []


def test_an_endless_line_comes_in_pieces() -> None:
    """A line over the bound is not gathered further."""
    reader = LogReader()
    lines = reader.feed(b"x" * (2 * LINE_BYTES + 1))
    assert [len(line.text) for line in lines] == [LINE_BYTES] * 2
    assert [line.text for line in reader.finish()] == ["x"]
