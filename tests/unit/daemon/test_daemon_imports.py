"""What a daemon that is asked for nothing special does not hold in memory."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "treq",
        "twisted.web.client",
        "faasd_async.queue.memory",
        "faasd_async.queue.streaming.queue",
        "faasd_async.runtime.container.runtime",
        "faasd_async.runtime.tls_client",
    ],
)
def test_what_few_need_is_imported_by_those_who_need_it(module: str) -> None:
    """A second HTTP client and what uses it, queues that were not chosen, containers."""
    asked = f"import sys, faasd_async.tap; sys.exit({module!r} in sys.modules)"
    subprocess.run([sys.executable, "-c", asked], check=True)
