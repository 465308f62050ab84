"""Bodies that are allowed, and that the queue has no room for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from faasd_async.assembly import store
from faasd_async.queue.jetstream import queue
from faasd_async.settings import Settings
from faasd_async.settings.room import EMBEDDED_MESSAGE_BYTES, HEAD_BYTES

Load = Callable[..., Settings]
FUNCTION = "[functions.f]\ncommand = 'cat'\n"


@pytest.mark.parametrize(
    ("toml", "table"),
    [
        ("[gateway]\nmax_body = '100MiB'\n" + FUNCTION, "[gateway]"),
        ("[defaults]\nmax_body = '9MiB'\n" + FUNCTION, "[defaults]"),
        (FUNCTION + "max_body = '9MiB'\n", "[functions.f]"),
    ],
)
def test_a_body_that_no_queued_call_may_have_is_told(
    load_text: Load, tmp_path: Path, toml: str, table: str
) -> None:
    """Where it was asked for, what it is, and what holds for calls through the queue."""
    (notice,) = load_text(toml).notices
    asked = "100MiB" if "100MiB" in toml else "9MiB"
    assert notice == (
        f"{tmp_path}/faas.toml: {table} max_body = {asked}: a call through the queue may have a"
        " body of 8128KiB, a larger one is refused with 413; at /function/<name> what is written"
        " there holds"
    )


@pytest.mark.parametrize(
    "toml",
    [
        FUNCTION,
        FUNCTION + "max_body = '8128KiB'\n",
        "[gateway]\nmax_body = '64MiB'\n" + FUNCTION,
        "[queue]\nbackend = 'memory'\n" + FUNCTION + "max_body = '9MiB'\n",
        "[nats]\nembedded = false\nurls = ['nats://n']\n" + FUNCTION + "max_body = '9MiB'\n",
    ],
)
def test_nothing_is_told_of_what_nobody_asked_for(load_text: Load, toml: str) -> None:
    """Nor of what fits, or is not known to be too large."""
    assert load_text(toml).notices == ()


def test_what_is_told_is_what_holds() -> None:
    """The embedded server and the queue go by the same figures."""
    assert (EMBEDDED_MESSAGE_BYTES, HEAD_BYTES) == (store.EMBEDDED_PAYLOAD_BYTES, queue._HEAD_BYTES)
