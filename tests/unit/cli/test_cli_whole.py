"""The command line as a whole: what is documented of it, and what a shell completes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import get_completion_class
from command_tree import COMMANDS, command_of

from faasd_async.cli.exits import Exit
from faasd_async.cli.main import cli

PAGE = (Path(__file__).parents[3] / "docs" / "command-line.rst").read_text()
SCRIPT = Path(sys.executable).with_name("faasd-async")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_documented(name: str) -> None:
    """It is shown as it is typed, and says itself what it does."""
    assert re.search(rf"^    .*\bfaasd-async (--json )?{name}\b", PAGE, re.MULTILINE)
    assert command_of(name).get_short_help_str()


def test_each_exit_code_is_documented() -> None:
    """And no other; 2 is click's."""
    table = re.findall(r"^(\d+) +\S", PAGE, re.MULTILINE)
    assert [int(code) for code in table] == sorted({*map(int, Exit), 2})


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_there(shell: str) -> None:
    """For each shell: the script that it is to read, and the commands that begin so."""
    kind = get_completion_class(shell)
    assert kind is not None
    completion = kind(cli, {}, "faasd-async", "_FAASD_ASYNC_COMPLETE")
    assert "_FAASD_ASYNC_COMPLETE" in completion.source()
    assert [each.value for each in completion.get_completions([], "dea")] == ["dead"]


def test_completion_in_bash() -> None:
    """As it is typed: options and commands, those of a group too."""
    script = f"""\
PATH={SCRIPT.parent}:$PATH
eval "$(_FAASD_ASYNC_COMPLETE=bash_source faasd-async)"
complete_it() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _faasd_async_completion faasd-async; echo "${{COMPREPLY[@]}}"; }}
complete_it faasd-async dead re
complete_it faasd-async restore --f
"""
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert done.stdout.splitlines() == ["replay", "--force"], done.stderr
