"""Whether a function's command can be run."""

from __future__ import annotations

from pathlib import Path

import pytest

from faasd_async.errors import StartError
from faasd_async.runtime.process.program import Program, find_program
from faasd_async.settings import CommandSettings


def find(word: str, path: Path, **options: str) -> Program:
    command = CommandSettings(words=(word, "-x"), **options)
    return find_program("figlet", command, {"PATH": str(path)})


@pytest.fixture
def program(tmp_path: Path) -> Path:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


def test_on_the_path(program: Path) -> None:
    """A bare name is looked for on PATH; the words stay as they are."""
    found = find("program", program.parent)
    assert (found.executable, found.words) == (str(program), ("program", "-x"))


def test_on_the_function_s_own_path(program: Path, tmp_path: Path) -> None:
    """A PATH that is configured for the function is the one that counts."""
    command = CommandSettings(words=("program",), environment={"PATH": str(program.parent)})
    found = find_program("figlet", command, {"PATH": str(tmp_path / "elsewhere")})
    assert found.executable == str(program)


def test_relative_to_the_directory(program: Path, tmp_path: Path) -> None:
    """A relative path starts from the function's directory."""
    found = find("./program", tmp_path / "elsewhere", directory=str(program.parent))
    assert found.executable == str(program)
    assert found.directory == str(program.parent)


def test_not_found(tmp_path: Path) -> None:
    """The operator is told the setting, what was looked for, where, and what to do."""
    with pytest.raises(StartError) as raised:
        find("program", tmp_path)
    assert str(raised.value) == (
        f'[functions.figlet] command: found "program", which is not on PATH ({tmp_path}); allowed:'
        " a program that is installed"
    )


def test_hidden_by_the_unit() -> None:
    """A service of systemd is told the directive, at a reload as at the start."""
    command = CommandSettings(words=("/home/pi/nowhere/run",))
    with pytest.raises(StartError, match="ProtectHome= of the unit hides it"):
        find_program("figlet", command, {"INVOCATION_ID": "1"})


def test_no_directory(program: Path, tmp_path: Path) -> None:
    """A directory that does not exist is named by its own setting."""
    with pytest.raises(StartError, match=r"^\[functions.figlet\] directory: found .*nowhere"):
        find("program", program.parent, directory=f"{tmp_path}/nowhere")


def test_variables_are_added() -> None:
    """A call's variables join those that last, and leave no trace in them."""
    lasting = Program(("a",), "/a", {b"A": b"1", b"B": b"2"}, None)
    assert lasting.with_variables({b"B": b"3"}).environment == {b"A": b"1", b"B": b"3"}
    assert lasting.environment == {b"A": b"1", b"B": b"2"}
