"""The layers of the settings, lowest first: built in, file, environment, command line."""

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from msgspec.structs import replace

from faasd_async.settings.checks import (
    check_auth,
    check_places,
    check_programs,
    check_streaming,
)
from faasd_async.settings.containers import read_containers
from faasd_async.settings.endpoints import endpoint
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
from faasd_async.settings.functions import STACK, read_defaults, read_functions, stack_path
from faasd_async.settings.mistakes import Mistakes, Refusal
from faasd_async.settings.model import (
    CallbackSettings,
    FunctionSettings,
    GatewaySettings,
    NatsSettings,
    QueueSettings,
    Settings,
    Template,
)
from faasd_async.settings.provider import read_provider
from faasd_async.settings.room import too_large_for_the_queue
from faasd_async.settings.stack import read_stack_tables
from faasd_async.settings.table import Table
from faasd_async.settings.values import path_below

STATE_DIR = "faasd-async-state"


def load(
    path: str | None,
    environment: Mapping[str, str],
    *,
    state_dir: str | None = None,
    listen: Sequence[str] = (),
    runs_in: str | None = None,
) -> Settings:
    """Read the settings.

    :param path: the TOML file; ``None``: there is none.
    :param environment: the daemon's environment variables.
    :param state_dir: ``--state-dir``, which counts over every other.
    :param listen: ``--listen``, which replaces the gateway's listeners if there is any.
    :param runs_in: where the daemon will run. Given, it is looked whether the programs are there
        that the settings name; else it will be when they are started.
    :raises ConfigurationError: if anything is wrong. Its text has a line for each mistake, unless
        the file could not be read as TOML at all.
    """
    mistakes = Mistakes()
    base = os.path.dirname(os.path.abspath(path)) if path is not None else os.getcwd()
    root = Table(path or "no file", read_document(path) if path is not None else {}, mistakes)
    settings = _read(root, OpenFaasNames(environment, mistakes), base, mistakes)
    if listen:
        gateway = replace(settings.gateway, listen=_listeners(listen, mistakes))
        settings = replace(settings, gateway=gateway)
    check_places(root, settings, bool(listen), mistakes)
    check_streaming(root, settings)
    check_auth(root, settings)
    if runs_in is not None:
        check_programs(root, settings, environment, runs_in)
    mistakes.raise_if_any()
    chosen = state_dir or settings.state_dir or _systemd_state_dir(environment) or STATE_DIR
    return replace(
        settings,
        state_dir=os.path.abspath(chosen),
        notices=(*settings.notices, *too_large_for_the_queue(root, settings.queue, settings.nats)),
    )


def _read(root: Table, names: OpenFaasNames, base: str, mistakes: Mistakes) -> Settings:
    """What file and environment say; ``state_dir`` is empty if the file does not say it."""
    # In the order of the reference file, in which the mistakes are told.
    state_dir = root.take("state_dir", path_below(base), "")
    gateway = names.over_gateway(read_gateway(root.section("gateway"), base))
    queue = read_queue(root.section("queue"))
    nats = _read_nats(root.section("nats"), names, base, queue)
    worker = names.over_worker(read_worker(root.section("worker")))
    callback = read_callback(root.section("callback"), base)
    containers = read_containers(root.section("containers"), base)
    provider = names.over_provider(read_provider(root.section("provider"), base))
    log = read_log(root.section("log"))
    functions, stack, template, notices = _read_functions(
        root, names, base, gateway, callback, mistakes
    )
    root.finish()
    return Settings(
        state_dir=state_dir,
        gateway=gateway,
        queue=queue,
        nats=nats,
        worker=worker,
        callback=callback,
        containers=containers,
        provider=provider,
        log=log,
        functions=functions,
        stack=stack,
        template=template,
        proxy=names.proxy(),
        notices=tuple(notices),
    )


def _read_nats(table: Table, names: OpenFaasNames, base: str, queue: QueueSettings) -> NatsSettings:
    nats = names.over_nats(read_nats(table, base), queue.backend)
    check_nats(table, nats, queue.backend)
    return nats


def _read_functions(
    root: Table,
    names: OpenFaasNames,
    base: str,
    gateway: GatewaySettings,
    callback: CallbackSettings,
    mistakes: Mistakes,
) -> tuple[Mapping[str, FunctionSettings], str | None, Template, list[str]]:
    """The functions, the stack.yml that has some of them, what others would be made from, and what
    the operator should know."""
    template = read_defaults(
        root.section("defaults"), base, gateway.max_body_bytes, callback.signing_secrets
    )
    template = template._replace(function=names.over_defaults(template.function))
    notices = names.notices()
    table = root.section("functions")

    def read(functions: Table) -> Mapping[str, FunctionSettings]:
        return read_functions(
            functions,
            template,
            base=base,
            namespace=gateway.namespace,
            max_body_bytes=gateway.max_body_bytes,
            notices=notices,
        )

    functions = read(table)
    path = table.take(STACK, stack_path(base), None)
    if path is not None:
        stacked, ignored = read_stack_tables(
            path, names.variables, mistakes, taken=table, namespace=gateway.namespace
        )
        notices += ignored
        functions = MappingProxyType({**functions, **read(stacked)})
    return functions, path, template, notices


def _systemd_state_dir(environment: Mapping[str, str]) -> str:
    """The first of the directories in ``$STATE_DIRECTORY``, which systemd separates by colons."""
    return environment.get("STATE_DIRECTORY", "").partition(":")[0]


def _listeners(listen: Sequence[str], mistakes: Mistakes) -> tuple[str, ...]:
    """Those that can be used."""
    usable = []
    for each in listen:
        try:
            usable.append(endpoint(each))
        except Refusal as refusal:
            mistakes.add("--listen", str(refusal))
    return tuple(usable)
