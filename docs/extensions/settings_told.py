"""Every setting there is, from what reads it.

The settings' own code is run and watched: which keys it asks for, with what reader and over what
default. A reader is shown something that nobody allows, and says what is allowed, in the words of
the daemon's own messages; a variable of the environment is set, and what has changed is what it
counts over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from msgspec import Struct
from msgspec.structs import fields

from faasd_async.errors import ConfigurationError
from faasd_async.settings import Settings, Template, load
from faasd_async.settings.changes import key_of
from faasd_async.settings.mistakes import Refusal, shown
from faasd_async.settings.quantities import format_duration, format_size
from faasd_async.settings.table import Table
from faasd_async.settings.values import Reader

A_FUNCTION = "functions.<name>"

#: Files under which a variable has its effect, if it has any.
_FILES = (
    "",
    '[nats]\nembedded = false\nurls = ["nats://a:1"]\n',
    '[queue]\nbackend = "nats-streaming"\n[nats.streaming]\nurls = ["nats://a:1"]\n',
)

#: Values of variables, one of which each understands.
_VALUES = ("700", "true", "false", "http://proxy:3128")


@dataclass(frozen=True)
class Setting:
    """A key of the file.

    :ivar section: the table it stands in, as ``nats.streaming``; empty for the top level.
    :ivar key: in that table; ``retry.attempts`` if it is one of a table in the line.
    :ivar default: as the file would have it; empty if there is none.
    :ivar allowed: in the words of the message that refuses anything else.
    :ivar variables: of the environment, which count over it.
    """

    section: str
    key: str
    default: str
    allowed: str
    variables: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.section}.{self.key}" if self.section else self.key


def all_settings() -> list[Setting]:
    """In the order in which they are read."""
    over: dict[str, list[str]] = {}
    for variable, names in variables().items():
        for name in names:
            over.setdefault(name, []).append(variable)
    found: dict[str, Setting] = {}
    for section, key, read, default in _asked_for('[functions.a]\ncommand = "true"\n'):
        table = A_FUNCTION if section == "functions.a" else section
        name = f"{table}.{key}" if table else key
        # A function has the keys of the defaults, and more.
        if name not in found and name.replace(A_FUNCTION, "defaults") not in found:
            found[name] = Setting(
                table, key, _default(read, default), _allowed(read), tuple(over.get(name, ()))
            )
    return list(found.values())


@cache
def variables() -> Mapping[str, tuple[str, ...]]:
    """The variables of the environment that count over keys, and over which each does."""
    over = {name: _counts_over(name) for name in sorted(_looked_for())}
    return {name: keys for name, keys in over.items() if keys}


@cache
def ignored() -> Mapping[str, str]:
    """The variables that have no effect, and why; the last of their reasons, if there are more."""
    found = {}
    for name in sorted(_looked_for() - set(variables())):
        for text in _FILES:
            with suppress(ConfigurationError):
                for notice in _load(text, {name: "700"}).notices:
                    found[name] = notice.partition("ignored, for ")[2].rpartition(": ")[0]
    return found


def _counts_over(name: str) -> tuple[str, ...]:
    changed: dict[str, None] = {}
    for text in _FILES:
        for value in _VALUES:
            with suppress(ConfigurationError):
                changed |= dict.fromkeys(_differing(_load(text, {}), _load(text, {name: value})))
    return tuple(changed)


def _load(text: str, environment: Mapping[str, str]) -> Settings:
    with TemporaryDirectory() as directory:
        path = Path(directory, "faas.toml")
        path.write_text(text)
        return load(str(path), environment, state_dir="/state")


def _differing(one: Any, other: Any, above: str = "") -> Iterator[str]:
    """The keys in which two settings differ, as ``gateway.max_body``."""
    if one == other:
        return
    if isinstance(one, Struct) and isinstance(other, Struct):
        for field in fields(one):
            name = f"{above}.{key_of(field.name)}" if above else key_of(field.name)
            yield from _differing(getattr(one, field.name), getattr(other, field.name), name)
    elif isinstance(one, Template):
        yield from _differing(one.function, other.function, "defaults")
        yield from _differing(one.process, other.process, "defaults")
    elif above not in ("notices", "proxy"):
        yield above


Asked = tuple[str, str, Reader[Any], Any]


def _asked_for(text: str) -> list[Asked]:
    """Section, key, reader and default of each key of the file that is asked for."""
    asked: list[Asked] = []
    take = Table.take

    def take_and_note(table: Table, key: str, read: Reader[Any], default: Any) -> Any:
        if table._source != "environment" and key not in table._forbidden:
            asked.append((table._section, table._prefix + key, read, default))
        return take(table, key, read, default)

    with patch.object(Table, "take", take_and_note):
        _load(text, {})
    return asked


@cache
def _looked_for() -> frozenset[str]:
    """The variables of the environment that are looked for, with one file or another."""

    class Watched(dict[str, str]):
        def __contains__(self, name: object) -> bool:
            looked_for.add(str(name))
            return super().__contains__(name)

    looked_for: set[str] = set()
    init = Table.__init__

    def init_watched(table: Table, source: str, found: Mapping[str, object], *rest: Any) -> None:
        init(table, source, Watched() if source == "environment" else found, *rest)

    with patch.object(Table, "__init__", init_watched):
        for text in _FILES:
            _load(text, {})
    return frozenset(looked_for)


def _allowed(read: Reader[Any]) -> str:
    """What a reader takes, in its own words."""
    whole = _refusal(read, object())
    if not whole.startswith("a list"):
        return whole
    return f"{whole}, each of them {_refusal(read, [object()])}"


def _refusal(read: Reader[Any], value: object) -> str:
    try:
        read(value)
    except Refusal as refusal:
        return refusal.allowed
    raise AssertionError(f"{read} takes {value!r}")


def _default(read: Reader[Any], value: Any) -> str:
    """A default as the file would have it; empty where there is none."""
    if value is None or value == "" or (value == () and _reads(read, None)):
        return ""
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if _reads(read, "1m"):
            return shown(format_duration(value))
        if _reads(read, "1KiB"):
            return shown(format_size(int(value))) if value else ""
    return shown(value)


def _reads(read: Reader[Any], value: object) -> bool:
    try:
        read(value)
    except Refusal:
        return False
    return True
