"""The walls of the house: who may import whom.

The rooms stand in the order of a call's way inward. What a room may import of ours is listed
here and nowhere else; an import of anything more is an upward one, and fails.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import faasd_async

PACKAGE = Path(faasd_async.__file__).parent

ALL = frozenset({"faasd_async"})

#: Each room, and what it may import besides itself: modules, or rooms with all that is in them.
#: Everybody may ask for the version, which is what ``faasd_async`` itself holds.
WALLS: dict[str, frozenset[str]] = {
    # The error families, on which everything else stands.
    "errors": frozenset(),
    # Growing waits, and lines out of bytes.
    "backoff": frozenset(),
    "lines": frozenset(),
    # Deadlines by the thousand.
    "wheel": frozenset(),
    # Tokens that can be had at once.
    "semaphore": frozenset(),
    # Writing to a socket at once.
    "direct": frozenset(),
    # The loop that tells of events.
    "lean_reactor": frozenset({"tls_when_needed"}),
    # When TLS is loaded.
    "tls_when_needed": frozenset(),
    # How often garbage is looked for.
    "garbage": frozenset(),
    # A lock on a file, and files that are nobody else's business.
    "flock": frozenset(),
    "private_files": frozenset({"errors"}),
    "statelock": frozenset({"errors", "flock", "private_files"}),
    # The clock on the wall, and whether it can be believed.
    "wallclock": frozenset(),
    # The parcel: what a call is, on its whole way.
    "call": frozenset({"errors"}),
    # What the operator asked for.
    "settings": frozenset({"errors"}),
    # The wire: a protocol core, which would run anywhere.
    "nats.wire": frozenset({"errors"}),
    # The pipework, which knows no functions.
    "nats": frozenset({"backoff", "direct", "errors", "flock", "lines", "private_files"}),
    # More pipework that knows no functions.
    "http": frozenset({"errors", "wheel"}),
    # The workbenches, which know no queues.
    "runtime": frozenset(
        {"backoff", "call", "errors", "http", "lines", "private_files", "settings", "wheel"}
    ),
    # What is deployed while the daemon runs, besides what the settings say.
    "functions": frozenset({"errors", "private_files", "runtime.deployments", "settings"}),
    # Somebody else who runs functions.
    "provider": frozenset({"errors", "private_files", "settings"}),
    # The pigeonholes; of the settings they know what is to be kept of a result, and no more.
    "queue": frozenset({"backoff", "call", "errors", "nats", "settings"}),
    # The back door, which takes from any queue.
    "callback": frozenset(
        {
            "call",
            "errors",
            "http",
            "queue.bodies",
            "queue.interface",
            "queue.leases",
            "semaphore",
            "settings",
            "wheel",
        }
    ),
    # The foreman, who takes from any queue and works at any bench.
    "worker": frozenset(
        {
            "call",
            "errors",
            "queue.bodies",
            "queue.interface",
            "queue.leases",
            "runtime.collect",
            "runtime.deployments",
            "runtime.interface",
            "semaphore",
            "settings",
        }
    ),
    # The front door, which puts into any queue, and waits at any bench.
    "gateway": frozenset(
        {
            "call",
            "direct",
            "errors",
            "garbage",
            "functions",
            "provider.catalogue",
            "provider.errors",
            "provider.interface",
            "provider.listed",
            "queue.bodies",
            "queue.interface",
            "queue.listing",
            "runtime.collect",
            "runtime.deployments",
            "runtime.interface",
            "runtime.journal",
            "settings",
        }
    ),
    # The onlooker: everybody tells it, it asks nobody.
    "observe": frozenset({"call", "errors"}),
    # The state as a whole, in a file and out of it.
    "backup": frozenset(
        {"errors", "nats", "private_files", "queue.jetstream.subjects", "statelock"}
    ),
    # The operator's command line, which knows a daemon by its routes, and by its settings; and
    # where calls lie that are to be brought to it.
    "cli": frozenset({"backup", "call", "errors", "lines", "nats", "settings", "wallclock"}),
    # Functions to try the daemon with: programs of their own.
    "demo": frozenset(),
    # The daemon's life: its parts come up in order and go down in order.
    "daemon": frozenset(
        {
            "errors",
            "gateway.doors",
            "queue.interface",
            "runtime.deployments",
            "runtime.process.notes",
            "settings",
            "statelock",
        }
    ),
    # The command line behind twistd.
    "options": frozenset({"errors", "observe.logs", "settings"}),
    # The assembler alone knows everybody.
    "assembly": ALL,
    # Where twistd begins.
    "tap": frozenset({"assembly", "garbage", "options", "tls_when_needed"}),
}


class Import(NamedTuple):
    """One import statement's one module, where it stands."""

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}, imports {self.imported}"


def module_name(path: Path) -> str:
    """``call.ids`` for ``faasd_async/call/ids.py``, ``call`` for its ``__init__.py``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_in(source: str, module: str, is_package: bool) -> Iterator[Import]:
    """What a module imports, each by its absolute name, in functions and conditions too."""
    package = ["faasd_async", *filter(None, module.split("."))]
    if not is_package:
        package.pop()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                above = package[: len(package) - node.level + 1]
                origin = ".".join([*above, origin] if origin else above)
            # A name may be a module: "from faasd_async import wheel" is its import.
            for alias in node.names:
                yield Import(module, f"{origin}.{alias.name}", node.lineno)


def all_imports() -> list[Import]:
    return [
        found
        for path in sorted(PACKAGE.rglob("*.py"))
        for found in imports_in(
            path.read_text(encoding="utf-8"), module_name(path), path.name == "__init__.py"
        )
    ]


def room_of(module: str) -> str:
    """The smallest room a module stands in, or what comes closest to one."""
    inside = [room for room in WALLS if is_within(module, room)]
    return max(inside, key=len, default=module)


def is_within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def is_allowed(found: Import) -> bool:
    top, _, ours = found.imported.partition(".")
    if top != "faasd_async" or ours == "__version__":
        return True
    room = room_of(found.importer)
    allowed = WALLS[room]
    return allowed is ALL or any(is_within(ours, wall) for wall in (room, *allowed))


def test_every_module_stands_in_a_room() -> None:
    """A new room gets walls before it gets modules."""
    modules = {module_name(path) for path in PACKAGE.rglob("*.py")} - {""}
    assert [module for module in sorted(modules) if room_of(module) not in WALLS] == []


def test_nobody_imports_upward() -> None:
    """A module imports from its own room and from those its room may know."""
    assert [str(found) for found in all_imports() if not is_allowed(found)] == []


def test_the_walls_name_what_there_is() -> None:
    """Every room and everything that a wall lets in exists."""
    modules = {module_name(path) for path in PACKAGE.rglob("*.py")}
    named = set(WALLS).union(*(allowed for allowed in WALLS.values() if allowed is not ALL))
    assert named - modules == set()


def test_the_wire_needs_the_standard_library_alone() -> None:
    """The protocol core can be used, tested and fuzzed without anything else."""
    foreign = [
        str(found)
        for found in all_imports()
        if is_within(found.importer, "nats.wire")
        and found.imported.partition(".")[0] not in {"faasd_async", *sys.stdlib_module_names}
    ]
    assert foreign == []


def test_a_parcel_knows_no_twisted() -> None:
    """What a call is depends on no framework; its records are those of msgspec, which cost a
    fraction of data classes."""
    known = {"faasd_async", "msgspec", *sys.stdlib_module_names}
    foreign = [
        str(found)
        for found in all_imports()
        if is_within(found.importer, "call") and found.imported.partition(".")[0] not in known
    ]
    assert foreign == []


def test_callers_and_operators_share_what_stands_above_both() -> None:
    """Neither the callers' routes nor the operator's take anything from the others'."""
    crossing = [
        str(found)
        for found in all_imports()
        for one, other in (("calls", "system"), ("system", "calls"))
        if is_within(found.importer, f"gateway.{one}")
        and is_within(found.imported, f"faasd_async.gateway.{other}")
    ]
    assert crossing == []


def test_only_where_twistd_begins_is_the_reactor_imported() -> None:
    """Everybody else is given the reactor, so that a test can give another one."""
    importers = {
        found.importer
        for found in all_imports()
        if is_within(found.imported, "twisted.internet.reactor")
    }
    assert importers == {"tap"}


@pytest.mark.parametrize(
    ("source", "imported"),
    [
        ("import faasd_async.worker.run", "faasd_async.worker.run"),
        ("from faasd_async import worker", "faasd_async.worker"),
        ("from faasd_async.worker import run", "faasd_async.worker.run"),
        ("from ..worker import run", "faasd_async.worker.run"),
        ("from .. import worker", "faasd_async.worker"),
        ("from .wire import parser", "faasd_async.nats.wire.parser"),
        ("def later():\n    import faasd_async.tap", "faasd_async.tap"),
        ("from twisted.internet import reactor", "twisted.internet.reactor"),
    ],
)
def test_every_way_to_import_is_seen(source: str, imported: str) -> None:
    """Absolute or relative, of a module or out of a package, at the top or in a function."""
    [found] = imports_in(source, "nats.client", is_package=False)
    assert found.imported == imported


def test_a_package_imports_relative_to_itself() -> None:
    """One dot means the package itself in its ``__init__``, and its parent's in a module."""
    [found] = imports_in("from .run import Run", "worker", is_package=True)
    assert found.imported == "faasd_async.worker.run.Run"


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("call.ids", "faasd_async.queue.interface"),
        ("nats.wire.parser", "faasd_async.nats.client"),
        ("gateway.accept", "faasd_async.queue.jetstream"),
        ("gateway.accept", "faasd_async.worker.worker"),
        ("worker.run", "faasd_async.runtime.upstream"),
        ("settings", "faasd_async"),
        ("daemon", "faasd_async.assembly"),
        ("tap", "faasd_async.worker.worker"),
    ],
)
def test_a_wall_stops_what_it_should(importer: str, imported: str) -> None:
    """The rule itself refuses some well-known ways through the walls."""
    assert not is_allowed(Import(importer, imported, 1))
