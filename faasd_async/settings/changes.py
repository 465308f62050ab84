"""Which settings have changed that a running daemon cannot take over."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import fields

from faasd_async.settings.model import Settings

#: What is read anew whenever the daemon is told to.
_READ_ANEW = frozenset(
    (
        "functions",
        "stack",
        "template",
        "notices",
        "[worker] write_debug",
        "[log] level",
        "[gateway] deploy",
        "[callback] signing_secrets",
    )
)


def restart_needed(running: Settings, fresh: Settings) -> tuple[str, ...]:
    """The keys that are not what the daemon was started with, as ``[worker] max_inflight``."""
    found = [key for name in _names(running) for key in _changed(name, running, fresh)]
    return tuple(key for key in found if key not in _READ_ANEW)


def _changed(name: str, running: Struct, fresh: Struct, section: str = "") -> list[str]:
    """The keys of a field that have changed: its own, or those of the section that it is."""
    before, now = getattr(running, name), getattr(fresh, name)
    if before == now:
        return []
    if isinstance(before, Struct):
        below = f"{section}.{name}" if section else name
        return [key for each in _names(before) for key in _changed(each, before, now, below)]
    return [f"[{section}] {key_of(name)}" if section else name]


def _names(struct: Struct) -> list[str]:
    return [field.name for field in fields(struct)]


def key_of(field: str) -> str:
    """What the file calls it: a field says its unit, a key does only where it is called bytes."""
    if not field.endswith("max_bytes"):
        field = field.removesuffix("_bytes")
    return field.removesuffix("_seconds")
