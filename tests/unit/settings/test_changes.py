"""What a running daemon cannot take over of the settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import fields

from faasd_async.settings import Settings, load
from faasd_async.settings.changes import key_of, restart_needed

Load = Callable[..., Settings]
REFERENCE = Path(__file__).parents[3] / "etc" / "faasd-async.toml"


@pytest.mark.parametrize(
    ("toml", "keys"),
    [
        ("", ()),
        ("[functions.f]\ncommand = 'cat'\n[defaults]\ntimeout = '7s'\n", ()),
        ("[worker]\nwrite_debug = true\n[log]\nlevel = 'debug'\n", ()),
        ("[worker]\nmax_inflight = 7\nack_wait = '7s'\nwrite_debug = true\n",
         ("[worker] max_inflight", "[worker] ack_wait")),
        ("[gateway]\nlisten = ['tcp:7']\nmax_body = '7MiB'\n[log]\nformat = 'json'\n",
         ("[gateway] listen", "[gateway] max_body", "[log] format")),
        ("state_dir = '/x'\n[queue]\nmax_bytes = '7GiB'\nmin_free = '7MiB'\n",
         ("state_dir", "[queue] max_bytes", "[queue] min_free")),
        ("[nats]\nembedded = false\nurls = ['nats://n']\npassword = 'p'\nuser = 'u'\n",
         ("[nats] embedded", "[nats] urls", "[nats] user", "[nats] password")),
        ("[nats.streaming]\nchannel = 'c'\n", ("[nats.streaming] channel",)),
    ],
)  # fmt: skip
def test_what_needs_a_restart(load_text: Load, toml: str, keys: tuple[str, ...]) -> None:
    """Everything but the functions, the log's level and what is written of calls."""
    assert sorted(restart_needed(load_text(""), load_text(toml))) == sorted(keys)


def test_keys_are_called_what_the_file_calls_them() -> None:
    """Each key of each section stands in the reference file."""
    settings = load(None, {})
    sections = {
        f.name: getattr(settings, f.name)
        for f in fields(Settings)
        if isinstance(getattr(settings, f.name), Struct)
    } | {"nats.streaming": settings.nats.streaming}
    text = REFERENCE.read_text()
    missing = []
    for section, struct in sections.items():
        (_, _, rest) = text.partition(f"\n[{section}]\n")
        own = re.split(r"\n\[", rest, maxsplit=1)[0]
        for field in fields(struct):
            if isinstance(getattr(struct, field.name), Struct):
                continue  # a section of its own
            if not re.search(rf"^#{key_of(field.name)} = ", own, re.MULTILINE):
                missing.append(f"[{section}] {key_of(field.name)}")
    assert missing == []
