"""What would stop a start although each setting is well written."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping

from faasd_async.settings.confinement import confining, find_tools
from faasd_async.settings.endpoints import place_of
from faasd_async.settings.mistakes import Mistakes, Refusal, quoted
from faasd_async.settings.model import FunctionSettings, Settings
from faasd_async.settings.places import Place, Places
from faasd_async.settings.programs import NotThere, find, hint_at_unit, search_path
from faasd_async.settings.table import Table
from faasd_async.settings.values import channel

#: How protobuf is got, which not everybody needs.
GET_PROTOBUF = "pip install 'faasd-async[streaming]'"


def check_places(root: Table, settings: Settings, listens: bool, mistakes: Mistakes) -> None:
    """Note what would be listened on twice.

    :param listens: whether there is a ``--listen``.
    """
    places, table = Places(), root.section("gateway")
    for each in settings.gateway.listen:
        holder = places.claim(place_of(each), "--listen" if listens else "[gateway] listen")
        if holder and listens:
            mistakes.add("--listen", _has_it(quoted(each), holder))
        elif holder:
            table.mistake("listen", _has_it(quoted(each), holder))
    for each in settings.gateway.metrics_listen:
        holder = places.claim(place_of(each), "[gateway] metrics_listen")
        if holder:
            table.mistake("metrics_listen", _has_it(quoted(each), holder))
    # That two functions have one port is noted where they are read.
    for name, function in settings.functions.items():
        port = function.command.port if function.command else None
        holder = places.holder_of(Place(port, "127.0.0.1")) if port else None
        if holder:
            _own(root, settings, name).mistake("port", _has_it(str(port), holder))


def _has_it(found: str, holder: str) -> str:
    return f"found {found}, where {holder} listens already; allowed: a port of its own"


def check_streaming(root: Table, settings: Settings) -> None:
    """Note what NATS Streaming cannot be used for, or without."""
    if settings.queue.backend != "nats-streaming":
        return
    if not has_protobuf():
        root.section("queue").mistake(
            "backend",
            'found "nats-streaming", which needs the package protobuf; allowed: it, with'
            f" {GET_PROTOBUF}",
        )
    for name, function in settings.functions.items():
        table = _own(root, settings, name)
        if function.queue == settings.nats.streaming.channel:
            table.mistake(
                "queue",
                f"found {quoted(function.queue)}, the channel of the calls in the queue default;"
                ' allowed: "default", or another name',
            )
        try:
            channel(function.queue)
        except Refusal as refusal:
            table.mistake("queue", f"found {refusal.found}; allowed: {refusal.allowed}")


def check_auth(root: Table, settings: Settings) -> None:
    """Note who is asked for a password that there is none of."""
    if settings.gateway.basic_auth:
        return
    tables = [(root.section("defaults"), settings.template.function)]
    if not _asks_for_operators(settings.template.function):
        functions = root.section("functions")
        tables = [(functions.section(name), each) for name, each in settings.functions.items()]
    for table, function in tables:
        if _asks_for_operators(function):
            table.mistake(
                "auth",
                'found "basic", and there is no password; allowed: with basic_auth = true in'
                " [gateway], or with a secret of its own",
            )


def _asks_for_operators(function: FunctionSettings) -> bool:
    return function.auth is not None and not function.auth.credentials


def has_protobuf() -> bool:
    """Whether NATS Streaming can be spoken with."""
    try:
        return importlib.util.find_spec("google.protobuf") is not None
    except ModuleNotFoundError:
        return False


def check_programs(
    root: Table, settings: Settings, environment: Mapping[str, str], here: str
) -> None:
    """Note which programs are not there, and which cannot be kept in as they should be."""
    binary = settings.nats.binary
    if binary is not None and not (os.path.isfile(binary) and os.access(binary, os.X_OK)):
        root.section("nats").mistake(
            "binary",
            f"found {quoted(binary)}, which is not an executable file; allowed: the nats-server"
            " program, or nothing, for the one that is installed",
        )
    for name, function in settings.functions.items():
        if function.command is None:
            continue
        path = search_path(environment, function.command.environment)
        try:
            find(function.command, path, here)
            confining(function.command, find_tools(environment))
        except NotThere as missing:
            hint = hint_at_unit(function.command, environment, here)
            _own(root, settings, name).mistake(missing.key, f"{missing}{hint}")


def _own(root: Table, settings: Settings, name: str) -> Table:
    """A function's own table, in whichever file it stands."""
    functions = root.section("functions")
    if name in functions or settings.stack is None:
        return functions.section(name)
    return functions.section(name).in_file(settings.stack)
