"""Each command, as a program asks it of a running daemon: what it answers and refuses is JSON.

What a command does is shown in the tests of its own; here no command and no option is forgotten,
for click names them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_twisted
from command_line import Printed, command
from command_tree import COMMANDS, options_of
from daemon import Daemon
from provider import COMMAND, deployment, order, told
from real_nats import RealNats
from stan_double import StanDouble

from faasd_async.cli.exits import Exit

CONFIG = """\
deploy = ["command"]
[functions.f]
command = "cat"
[functions.bad]
command = "sh -c 'echo no >&2; exit 1'"
[functions.held]
command = "cat"
queue = "held"
[functions.timed]
command = "cat"
schedule = "30 2 * * *"
"""

STACK = "functions: {{{}}}\n".format(
    ", ".join(f"g{number}: {{annotations: {{{COMMAND}: cat}}}}" for number in (1, 2, 3))
)

NOBODY = "00000000-0000-4000-8000-000000000000"


class Trial(NamedTuple):
    """
    :ivar well: what is typed after the command, once or several times, each option among it; in
        braces what :class:`House` knows.
    :ivar has: a key of what is answered, or of the first thing in it.
    :ivar badly: what is typed wrongly, or cannot be.
    :ivar end: of that.
    """

    well: tuple[str, ...]
    has: str
    badly: str
    end: Exit


SETTINGS = "--config {config} --state-dir {state}"

TRIALS = {
    "new": Trial(
        ("{fresh} --lang sh --config {directory}/new.toml",), "function", "../up", Exit.USAGE
    ),
    # It says nothing for programs, and runs on: test_dev shows it at work.
    "dev": Trial((), "", "--config {directory}/none.toml --port 1", Exit.USAGE),
    "deploy": Trial(
        ("-f {stack} -e A=b", "--yaml {stack} --filter g*", "-f {stack} --regex ^g"),
        "deployed",
        "-f {config}",
        Exit.USAGE,
    ),
    "remove": Trial(
        ("g1", "-f {stack} --filter g2", "-f {stack} --regex g3"), "removed", "", Exit.USAGE
    ),
    "status": Trial(("",), "ready", "now", Exit.USAGE),
    "functions": Trial(("",), "function", "f", Exit.USAGE),
    "logs": Trial(("bad --since 1h --tail 1",), "text", "nobody --follow", Exit.REFUSED),
    "invoke": Trial(
        (
            "f -d x -H X-A=b --query a=b --path /c -X PUT",
            "f -d x --wait",
            "f -d x --async",
        ),
        "",
        "nobody -d x",
        Exit.REFUSED,
    ),
    "calls": Trial(
        (
            "",
            "--id {ended} --function f --state succeeded --limit 1",
            "--limit 1 --after {after_call}",
        ),
        "calls",
        "--after nowhere",
        Exit.REFUSED,
    ),
    "call": Trial(("{ended}", "{ended} --follow"), "state", NOBODY, Exit.REFUSED),
    "result": Trial(("{ended}", "{ended} --wait"), "body", "{waiting}", Exit.FAILED),
    "cancel": Trial(("{waiting}",), "cancelled", "{ended}", Exit.REFUSED),
    "dead list": Trial(
        (
            "--function bad --kind call --reason failed --limit 1",
            "--limit 1 --after {after_letter}",
        ),
        "dead_letters",
        "--after nowhere",
        Exit.REFUSED,
    ),
    "dead show": Trial(("{dead} --secrets",), "dead_letters", NOBODY, Exit.REFUSED),
    "dead replay": Trial(
        (
            "{dead} --kind call -H X-A=b --without accept --callback-url {url}/function/f",
            "--function bad --reason failed",
            "--all",
        ),
        "replayed",
        "",
        Exit.USAGE,
    ),
    "dead purge": Trial(
        ("{dead} --yes", "--function bad --kind call --reason failed --yes", "--all --yes"),
        "purged",
        NOBODY + " --yes",
        Exit.REFUSED,
    ),
    "queue list": Trial(("",), "queue", "held", Exit.USAGE),
    "queue pause": Trial(("held", "held --function"), "paused", "nobody", Exit.REFUSED),
    "queue resume": Trial(("default", "f --function"), "paused", "nobody", Exit.REFUSED),
    "queue purge": Trial(("held --yes", "held --function --yes"), "purged", "held", Exit.USAGE),
    "schedules list": Trial(("",), "schedules", "timed", Exit.USAGE),
    "schedules remove": Trial(("timed",), "function", "f", Exit.REFUSED),
    "schedules restore": Trial(("timed",), "next", "f", Exit.REFUSED),
    "check": Trial((SETTINGS,), "usable", "--config {stack}", Exit.FAILED),
    "doctor": Trial((SETTINGS + " --slow-flush 9000",), "verdict", "--slow-flush -1", Exit.USAGE),
    "migrate": Trial(
        ("--from {stan} --idle 0.2 --cluster faas-cluster --channel c --group g --namespace n",),
        "moved",
        "--from nats://127.0.0.1:1 --idle 0.1",
        Exit.UNREACHABLE,
    ),
    "backup": Trial(
        ("{directory}/backup.tar " + SETTINGS,),
        "bytes",
        "{directory}/none.tar --state-dir {directory}/none",
        Exit.FAILED,
    ),
    "restore": Trial(
        ("{backup} --config {config} --state-dir {directory}/{fresh} --force --yes",),
        "state_dir",
        "{config} --state-dir {directory}/none",
        Exit.FAILED,
    ),
    "install": Trial(
        (
            "--root {directory} --prefix /opt/faasd-async --demo --socket",
            "--root {directory} --prefix /opt/faasd-async --dry-run",
        ),
        "path",
        "--prefix here",
        Exit.USAGE,
    ),
    "uninstall": Trial(
        ("--root {directory}/none --dry-run", "--root {directory}/none --purge"),
        "",
        "--root {config}",
        Exit.USAGE,
    ),
}


@dataclass(frozen=True)
class House:
    """A daemon, and what the trials name of it."""

    reactor: Any
    daemon: Daemon
    directory: Path
    stan: StanDouble

    async def run(self, *words: str, **environment: str) -> Printed:
        return await command(self.reactor, self.daemon, *words, **environment)

    async def prepare(self) -> dict[str, str]:
        """A call in each state and functions to be removed, of this trial's own; and all names."""
        waiting, ended, dead, _ = [
            await self._accepted(name) for name in ("held", "f", "bad", "bad")
        ]
        letters = 0
        while letters < 2:
            letters = len((await told(self.daemon, "dead-letters?function=bad"))["dead_letters"])
        for name in ("g1", "g2", "g3"):
            await order(self.daemon, "POST", "functions", deployment(name, command="cat"))
        return {
            "waiting": waiting,
            "ended": ended,
            "dead": dead,
            "fresh": f"f-{ended}",
            "url": self.daemon.url(""),
            "stan": self.stan.url,
            "state": str(self.daemon.state),
            "directory": str(self.directory),
            "config": str(self.directory / "config.toml"),
            "stack": str(self.directory / "stack.yml"),
            "backup": str(self.directory / "first.tar"),
            "after_call": (await told(self.daemon, "calls?limit=1"))["next"],
            "after_letter": (await told(self.daemon, "dead-letters?limit=1"))["next"],
        }

    async def _accepted(self, name: str) -> str:
        """A call's id; it has ended, unless its queue stands still."""
        where = (await self.daemon.request(f"/async-function/{name}", b"x")).header("Location")
        assert where is not None
        if name != "held":
            await self.daemon.get(f"{where}/result?wait=30s")
        return where.rpartition("/")[2]


@pytest_twisted.async_yield_fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """With a queue that stands still, and a backup that was taken."""
    from twisted.internet import reactor

    directory = tmp_path_factory.mktemp("house")
    (directory / "stack.yml").write_text(STACK)
    nats = RealNats(reactor, directory / "nats", jetstream=False)
    await nats.start()
    stan = StanDouble(await nats.client(), reactor)
    stan.url = f"nats://{nats.address.host}:{nats.port}"
    stan.start()
    daemon = Daemon(reactor, directory, CONFIG)
    try:
        await daemon.start()
        house = House(reactor, daemon, directory, stan)
        await house.run("queue", "pause", "held")
        taken = await house.run(
            "backup", str(directory / "first.tar"), "--state-dir", str(daemon.state)
        )
        assert taken.status == 0, taken.said
        yield house
    finally:
        await daemon.end()
        stan.kill()
        await nats.end()


def sheets(said: bytes | str) -> list[Any]:
    """Each line is JSON, whatever it is."""
    return [json.loads(line) for line in said.splitlines()]


def test_no_command_is_forgotten() -> None:
    """Nor is there a trial of one that is gone."""
    assert TRIALS.keys() == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_is_forgotten(name: str) -> None:
    """Each is typed in one of its spellings."""
    trial = TRIALS[name]
    typed = {"--json", *" ".join((*trial.well, trial.badly)).split()}
    assert [sorted(each) for each in options_of(name) if not each & typed] == []


@pytest.mark.parametrize("name", COMMANDS)
@pytest_twisted.ensureDeferred
async def test_what_programs_are_told(house: House, name: str) -> None:
    """The answer, whichever options there are, is JSON on standard output; where there is none, why
    is JSON on standard error, with the code that the command ends with. ``--json`` may stand before
    the command and after it."""
    trial, known = TRIALS[name], await house.prepare()
    for words in trial.well:
        done = await house.run("--json", *f"{name} {words.format(**known)}".split())
        assert done.status == 0, done.said
        first = sheets(done.printed)[0] if done.printed.strip() else {}
        first = first[0] if isinstance(first, list) and first else first
        assert not trial.has or trial.has in first, first
        assert all("note" in each for each in sheets(done.said))
    refused = await house.run(*f"{name} {trial.badly.format(**known)}".split(), "--json")
    assert refused.status == trial.end, refused.said
    if refused.printed:
        assert sheets(refused.printed)
    else:
        told = sheets(refused.said)[-1]
        assert (told["kind"], told["exit_code"]) == (trial.end.name.lower(), trial.end)
        assert told["error"]
        assert ("status" in told) is (trial.end is Exit.REFUSED)
