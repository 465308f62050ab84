"""The layers of the settings, lowest first: built in, file, environment, command line."""

import os
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from faasd_async.settings.environment import OpenFaasNames
from faasd_async.settings.file import (
    check_nats,
    read_callback,
    read_document,
    read_gateway,
    read_log,
    read_nats,
    read_queue,
    read_worker,
)
from faasd_async.settings.functions import read_defaults, read_functions
from faasd_async.settings.mistakes import Mistakes, Refusal
from faasd_async.settings.model import Settings
from faasd_async.settings.table import Table
from faasd_async.settings.values import endpoint, path_below

STATE_DIR = "faasd-async-state"


def load(
    path: str | None,
    environment: Mapping[str, str],
    *,
    state_dir: str | None = None,
    listen: Sequence[str] = (),
) -> Settings:
    """Read the settings.

    :param path: the TOML file; ``None``: there is none.
    :param environment: the daemon's environment variables.
    :param state_dir: ``--state-dir``, which counts over every other.
    :param listen: ``--listen``, which replaces the gateway's listeners if there is any.
    :raises ConfigurationError: if anything is wrong. Its text has a line for each mistake, unless
        the file could not be read as TOML at all.
    """
    mistakes = Mistakes()
    names = OpenFaasNames(environment, mistakes)
    base = os.path.dirname(os.path.abspath(path)) if path is not None else os.getcwd()
    root = Table(path or "no file", read_document(path) if path is not None else {}, mistakes)

    names.check_authentication()
    found_state_dir = root.take("state_dir", path_below(base), None)
    gateway = names.over_gateway(read_gateway(root.section("gateway")))
    if listen:
        gateway = replace(gateway, listen=_listeners(listen, mistakes))
    queue = read_queue(root.section("queue"))
    nats_table = root.section("nats")
    nats = names.over_nats(read_nats(nats_table, base), queue.backend)
    check_nats(nats_table, nats)
    worker = names.over_worker(read_worker(root.section("worker")))
    callback = read_callback(root.section("callback"))
    log = read_log(root.section("log"))
    template = read_defaults(root.section("defaults"), base, gateway.max_body_bytes)
    notices = names.notices()
    functions = read_functions(
        root.section("functions"),
        template._replace(function=names.over_defaults(template.function)),
        base=base,
        namespace=gateway.namespace,
        max_body_bytes=gateway.max_body_bytes,
        notices=notices,
    )
    root.finish()
    mistakes.raise_if_any()
    return Settings(
        state_dir=os.path.abspath(
            state_dir or found_state_dir or _systemd_state_dir(environment) or STATE_DIR
        ),
        gateway=gateway,
        queue=queue,
        nats=nats,
        worker=worker,
        callback=callback,
        log=log,
        functions=functions,
        notices=tuple(notices),
    )


def _systemd_state_dir(environment: Mapping[str, str]) -> str:
    """The first of the directories in ``$STATE_DIRECTORY``, which systemd separates by colons."""
    return environment.get("STATE_DIRECTORY", "").partition(":")[0]


def _listeners(listen: Sequence[str], mistakes: Mistakes) -> tuple[str, ...]:
    for each in listen:
        try:
            endpoint(each)
        except Refusal as refusal:
            mistakes.add("--listen", str(refusal))
    return tuple(listen)
