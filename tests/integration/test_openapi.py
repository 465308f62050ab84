"""The daemon and its own document, held against each other by schemathesis."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest_twisted
from daemon import Daemon, Output, StartDaemon
from test_call_status import accepted, in_state, until

HERE = Path(__file__).parent
SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))

CONFIG = """
[functions.figlet]
command = ["cat"]
[functions.fail]
command = ["false"]
[functions.report]
command = ["cat"]
schedule = "0 0 1 1 *"
"""

CHECKS = ",".join(
    (
        "not_a_server_error",
        "status_code_conformance",
        "documented_content_type",
        "response_schema_conformance",
        "response_headers_conformance",
        "undocumented_method",
    )
)


class Run(Output):
    """One run of schemathesis, the same each time."""

    async def judge(self, daemon: Daemon, ended: str, dead: list[str], *options: str) -> None:
        """Fails with what it found."""
        arguments = [
            *(SCHEMATHESIS, "run", daemon.url("/openapi.json"), "--checks", CHECKS),
            *("--generation-deterministic", "--max-examples", "5", "--no-shrink", "--no-color"),
            *("--phases", "examples,coverage,fuzzing", "--request-timeout", "10"),
            # It has no end: a browser is told it in test_page.py.
            *("--exclude-operation-id", "watch"),
            *("--continue-on-failure", *options),
        ]
        environment = os.environ | {
            "SCHEMATHESIS_HOOKS": "schema_checks",
            "PYTHONPATH": str(HERE),
            "FAAS_ENDED": ended,
            "FAAS_DEAD": ",".join(dead),
        }
        self.reactor.spawnProcess(
            self, arguments[0], arguments, environment, path=str(daemon.state.parent)
        )
        assert await self.ended() == 0, self.log


@pytest_twisted.ensureDeferred
async def test_the_daemon_does_what_its_document_says(
    start_daemon: StartDaemon, reactor: Any
) -> None:
    """No 500, and no status, type or shape of an answer that is not documented, for a thousand
    requests good and bad; of calls that have ended and letters that are there, too."""
    daemon = await start_daemon(CONFIG)
    ended = await accepted(daemon, "figlet", b"Hi")
    await until(daemon, ended, in_state("succeeded"))
    dead = []
    for _ in range(8):
        where = await accepted(daemon, "fail")
        await until(daemon, where, in_state("failed"))
        dead.append(where.removeprefix("/call/"))
    call_id = ended.removeprefix("/call/")
    purge = "purgeDeadLetters"
    await Run(reactor).judge(daemon, call_id, dead, "--exclude-operation-id", purge)
    # Last, lest there are no letters for the others.
    await Run(reactor).judge(daemon, call_id, dead, "--include-operation-id", purge)
    assert "a request failed inside the gateway" not in daemon.log
    assert await daemon.stop() == 0
