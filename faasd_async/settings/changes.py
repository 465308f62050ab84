"""Which settings have changed that a running daemon cannot take over."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import fields

from faasd_async.settings.model import Settings

#: What is read anew whenever the daemon is told to.
_READ_ANEW = frozenset(("functions", "notices", "[worker] write_debug", "[log] level"))


def restart_needed(running: Settings, fresh: Settings) -> tuple[str, ...]:
    """The keys that are not what the daemon was started with, as ``[worker] max_inflight``."""
    found = []
    for field in fields(Settings):
        before, now = getattr(running, field.name), getattr(fresh, field.name)
        if isinstance(before, Struct):
            found += [f"[{field.name}] {_key(each)}" for each in _changed(before, now)]
        elif before != now:
            found.append(field.name)
    return tuple(key for key in found if key not in _READ_ANEW)


def _changed(before: Struct, now: Struct) -> list[str]:
    names = [field.name for field in fields(before)]
    return [name for name in names if getattr(before, name) != getattr(now, name)]


def _key(field: str) -> str:
    """What the file calls it: a field says its unit, a key does only where it is called bytes."""
    if not field.endswith("max_bytes"):
        field = field.removesuffix("_bytes")
    return field.removesuffix("_seconds")
