"""The command line behind ``twistd faasd-async``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogLevel
from twisted.python import usage

from faasd_async.errors import ConfigurationError
from faasd_async.options import Options


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a directory and an environment that say nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", {"PATH": "/usr/bin:/bin"})


def parsed(*words: str, twistd: dict[str, Any] | None = None) -> Options:
    options = Options()
    if twistd is not None:
        options.parent = twistd
    options.parseOptions(words)
    return options


def written(text: str, name: str = "config.toml") -> str:
    Path(name).write_text(text)
    return name


def test_nothing_has_to_be_said(tmp_path: Path) -> None:
    """The settings have defaults, and the state stays in the working directory."""
    settings = parsed().settings
    assert settings.gateway.listen == ("tcp:8080",)
    assert Path(settings.state_dir).is_relative_to(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_read(tmp_path: Path) -> None:
    """Relative to where the command was typed, and found again from anywhere, for a reload."""
    options = parsed("--config", written("[functions.f]\nurl = 'http://h'\n"))
    assert list(options.settings.functions) == ["f"]
    assert options["config"] == str(tmp_path / "config.toml")


def test_a_reload_reads_the_file_anew() -> None:
    """From where it was at the start, whatever the working directory is by then."""
    options = parsed("--config", written(""))
    written("[functions.f]\nurl = 'http://h'\n")
    assert list(options.read_settings().functions) == ["f"]
    written("nonsense")
    with pytest.raises(ConfigurationError):
        options.read_settings()


def test_the_command_line_is_over_the_file(tmp_path: Path) -> None:
    """Each listener of it, and the state directory, which need not exist."""
    config = written("state_dir = '/elsewhere'\n[gateway]\nlisten = ['tcp:1']\n")
    options = parsed(
        "--config", config, "--state-dir", "state", "--listen", "tcp:2", "--listen", "tcp:3"
    )
    assert options.settings.gateway.listen == ("tcp:2", "tcp:3")
    assert options.settings.state_dir == str(tmp_path / "state")


@pytest.mark.parametrize(
    ("text", "found"),
    [("[gateway]\nlisen = []\n", "lisen"), ("[queue]\nmode = 'odd'\n", "odd"), ("=", "line 1")],
)
def test_wrong_settings_stop_the_start(
    text: str, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With 1, the file and what was found there, and without a traceback."""
    with pytest.raises(SystemExit) as left:
        parsed("--config", written(text))
    assert left.value.code == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "config.toml" in err
    assert found in err
    assert "Traceback" not in err


def test_a_missing_file_stops_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    """As wrong settings do."""
    with pytest.raises(SystemExit) as left:
        parsed("--config", "missing.toml")
    assert left.value.code == 1
    assert "missing.toml" in capsys.readouterr().err


def test_the_settings_can_be_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 and a line if they can be used; nothing is made."""
    with pytest.raises(SystemExit) as left:
        parsed("--check", "--state-dir", "state")
    assert left.value.code == 0
    assert capsys.readouterr().out == "the settings can be used\n"
    assert list(tmp_path.iterdir()) == []


def test_wrong_settings_are_found_by_a_check(capsys: pytest.CaptureFixture[str]) -> None:
    """1, as at the start."""
    with pytest.raises(SystemExit) as left:
        parsed("--check", "--config", written("nonsense"))
    assert left.value.code == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("words", [("--odd",), ("--config",), ("word",)])
def test_a_wrong_command_line(words: tuple[str, ...]) -> None:
    """twistd explains it."""
    with pytest.raises(usage.UsageError):
        parsed(*words)


@pytest.mark.parametrize(
    ("twistd", "file"),
    [
        ({"nodaemon": True}, None),
        ({"nodaemon": False}, "twistd.log"),
        ({"nodaemon": False, "logfile": "own.log"}, "own.log"),
        ({"nodaemon": True, "logfile": "own.log"}, "own.log"),
        ({"nodaemon": False, "logfile": "-"}, None),
    ],
)
def test_where_the_log_goes(
    twistd: dict[str, Any],
    file: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where twistd was told; to a terminal's own process, to its terminal."""
    made: list[str | None] = []
    monkeypatch.setattr(
        "faasd_async.options.make_observer", lambda path, as_json, level: made.append(path)
    )
    parsed(twistd=twistd)
    assert made == [None if file is None else str(tmp_path / file)]


@pytest.mark.parametrize("twistd", [{"syslog": True}, {"logger": "some.where"}])
def test_a_log_of_twistds_own_is_left_to_it(twistd: dict[str, Any]) -> None:
    """Whoever asked for syslog or an observer gets it."""
    assert parsed(twistd=twistd).observer is None


def test_the_logs_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Format and level are the settings'."""
    made: list[bool] = []
    monkeypatch.setattr(
        "faasd_async.options.make_observer", lambda path, as_json, level: made.append(as_json)
    )
    options = parsed("--config", written("[log]\nformat = 'json'\nlevel = 'warn'\n"))
    assert made == [True]
    assert (LogLevel.info in options.level.shown, LogLevel.warn in options.level.shown) == (
        False,
        True,
    )


def test_help_says_what_this_is(capsys: pytest.CaptureFixture[str]) -> None:
    """With each option."""
    with pytest.raises(SystemExit) as left:
        parsed("--help")
    assert left.value.code in (0, None)
    out = capsys.readouterr().out
    for word in ("--config", "--state-dir", "--listen", "--check", "runs them"):
        assert word in out


@pytest.mark.parametrize("word", ["--check", "--state-dir=s"])
def test_programs_are_looked_for(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """At the start and by a check, and it is told with the same words."""
    with pytest.raises(SystemExit) as left:
        parsed("--config", written("[functions.f]\ncommand = 'no-such'\n"), word)
    assert left.value.code == 1
    assert '[functions.f] command: found "no-such"' in capsys.readouterr().err


def test_programs_are_looked_for_where_the_daemon_will_run(tmp_path: Path) -> None:
    """Which twistd was told."""
    (tmp_path / "run").mkdir()
    written("", "run/program")
    Path("run/program").chmod(0o755)
    config = written("[functions.f]\ncommand = './program'\n")
    with pytest.raises(SystemExit):
        parsed("--config", config, twistd={"nodaemon": True, "rundir": "."})
    parsed("--config", config, twistd={"nodaemon": True, "rundir": "run"})


def test_programs_of_another_root_are_not_looked_for() -> None:
    """It has files of its own."""
    config = written("[functions.f]\ncommand = '/only/there'\n")
    parsed("--config", config, twistd={"nodaemon": True, "chroot": "/elsewhere"})


def test_a_reload_looks_for_no_programs() -> None:
    """Those of functions that have not changed run already; others are looked for when deployed."""
    options = parsed("--config", written(""))
    written("[functions.f]\ncommand = 'no-such'\n")
    assert list(options.read_settings().functions) == ["f"]
