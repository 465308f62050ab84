"""What is to stand before a program to keep it in, and what is said where that is missing."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from faasd_async.errors import ConfigurationError
from faasd_async.settings import CommandSettings, LimitSettings, Settings, load
from faasd_async.settings.confinement import Tools, confining
from faasd_async.settings.limits import in_words
from faasd_async.settings.programs import NotThere

Load = Callable[..., Settings]
Mistakes = Callable[..., list[str]]

BOTH = Tools("/bin/setpriv", "/bin/prlimit")
MIB = 2**20


def before(tools: Tools = BOTH, user: str | None = None, **limits: int) -> tuple[str, ...]:
    return confining(
        CommandSettings(words=("cat",), user=user, limits=LimitSettings(**limits)), tools
    )


def test_nothing_is_run_without_need() -> None:
    """What was not asked for costs a call nothing."""
    assert before() == ()
    assert before(memory_bytes=MIB) == ("/bin/prlimit", f"--data={MIB}:{MIB}")


def test_limits_come_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may start no other could not become somebody else any more."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    words = before(user="daemon", memory_bytes=MIB, cpu_time_seconds=3, open_files=9, processes=2)
    assert words == (
        *("/bin/setpriv", "--no-new-privs", "--reuid=daemon", "--regid=1", "--init-groups"),
        *("/bin/prlimit", f"--data={MIB}:{MIB}", "--cpu=3:4", "--nofile=9:9", "--nproc=2:2"),
    )


def test_a_limit_is_no_higher_than_the_daemon_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not give what it may not have."""
    monkeypatch.setattr(resource, "getrlimit", lambda which: (10, 20))
    assert before(open_files=99, cpu_time_seconds=20)[1:] == ("--cpu=20:20", "--nofile=20:20")


@pytest.mark.parametrize(("name", "limits"), [("setpriv", {}), ("prlimit", {"processes": 3})])
def test_what_was_asked_for_and_cannot_be_kept(
    name: str, limits: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is refused."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    tools = BOTH._replace(**{name: None})
    user = None if limits else "daemon"
    with pytest.raises(NotThere, match=f"and {name} is not on PATH"):
        before(tools, user=user, **limits)
    assert before(Tools(None, None)) == ()


def test_only_root_becomes_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others may be what they are."""
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    assert before(user="daemon") == ()
    with pytest.raises(NotThere, match="only root may become"):
        before(user="root")


def test_the_start_is_stopped(tmp_path: Path) -> None:
    """By a limit that cannot be kept, with the function's name and the key."""
    file = tmp_path / "faas.toml"
    file.write_text("[functions.a]\ncommand = '/bin/cat'\nprocesses = 9\n")
    with pytest.raises(ConfigurationError, match=r"\[functions.a\] processes: .* prlimit"):
        load(str(file), {"PATH": str(tmp_path)}, runs_in=str(tmp_path))


def test_keys_are_read(load_text: Load) -> None:
    """From the function over the defaults; a part of a second counts as a whole one."""
    settings = load_text(
        """
        [defaults]
        open_files = 50
        processes = 5
        [functions.a]
        command = 'cat'
        memory = '1MiB'
        cpu_time = '1500ms'
        processes = 6
        user = 'nobody'
        """
    )
    command = settings.functions["a"].command
    assert command is not None
    assert command.user == "nobody"
    assert command.limits == LimitSettings(
        memory_bytes=MIB, cpu_time_seconds=2, open_files=50, processes=6
    )
    assert in_words(command.limits) == "memory 1MiB, cpu_time 2s, open_files 50, processes 6"


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("open_files = 2", "open_files: found 2; allowed: an integer of at least 8"),
        ("processes = 0", "processes: found 0; allowed: an integer of at least 1"),
        (
            "user = 'nobody'\nsecrets = ['a']",
            "secrets: found with user; allowed: one of them, for the daemon's user alone reads"
            " secrets",
        ),
    ],
)
def test_mistakes(keys: str, line: str, mistakes: Mistakes) -> None:
    """Each is told by its key."""
    assert mistakes(f"[functions.a]\ncommand = 'cat'\n{keys}") == [
        f"faas.toml: [functions.a] {line}"
    ]
