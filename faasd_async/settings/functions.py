"""The functions: ``[functions.<name>]`` over ``[defaults]`` over what is built in.

Both kinds of table have the same keys and are read by the same code. What lies below a table is
handed to it as a :class:`Template`, of which each key replaces a part.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from msgspec.structs import replace

from faasd_async.settings.annotations import over_function
from faasd_async.settings.auth import read_auth
from faasd_async.settings.containers import (
    IMAGE_ONLY,
    image_name,
    read_image,
    shared_with_commands,
)
from faasd_async.settings.cron import read_cron, timezone
from faasd_async.settings.limits import read_limits
from faasd_async.settings.mistakes import Refusal, shown
from faasd_async.settings.model import (
    NOTHING,
    Backoff,
    CommandMode,
    CommandSettings,
    Concurrency,
    ContainerSettings,
    DeadLetters,
    FunctionSettings,
    Missed,
    ResultSettings,
    RetrySettings,
    ScheduleSettings,
    Template,
)
from faasd_async.settings.quantities import (
    format_size,
    parse_duration,
    parse_duration_or_zero,
    parse_size,
)
from faasd_async.settings.secrets import Secret, take_secrets, webhook_secret
from faasd_async.settings.table import Table
from faasd_async.settings.values import (
    FILE_NAME_ALLOWED,
    Reader,
    any_text,
    boolean,
    choice,
    command,
    content_type,
    file_name,
    http_url,
    integer,
    integer_text,
    is_file_name,
    list_of,
    name,
    path_below,
    table_of_strings,
    text,
    url_path,
    variables,
)
from faasd_async.settings.verify import read_verify
from faasd_async.settings.waits import check_waits

COMMAND_MODES: tuple[CommandMode, ...] = get_args(CommandMode)
BACKOFFS: tuple[Backoff, ...] = get_args(Backoff)
CONCURRENCIES: tuple[Concurrency, ...] = get_args(Concurrency)
DEAD_LETTERS: tuple[DeadLetters, ...] = get_args(DeadLetters)
MISSED: tuple[Missed, ...] = get_args(Missed)

URL_MAX_INFLIGHT = 10

#: A key, and the variable that of-watchdog has for the same; 0 stands for no limit of its own.
MAX_INFLIGHT = "max_inflight"

_ONE_FUNCTION_ONLY = (
    *("url", "command", "image", "port", "upstream_url", "schedule", "payload"),
    *("secrets", "verify"),
)
_COMMAND_ONLY = (
    *("mode", "directory", "content_type", "upstream_url"),
    *("user", "cpu_time", "open_files", "processes"),
)
_COMMAND_OR_IMAGE = (
    *("environment", "prefix_logs", "port", "ready_path", "healthcheck_interval"),
    *("secrets", "memory"),
)
_HTTP_ONLY = ("port", "upstream_url", "ready_path", "healthcheck_interval")


#: The key of ``[functions]`` that names a stack.yml, unless it is a function of that name.
STACK = "stack"


def stack_path(base: str) -> Reader[str | None]:
    """Read where a stack.yml is; ``None``: this is a function's table."""

    def read(value: object) -> str | None:
        return None if isinstance(value, dict) else path_below(base)(value)

    return read


def read_defaults(
    table: Table, base: str, max_body_bytes: int, signing_secrets: tuple[Secret, ...]
) -> Template:
    """``[defaults]``, as a template for :func:`read_functions`.

    :param base: the directory that relative paths start from.
    :param max_body_bytes: the gateway's, which no function can exceed.
    :param signing_secrets: those of all callbacks.
    """
    built_in = Template(
        FunctionSettings(
            name="",
            max_inflight=0,
            max_body_bytes=max_body_bytes,
            signing_secrets=signing_secrets,
        ),
        CommandSettings(words=()),
    )
    for key in _ONE_FUNCTION_ONLY:
        table.forbid(key, "only in a function's own table")
    annotations = _merged(table, "annotations", table_of_strings, NOTHING)
    process = _read_process(table, built_in.process, base)
    function = read_image(table, _read(table, built_in.function, base, max_body_bytes))
    container = shared_with_commands(table, function.container, process)
    table.finish()
    return Template(replace(function, container=container, annotations=annotations), process)


def read_functions(
    table: Table,
    template: Template,
    *,
    base: str,
    namespace: str,
    max_body_bytes: int,
    notices: list[str],
) -> Mapping[str, FunctionSettings]:
    """``[functions]``: every function by its name.

    :param namespace: the gateway's; no function's name may end in it.
    :param notices: takes a line for each annotation that is ignored.
    """
    functions = {}
    ports: dict[int, str] = {}
    for key in table:
        if key == STACK and table.take(STACK, stack_path(base), None):
            continue
        own = table.section(key)
        _check_name(own, key, namespace)
        annotations = _merged(own, "annotations", table_of_strings, template.function.annotations)
        labels = _merged(own, "labels", table_of_strings, template.function.labels)
        annotated = over_function(
            own.path,
            replace(template.function, name=key, annotations=annotations, labels=labels),
            notices,
        )
        function = _read_function(own, Template(annotated, template.process), base, max_body_bytes)
        functions[key] = function
        port = function.command.port if function.command else None
        if port is not None and ports.setdefault(port, key) != key:
            own.mistake(
                "port", f"found {port}, which {ports[port]} has; allowed: a port of its own"
            )
    return MappingProxyType(functions)


def _check_name(table: Table, key: str, namespace: str) -> None:
    if not is_file_name(key):
        # Clients take the steps "." and ".." out of a URL, and would never come to such a function.
        table.mistake_here(f"found the name {shown(key)}; allowed: {FILE_NAME_ALLOWED}")
    elif key.endswith(f".{namespace}"):
        table.mistake_here(
            f"found the name {shown(key)}; allowed: one that does not end in .{namespace}, for"
            " that is what callers append to a name"
        )


def _read_function(
    table: Table, template: Template, base: str, max_body_bytes: int
) -> FunctionSettings:
    url: str | None = table.take("url", http_url, None)
    words: tuple[str, ...] | None = table.take("command", command, None)
    image: str | None = table.take("image", image_name, None)
    function = read_image(table, _read(table, template.function, base, max_body_bytes))
    process = _read_process(table, template.process, base)
    if process.port and not process.upstream_url:
        process = replace(process, upstream_url=f"http://127.0.0.1:{process.port}")
    _check_kind(table, process)
    verify = read_verify(table, "verify", base)
    table.finish()
    suits_its_kind = len(os.sched_getaffinity(0)) if words else URL_MAX_INFLIGHT
    container = shared_with_commands(table, function.container, process)
    return replace(
        function,
        url=url,
        image=image,
        container=container if image else ContainerSettings(),
        secrets=() if url else function.secrets,
        command=replace(process, words=words) if words else None,
        verify=verify,
        max_inflight=_max_inflight(table, function, process, suits_its_kind),
    )


def _max_inflight(
    table: Table, function: FunctionSettings, process: CommandSettings, usual: int
) -> int:
    """What its own key says, or its watchdog's variable of that name, or the defaults."""
    said = process.environment.get(MAX_INFLIGHT, "0")
    if MAX_INFLIGHT in table or said == "0":
        return function.max_inflight or usual
    try:
        return integer_text(1)(said)
    except Refusal as refusal:
        table.mistake("environment", f"{MAX_INFLIGHT}: {refusal}, or 0 for what holds without it")
        return usual


def _check_kind(table: Table, process: CommandSettings) -> None:
    """Note what contradicts the kind of function this is."""
    kinds = [key for key in ("url", "command", "image") if key in table]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "neither url nor command nor image"
        table.mistake_here(f"found {found}; allowed: one of url, command and image")
        return
    if kinds != ["command"]:
        for key in _COMMAND_ONLY:
            table.forbid(key, "only with command")
    if kinds != ["image"]:
        for key in IMAGE_ONLY:
            table.forbid(key, "only with image")
    if kinds == ["url"]:
        for key in _COMMAND_OR_IMAGE:
            table.forbid(key, "only with command or image")
    if kinds != ["command"]:
        return
    if process.user is not None and "secrets" in table:
        table.mistake(
            "secrets",
            "found with user; allowed: one of them, for the daemon's user alone reads secrets",
        )
    if process.mode == "http":
        table.forbid("content_type", 'only with mode = "streaming" or "serializing"')
    else:
        for key in _HTTP_ONLY:
            table.forbid(key, 'only with mode = "http"')


def _read(
    table: Table, below: FunctionSettings, base: str, max_body_bytes: int
) -> FunctionSettings:
    """The keys that a function and ``[defaults]`` share, annotations excepted."""
    secrets = take_secrets(table, base, "signing_secrets", "signing_secret_file", webhook_secret)
    return replace(
        below,
        timeout_seconds=table.take("timeout", parse_duration, below.timeout_seconds),
        async_timeout_seconds=table.take(
            "async_timeout", parse_duration, below.async_timeout_seconds
        ),
        connect_timeout_seconds=table.take(
            "connect_timeout", parse_duration, below.connect_timeout_seconds
        ),
        callback_timeout_seconds=table.take(
            "callback_timeout", parse_duration, below.callback_timeout_seconds
        ),
        max_inflight=table.take("max_inflight", integer(1), below.max_inflight),
        concurrency=table.take("concurrency", choice(CONCURRENCIES), below.concurrency),
        max_body_bytes=table.take("max_body", _body_size(max_body_bytes), below.max_body_bytes),
        queue=table.take("queue", name, below.queue),
        expires_seconds=table.take("expires", parse_duration, below.expires_seconds),
        retry=_read_retry(table.inline("retry"), below.retry),
        results=_read_results(table.inline("results"), below.results),
        dead_letters=table.take("dead_letters", choice(DEAD_LETTERS), below.dead_letters),
        schedule=_read_schedule(table, below.schedule),
        secrets=table.take("secrets", list_of(file_name), below.secrets),
        signing_secrets=below.signing_secrets if secrets is None else secrets,
        auth=read_auth(table, base, below.auth),
        labels=_merged(table, "labels", table_of_strings, below.labels),
    )


def _read_schedule(table: Table, below: ScheduleSettings) -> ScheduleSettings:
    return ScheduleSettings(
        cron=table.take("schedule", read_cron, below.cron),
        timezone=table.take("timezone", timezone, below.timezone),
        payload=table.take("payload", any_text, below.payload),
        missed=table.take("missed", choice(MISSED), below.missed),
    )


def _read_process(table: Table, below: CommandSettings, base: str) -> CommandSettings:
    """The keys of a command, its words excepted."""
    return CommandSettings(
        words=below.words,
        mode=table.take("mode", choice(COMMAND_MODES), below.mode),
        environment=_merged(table, "environment", variables, below.environment),
        directory=table.take("directory", path_below(base), below.directory),
        user=table.take("user", text, below.user),
        limits=read_limits(table, below.limits),
        prefix_logs=table.take("prefix_logs", boolean, below.prefix_logs),
        content_type=table.take("content_type", content_type, below.content_type),
        port=table.take("port", integer(1, 65535), below.port),
        upstream_url=table.take("upstream_url", http_url, below.upstream_url),
        ready_path=table.take("ready_path", url_path, below.ready_path),
        healthcheck_interval_seconds=table.take(
            "healthcheck_interval", parse_duration, below.healthcheck_interval_seconds
        ),
    )


def _read_retry(table: Table, below: RetrySettings) -> RetrySettings:
    settings = RetrySettings(
        attempts=table.take("attempts", integer(1), below.attempts),
        codes=table.take("codes", list_of(integer(400, 599)), below.codes),
        min_wait_seconds=table.take("min_wait", parse_duration, below.min_wait_seconds),
        max_wait_seconds=table.take("max_wait", parse_duration, below.max_wait_seconds),
        backoff=table.take("backoff", choice(BACKOFFS), below.backoff),
    )
    check_waits(table, settings.min_wait_seconds, settings.max_wait_seconds)
    table.finish()
    return settings


def _read_results(table: Table, below: ResultSettings) -> ResultSettings:
    settings = ResultSettings(
        keep_seconds=table.take("keep", _keep, below.keep_seconds),
        max_bytes=table.take("max_bytes", parse_size, below.max_bytes),
    )
    table.finish()
    return settings


def _keep(value: object) -> float:
    seconds = parse_duration_or_zero(value)
    if 0 < seconds < 1:  # the broker's shortest
        raise Refusal(shown(value), '"0s", or "1s" and longer')
    return seconds


def _body_size(most: int) -> Reader[int]:
    def read(value: object) -> int:
        size = parse_size(value)
        if size > most:
            raise Refusal(shown(value), f"at most [gateway] max_body, {format_size(most)}")
        return size

    return read


def _merged(
    table: Table, key: str, read: Reader[Mapping[str, str]], below: Mapping[str, str]
) -> Mapping[str, str]:
    """A table of strings laid over the one below it."""
    return MappingProxyType({**below, **table.take(key, read, {})})
