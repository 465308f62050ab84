"""Where log events go."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.logger import ILogObserver, Logger, LogLevel

from faasd_async.observe import logs
from faasd_async.observe.line import MOST_CHARACTERS
from faasd_async.observe.logs import BoundedLog, Level, make_observer


@pytest.fixture(autouse=True)
def _closed_in_the_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A log stays open as long as its daemon lives, and here only for a test."""
    opened: list[BoundedLog] = []

    class File(BoundedLog):
        def __init__(self, *args: object, **named: object) -> None:
            super().__init__(*args, **named)
            opened.append(self)

    monkeypatch.setattr(logs, "BoundedLog", File)
    yield
    for file in opened:
        file.close()


def logger(observer: ILogObserver) -> Logger:
    return Logger("faasd_async.tests", observer=observer)


def test_nothing_is_opened_before_there_is_something_to_say(tmp_path: Path) -> None:
    """The observer is made before the daemon drops its privileges."""
    path = tmp_path / "log"
    log = logger(make_observer(str(path), False, Level("info")))
    assert not path.exists()
    log.info("now {what}", what="something")
    assert path.read_text().endswith("[faasd_async.tests#info] now something\n")


def test_a_name_that_is_no_text_is_logged_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """On an output that is particular about its characters."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    monkeypatch.setattr(sys, "__stdout__", out)
    logger(make_observer(None, False, Level("info"))).info("paused {name}", name="\udcff")
    assert out.buffer.getvalue().endswith(b"paused \\udcff\n")  # type: ignore[attr-defined]


def test_a_log_is_not_for_everybody(tmp_path: Path) -> None:
    """Its file is the owner's and the group's."""
    path = tmp_path / "log"
    logger(make_observer(str(path), False, Level("info"))).info("x")
    assert path.stat().st_mode & 0o007 == 0


def test_a_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cut into files, of which the newest few are kept."""
    monkeypatch.setattr(logs, "FILE_BYTES", 100)
    log = logger(make_observer(str(tmp_path / "log"), False, Level("info")))
    for number in range(50):
        log.info("line {number}", number=number)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["log", "log.1", "log.2", "log.3", "log.4"]
    assert "line 49" in (tmp_path / "log").read_text() + (tmp_path / "log.1").read_text()


@pytest.mark.parametrize("path", [None, "-"])
def test_standard_output(path: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's own, whatever twistd makes of ``sys.stdout``; each line at once."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "__stdout__", out)
    logger(make_observer(path, False, Level("info"))).info("here")
    assert out.getvalue().endswith("here\n")


def test_a_level_may_change(tmp_path: Path) -> None:
    """What is below it is dropped; a reload sets another."""
    path, level = tmp_path / "log", Level("warn")
    log = logger(make_observer(str(path), False, level))
    log.info("not this")
    log.warn("but this")
    level.set("debug")
    log.debug("and this")
    level.set("error")
    log.warn("nor this")
    assert [line.rsplit(" ", 2)[1:] for line in path.read_text().splitlines()] == [
        ["but", "this"],
        ["and", "this"],
    ]


def test_lines_of_json(tmp_path: Path) -> None:
    """Time, level, logger, the whole message, and the event's plain fields."""
    path = tmp_path / "log"
    log = logger(make_observer(str(path), True, Level("info")))
    log.warn("call {call_id}: {status}", call_id="c", status=500, odd=object(), message="mine")
    (line,) = path.read_text().splitlines()
    event = json.loads(line)
    assert event.pop("time").endswith("+00:00")
    assert event == {
        "level": "warn",
        "logger": "faasd_async.tests",
        "message": "call c: 500",
        "call_id": "c",
        "status": 500,
    }


def test_a_failure_in_json(tmp_path: Path) -> None:
    """On one line, with its traceback in a field of its own."""
    path = tmp_path / "log"
    log = logger(make_observer(str(path), True, Level("info")))
    try:
        raise RuntimeError("a bug")
    except RuntimeError:
        log.failure("it broke\nin {where}", where="two")
    (line,) = path.read_text().splitlines()
    event = json.loads(line)
    assert (event["level"], event["message"]) == ("critical", "it broke\nin two")
    assert "RuntimeError: a bug" in event["traceback"]


@pytest.mark.parametrize("as_json", [False, True])
def test_a_line_is_one_line(tmp_path: Path, as_json: bool) -> None:
    """A caller's text cannot write a line of its own."""
    path = tmp_path / "log"
    logger(make_observer(str(path), as_json, Level("info"))).info("{text}", text="a\nb")
    lines = path.read_text().splitlines()
    assert len([line for line in lines if not line.startswith("\t")]) == 1


#: A line that ends where no LF is, an answer drawn over, a title, text from right to left.
INJECTED = [
    "\r2026-11-24T15:00:00+0000 [-] ready: 9 functions",
    "\x1b[2K\x1b[1Gcall 1: f answered 200",
    "\x9b31m\x07",
    "a\x85b\u2028c\x0bd\x0ce",
    "\u202etfel ot thgir",
    "\x00\x08\x7f",
]


@pytest.mark.parametrize("injected", INJECTED)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_line_commands_nothing(
    tmp_path: Path, injected: str, as_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a terminal would obey is written out, in a failure's traceback, too; without that it
    would get there."""
    log = logger(make_observer(str(tmp_path / "log"), as_json, Level("info")))

    def written() -> str:
        log.info("{text}", text=injected)
        try:
            raise RuntimeError(injected)
        except RuntimeError:
            log.failure("it broke")
        return (tmp_path / "log").read_bytes().decode()

    guarded = written()
    assert [each for each in guarded if not (each.isprintable() or each in "\n\t")] == []
    assert guarded.count("\\") >= 2
    if not as_json:
        monkeypatch.setattr("faasd_async.observe.line.written_out", lambda text: text)
        assert injected in written()


def test_a_line_with_letters_of_all_kinds(tmp_path: Path) -> None:
    """They are what they are; so are tabs."""
    path = tmp_path / "log"
    logger(make_observer(str(path), False, Level("info"))).info("{text}", text="é\t漢字 👩\u200d💻")
    assert path.read_text().endswith("é\t漢字 👩\u200d💻\n")


@pytest.mark.parametrize("name", ["debug", "info", "warn", "error"])
def test_the_levels_names(name: str, tmp_path: Path) -> None:
    """Those of the settings are those of the log; each lets itself through."""
    path = tmp_path / "log"
    log = logger(make_observer(str(path), False, Level(name)))
    log.emit(LogLevel.levelWithName(name), "x")
    assert path.exists()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_line_has_an_end(tmp_path: Path, as_json: bool) -> None:
    """What is longer than anything that has to be read is cut, and says so."""
    observer = make_observer(str(tmp_path / "log"), as_json, Level("info"))
    Logger(observer=observer).info("{text}", text="x" * 5_000_000)
    [line] = (tmp_path / "log").read_text().splitlines()
    assert len(line) < 3 * MOST_CHARACTERS
    assert "characters more)" in (json.loads(line)["message"] if as_json else line)


def test_lines_of_one_turn_are_one_write(tmp_path: Path) -> None:
    """In their order, when the turn is over; what is no longer gathered is written at once."""
    path, due = tmp_path / "log", []
    lines = make_observer(str(path), False, Level("info"))
    log = logger(lines)
    lines.gather(due.append)
    for number in range(3):
        log.info("line {number}", number=number)
    assert (path.exists(), len(due)) == (False, 1)
    due.pop()()
    log.info("line {number}", number=3)
    assert numbers(path) == [0, 1, 2]
    lines.gather_no_more()
    assert numbers(path) == [0, 1, 2, 3]
    log.info("line {number}", number=4)
    assert numbers(path) == [0, 1, 2, 3, 4]
    due.pop()()
    assert (numbers(path), due) == ([0, 1, 2, 3, 4], [])


def numbers(path: Path) -> list[int]:
    """The lines of a log, by the numbers in them."""
    return [int(line.split()[-1]) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("kind", ["warning", "long", "many"])
def test_what_does_not_wait_for_the_end_of_a_turn(tmp_path: Path, kind: str) -> None:
    """A warning, what is long, and what would be too much; with what came before it."""
    path = tmp_path / "log"
    lines = make_observer(str(path), False, Level("info"))
    log = logger(lines)
    lines.gather(lambda write: None)
    log.info("line 0")
    if kind == "warning":
        log.warn("line 1")
    elif kind == "long":
        log.info("{text} 1", text="x" * 5000)
    else:
        for number in range(1, 128):
            log.info("line {number}", number=number)
    assert numbers(path)[:2] == [0, 1]


def test_a_turn_whose_lines_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk takes no line about that either: they are lost, and the next ones are not."""
    path, due, full = tmp_path / "log", [], False
    write = BoundedLog.write

    def write_if_there_is_room(self: BoundedLog, text: str) -> None:
        if full:
            raise OSError("no space left")
        write(self, text)

    monkeypatch.setattr(BoundedLog, "write", write_if_there_is_room)
    lines = make_observer(str(path), False, Level("info"))
    lines.gather(due.append)
    for number in range(3):
        full = number == 1
        logger(lines).info("line {number}", number=number)
        due.pop()()
    assert numbers(path) == [0, 2]
