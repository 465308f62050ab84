"""Programs and directories that the settings name and that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from faasd_async.errors import ConfigurationError
from faasd_async.settings import load


@pytest.fixture
def program(tmp_path: Path) -> Path:
    program = tmp_path / "bin" / "program"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


def told(directory: Path, toml: str, path: str = "/nowhere") -> list[str]:
    """What a look brings to light; the directory is ``@``."""
    file = directory / "faas.toml"
    file.write_text(toml.replace("@", str(directory)))
    load(str(file), {"PATH": path})  # Nobody looks.
    try:
        load(str(file), {"PATH": path}, runs_in=str(directory))
    except ConfigurationError as reason:
        return str(reason).replace(str(directory), "@").split("\n")
    return []


@pytest.mark.parametrize(
    "function",
    [
        'command = "@/bin/program -x"',
        'command = "bin/program"',
        'command = "./program"\ndirectory = "bin"',
        'command = "program"\nenvironment = { PATH = "@/bin" }',
    ],
)
def test_a_program_that_is_there(function: str, program: Path, tmp_path: Path) -> None:
    """By its path, by one from where the daemon or the function runs, or on the function's PATH."""
    assert told(tmp_path, f"[functions.a]\n{function}") == []


@pytest.mark.parametrize(
    ("function", "line"),
    [
        (
            'command = "program"',
            'command: found "program", which is not on PATH (/nowhere); allowed: a program that is'
            " installed",
        ),
        (
            'command = "@/none"',
            'command: found "@/none", but @/none does not exist; allowed: a program that is'
            " installed",
        ),
        (
            'command = "./bin"',
            'command: found "./bin", but @/bin is a directory; allowed: a program that is'
            " installed",
        ),
        (
            'command = "./faas.toml"',
            'command: found "./faas.toml", which is not executable; allowed: a program that is'
            " (chmod +x @/faas.toml)",
        ),
        (
            'command = "@/bin/program"\ndirectory = "@/none"',
            'directory: found "@/none", which does not exist; allowed: a directory that is there',
        ),
        (
            'command = "@/bin/program"\ndirectory = "faas.toml"',
            'directory: found "@/faas.toml", which is no directory; allowed: a directory that is'
            " there",
        ),
    ],
)
def test_what_is_not_there(function: str, line: str, program: Path, tmp_path: Path) -> None:
    """With the key, what was found and the remedy."""
    assert told(tmp_path, f"[functions.a]\n{function}") == [f"@/faas.toml: [functions.a] {line}"]


@pytest.mark.parametrize("binary", ["@/none", "@/faas.toml", "@/bin"])
def test_a_nats_server_that_is_none(binary: str, program: Path, tmp_path: Path) -> None:
    """As a function's program."""
    assert told(tmp_path, f'[nats]\nbinary = "{binary}"') == [
        f'@/faas.toml: [nats] binary: found "{binary}", which is not an executable file; allowed:'
        " the nats-server program, or nothing, for the one that is installed"
    ]


def test_everything_is_told_at_once(tmp_path: Path) -> None:
    """With what is badly written, if only the file can be read so far."""
    file = tmp_path / "faas.toml"
    file.write_text('[worker]\nmax_inflight = 0\n[functions.a]\ncommand = "no-such"\n')
    with pytest.raises(ConfigurationError) as caught:
        load(str(file), {}, runs_in=str(tmp_path))
    assert [line.split(": ")[1] for line in str(caught.value).split("\n")] == [
        "[worker] max_inflight",
        "[functions.a] command",
    ]


@pytest.mark.parametrize(
    ("function", "directive"),
    [
        ('command = "/home/pi/thumbnails/run"', "ProtectHome="),
        ('command = "./run"\ndirectory = "/root/none"', "ProtectHome="),
        ('command = "/tmp/none/run"', "PrivateTmp="),
        ('command = "/opt/none/run"', None),
    ],
)
def test_a_program_that_the_unit_hides(
    function: str, directive: str | None, tmp_path: Path
) -> None:
    """A service of systemd is told which directive keeps the program from it; whoever starts the
    daemon otherwise is not."""
    file = tmp_path / "faas.toml"
    file.write_text(f"[functions.a]\n{function}\n")
    for environment, expected in (({"INVOCATION_ID": "1"}, directive), ({}, None)):
        with pytest.raises(ConfigurationError) as caught:
            load(str(file), environment, runs_in=str(tmp_path))
        hint = f"{expected} of the unit hides it"
        assert (hint in str(caught.value)) is (expected is not None)
        assert expected is not None or "of the unit" not in str(caught.value)
