"""From a function's settings to its workbench."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial

from msgspec.structs import replace

from faasd_async.runtime.container.installation import Installation
from faasd_async.runtime.interface import Runtime
from faasd_async.runtime.journal import Keep, unkept
from faasd_async.runtime.process.fork import ForkRuntime, Serializing, Streaming
from faasd_async.runtime.process.http import HttpRuntime
from faasd_async.runtime.process.notes import Note, unnoted
from faasd_async.runtime.process.program import find_program
from faasd_async.runtime.provided import Provided, Wake
from faasd_async.runtime.reactor import IRuntimeReactor
from faasd_async.runtime.upstream import Upstream
from faasd_async.settings import CommandSettings, FunctionSettings
from faasd_async.settings.limits import in_words

#: Tells a command where its secrets are, as it tells OpenFaaS' own functions.
SECRETS_VARIABLE = "secret_mount_path"


def make_runtime(
    settings: FunctionSettings,
    reactor: IRuntimeReactor,
    daemon: Mapping[str, str] = os.environ,
    note: Note = unnoted,
    containers: Installation | None = None,
    keep: Keep = unkept,
    secrets_of: Callable[[str], str] | None = None,
    wake: Wake | None = None,
) -> Runtime:
    """Make the runtime that *settings* ask for; nothing is opened before it is started.

    :param daemon: the environment that commands inherit a part of.
    :param note: is told of each process.
    :param containers: where the containers of images run.
    :param keep: is given the lines that they write.
    :param secrets_of: where a function finds the secrets that it names.
    :param wake: has another provider run a function of its own.
    """
    if settings.command is not None:
        command = settings.command
        if settings.secrets and secrets_of is not None:
            given = {SECRETS_VARIABLE: secrets_of(settings.name), **command.environment}
            command = replace(command, environment=given)
        return _of_command(settings, command, reactor, daemon, note, keep)
    if settings.image is not None:
        assert containers is not None
        from faasd_async.runtime.container.runtime import ContainerRuntime

        return ContainerRuntime(reactor, settings, containers)
    if settings.is_provided:
        assert wake is not None
        return Provided(reactor, settings, wake)
    assert settings.url is not None
    return Upstream(
        reactor,
        settings.name,
        settings.url,
        max_inflight=settings.max_inflight,
        connect_timeout_seconds=settings.connect_timeout_seconds,
    )


def _of_command(
    settings: FunctionSettings,
    command: CommandSettings,
    reactor: IRuntimeReactor,
    daemon: Mapping[str, str],
    note: Note,
    keep: Keep,
) -> Runtime:
    find = partial(find_program, settings.name, command, daemon)
    if command.mode == "http":
        return HttpRuntime(
            reactor,
            settings.name,
            find,
            command,
            max_inflight=settings.max_inflight,
            connect_timeout_seconds=settings.connect_timeout_seconds,
            note=note,
            keep=keep,
        )
    return ForkRuntime(
        reactor,
        settings.name,
        find,
        Streaming if command.mode == "streaming" else Serializing,
        content_type=command.content_type,
        prefix_logs=command.prefix_logs,
        limits=in_words(command.limits),
        note=note,
        keep=keep,
    )
