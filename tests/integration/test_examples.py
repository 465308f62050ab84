"""The functions that the pages show, as they are shown, in whatever languages this machine has."""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemon import Daemon

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "examples"


@dataclass(frozen=True)
class Example:
    """A call of a function, and its answer.

    :ivar needs: the program that runs or compiles it.
    :ivar build: the command that compiles it.
    """

    needs: str
    target: str
    body: bytes
    answer: bytes
    build: tuple[str, ...] = ()


FUNCTIONS = {
    "shout": Example("sh", "shout?mark=...", b"hello", b"HELLO...\n"),
    "words": Example("python3", "words", b"a b a", b'[["a", 2], ["b", 1]]'),
    "slug": Example("node", "slug", "Crème brûlée, again".encode(), b"creme-brulee-again"),
    "primes": Example(
        "go", "primes", b"1000000", b"999983\n", ("go", "build", "-o", "primes", "primes.go")
    ),
    "crc": Example("cc", "crc", b"123456789", b"cbf43926\n", ("cc", "-O2", "-o", "crc", "crc.c")),
}


def here(function: str) -> bool:
    return shutil.which(FUNCTIONS[function].needs) is not None


def in_tutorial(language: str) -> str:
    """The one block of the tutorial that is written in a language."""
    page = (DOCS / "tutorial.rst").read_text("utf-8")
    [block] = re.findall(rf"code-block:: {language}\n\n((?: +.*\n|\n)+)", page)
    return textwrap.dedent(block)


@pytest.fixture(scope="module")
def reactor() -> Any:
    from twisted.internet import reactor

    return reactor


@pytest_twisted.async_yield_fixture(scope="module")
async def daemon(reactor: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Daemon]:
    """One with all of the examples whose language is there, built as the page says."""
    directory = tmp_path_factory.mktemp("examples")
    shutil.copytree(EXAMPLES, directory, dirs_exist_ok=True)
    head, *tables = (EXAMPLES / "functions.toml").read_text("utf-8").split("\n[functions.")
    there = {table.partition("]")[0]: table for table in tables}
    assert there.keys() == FUNCTIONS.keys()
    usable = [name for name in there if here(name)]
    for name in usable:
        if FUNCTIONS[name].build:
            subprocess.run(FUNCTIONS[name].build, cwd=directory, check=True)
    (directory / "slow.py").write_text(in_tutorial("python"))
    config = "\n[functions.".join([head, *(there[name] for name in usable)])
    config += in_tutorial("toml")
    running = Daemon(reactor, directory, config)
    await running.start()
    yield running
    await running.end()


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest_twisted.ensureDeferred
async def test_an_example_does_what_the_page_says(daemon: Daemon, name: str) -> None:
    """It answers who waits for it, and a call from the queue alike."""
    example = FUNCTIONS[name]
    if not here(name):
        pytest.skip(f"needs {example.needs}")
    at_once = await daemon.request(f"/function/{example.target}", example.body)
    accepted = await daemon.request(f"/async-function/{example.target}", example.body)
    queued = await daemon.get(f"{accepted.header('Location')}/result?wait=1m")
    assert (at_once.status, at_once.body) == (200, example.answer)
    assert (queued.status, queued.body) == (200, example.answer)


@pytest_twisted.ensureDeferred
async def test_the_tutorials_function_does_what_the_page_says(daemon: Daemon) -> None:
    """It takes as long as it is told, tells its log so, and fails over what is no number."""
    answer = await daemon.request("/function/slow", b"0.1")
    assert answer.body == b"done, after 0.1 seconds\n"
    await daemon.says("slow: I shall need 0.1 seconds")
    accepted = await daemon.request("/async-function/slow", b"soon")
    failed = await daemon.get(f"{accepted.header('Location')}/result?wait=1m")
    assert (failed.status, failed.body) == (500, b"")
