"""The settings file: TOML, and the sections that concern the daemon as a whole."""

import re
import tomllib
from typing import get_args

from faasd_async.errors import ConfigurationError
from faasd_async.settings.endpoints import endpoint
from faasd_async.settings.mistakes import shown
from faasd_async.settings.model import (
    Backend,
    CallbackPolicy,
    CallbackSettings,
    DeployKind,
    Durability,
    GatewaySettings,
    LogFormat,
    LogLevel,
    LogSettings,
    NatsSettings,
    QueueMode,
    QueueSettings,
    StreamingSettings,
    WorkerSettings,
)
from faasd_async.settings.outward import certificates
from faasd_async.settings.quantities import parse_duration, parse_duration_or_zero, parse_size
from faasd_async.settings.secrets import take_secrets, webhook_secret
from faasd_async.settings.table import Table
from faasd_async.settings.values import (
    boolean,
    channel,
    choice,
    client_id,
    host_name,
    integer,
    list_of,
    name,
    nats_url,
    network,
    path_below,
    secret,
    text,
)
from faasd_async.settings.waits import check_waits

DEPLOY_KINDS: tuple[DeployKind, ...] = get_args(DeployKind)
BACKENDS: tuple[Backend, ...] = get_args(Backend)
QUEUE_MODES: tuple[QueueMode, ...] = get_args(QueueMode)
DURABILITIES: tuple[Durability, ...] = get_args(Durability)
CALLBACK_POLICIES: tuple[CallbackPolicy, ...] = get_args(CallbackPolicy)
LOG_FORMATS: tuple[LogFormat, ...] = get_args(LogFormat)
LOG_LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)

_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def read_document(path: str) -> dict[str, object]:
    """Read the file at ``path`` as TOML.

    :raises ConfigurationError: if it cannot be read; the text names the file, and the line of a
        mistake in its syntax.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"{path}: cannot be read: {reason}") from None
    try:
        document = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}, line {line}: not UTF-8, as TOML must be") from None
    try:
        return tomllib.loads(document)
    except RecursionError:
        raise ConfigurationError(f"{path}: not TOML: nested too deeply") from None
    except ValueError as error:  # tomllib's own error, or int()'s for one of too many digits
        place = _TOML_PLACE.search(str(error))
        line = int(place[1] or len(document.splitlines())) if place else 0
        reason = _TOML_PLACE.sub("", str(error))
        at = f"{path}, line {line}" if line else path
        raise ConfigurationError(f"{at}: not TOML: {reason}") from None


def read_gateway(table: Table, base: str) -> GatewaySettings:
    """``[gateway]``."""
    default = GatewaySettings()
    settings = GatewaySettings(
        listen=table.take("listen", list_of(endpoint, 1), default.listen),
        metrics_listen=table.take("metrics_listen", list_of(endpoint), default.metrics_listen),
        max_body_bytes=table.take("max_body", parse_size, default.max_body_bytes),
        read_timeout_seconds=table.take(
            "read_timeout", parse_duration, default.read_timeout_seconds
        ),
        namespace=table.take("namespace", name, default.namespace),
        basic_auth=table.take("basic_auth", boolean, default.basic_auth),
        secret_mount_path=table.take(
            "secret_mount_path", path_below(base), default.secret_mount_path
        ),
        deploy=table.take("deploy", list_of(choice(DEPLOY_KINDS)), default.deploy),
        max_connections_per_address=table.take(
            "max_connections_per_address", integer(0), default.max_connections_per_address
        ),
        trusted_proxies=table.take("trusted_proxies", list_of(network), default.trusted_proxies),
        begin_traces=table.take("begin_traces", boolean, default.begin_traces),
        aliases=table.take("aliases", list_of(host_name), default.aliases),
    )
    table.finish()
    return settings


def read_queue(table: Table) -> QueueSettings:
    """``[queue]``."""
    default = QueueSettings()
    backend = table.take("backend", choice(BACKENDS), default.backend)
    usual_mode: QueueMode = "static" if backend == "nats-streaming" else default.mode
    settings = QueueSettings(
        backend=backend,
        mode=table.take("mode", choice(QUEUE_MODES), usual_mode),
        durability=table.take("durability", choice(DURABILITIES), default.durability),
        max_bytes=table.take("max_bytes", parse_size, default.max_bytes),
        accept_deadline_seconds=table.take(
            "accept_deadline", parse_duration, default.accept_deadline_seconds
        ),
        max_messages=table.take("max_messages", integer(1), default.max_messages),
        results_max_bytes=table.take("results_max_bytes", parse_size, default.results_max_bytes),
        results_max_messages=table.take(
            "results_max_messages", integer(1), default.results_max_messages
        ),
        dead_letters_max_bytes=table.take(
            "dead_letters_max_bytes", parse_size, default.dead_letters_max_bytes
        ),
        dead_letters_max_messages=table.take(
            "dead_letters_max_messages", integer(1), default.dead_letters_max_messages
        ),
        min_free_bytes=table.take("min_free", parse_size, default.min_free_bytes),
        orphan_ttl_seconds=table.take("orphan_ttl", parse_duration, default.orphan_ttl_seconds),
        clock_wait_seconds=table.take(
            "clock_wait", parse_duration_or_zero, default.clock_wait_seconds
        ),
    )
    if backend == "nats-streaming" and settings.mode != "static":
        table.mistake(
            "mode",
            f'found {shown(settings.mode)} with backend = "nats-streaming", where the calls of all'
            ' functions stand in one channel; allowed: "static"',
        )
    table.finish()
    return settings


def read_nats(table: Table, base: str) -> NatsSettings:
    """``[nats]``; whether its keys go together is told by :func:`check_nats`."""
    default, path = NatsSettings(), path_below(base)
    settings = NatsSettings(
        embedded=table.take("embedded", boolean, default.embedded),
        urls=table.take("urls", list_of(nats_url, 1), default.urls),
        user=table.take("user", text, default.user),
        password=table.take("password", secret, default.password),
        token=table.take("token", secret, default.token),
        nkey_file=table.take("nkey_file", path, default.nkey_file),
        credentials_file=table.take("credentials_file", path, default.credentials_file),
        ca_file=table.take("ca_file", path, default.ca_file),
        certificate_file=table.take("certificate_file", path, default.certificate_file),
        key_file=table.take("key_file", path, default.key_file),
        binary=table.take("binary", path, default.binary),
        replicas=table.take("replicas", integer(1, 5), default.replicas),
        streaming=_read_streaming(table.section("streaming")),
    )
    table.finish()
    return settings


def _read_streaming(table: Table) -> StreamingSettings:
    default = StreamingSettings()
    settings = StreamingSettings(
        urls=table.take("urls", list_of(nats_url, 1), default.urls),
        cluster_id=table.take("cluster_id", client_id, default.cluster_id),
        client_id=table.take("client_id", client_id, default.client_id),
        channel=table.take("channel", channel, default.channel),
        queue_group=table.take("queue_group", name, default.queue_group),
    )
    table.finish()
    return settings


_OF_EXTERNAL = (
    *("urls", "user", "password", "token", "nkey_file", "credentials_file"),
    *("ca_file", "certificate_file", "key_file"),
)


def check_nats(table: Table, settings: NatsSettings, backend: Backend) -> None:
    """Note the contradictions in ``[nats]``, what the environment put over it included."""
    if backend == "nats-streaming" and settings.embedded and not settings.streaming.urls:
        table.section("streaming").mistake(
            "urls",
            'found none; allowed: where NATS Streaming is, ["nats://host:4222"]; without it, with'
            " embedded = false in [nats], it is where [nats] urls say",
        )
    if settings.embedded:
        for key in _OF_EXTERNAL:
            table.forbid(key, "only with embedded = false")
        if settings.replicas > 1:
            table.mistake(
                "replicas",
                f"found {settings.replicas}; allowed: 1, or more with embedded = false",
            )
        return
    table.forbid("binary", "only with embedded = true")
    if not settings.urls and "urls" not in table:
        table.mistake(
            "embedded", 'found false and no urls; allowed: false with urls = ["nats://host:4222"]'
        )
    _check_login(table, settings)


def _check_login(table: Table, settings: NatsSettings) -> None:
    """One way to log in, and whole."""
    ways = ("user", "token", "nkey_file", "credentials_file")
    first, *others = [key for key in ways if getattr(settings, key) is not None] or [""]
    for other in others:
        table.mistake(
            other, f"found beside {first}; allowed: one of user and password, {', '.join(ways[1:])}"
        )
    if settings.key_file is not None and settings.certificate_file is None:
        table.mistake("key_file", "found without certificate_file; allowed: both or neither")
    if settings.password is None and settings.user is not None:
        table.mistake("user", "found without password; allowed: both or neither")
    if settings.password is not None and settings.user is None:
        table.mistake("password", "found without user; allowed: both or neither")


def read_worker(table: Table) -> WorkerSettings:
    """``[worker]``."""
    default = WorkerSettings()
    settings = WorkerSettings(
        max_inflight=table.take("max_inflight", integer(1), default.max_inflight),
        ack_wait_seconds=table.take("ack_wait", parse_duration, default.ack_wait_seconds),
        drain_timeout_seconds=table.take(
            "drain_timeout", parse_duration, default.drain_timeout_seconds
        ),
        write_debug=table.take("write_debug", boolean, default.write_debug),
    )
    table.finish()
    return settings


def read_callback(table: Table, base: str) -> CallbackSettings:
    """``[callback]``."""
    default = CallbackSettings()
    secrets = take_secrets(table, base, "signing_secrets", "signing_secret_file", webhook_secret)
    settings = CallbackSettings(
        attempts=table.take("attempts", integer(1), default.attempts),
        min_wait_seconds=table.take("min_wait", parse_duration, default.min_wait_seconds),
        max_wait_seconds=table.take("max_wait", parse_duration, default.max_wait_seconds),
        policy=table.take("policy", choice(CALLBACK_POLICIES), default.policy),
        max_inflight=table.take("max_inflight", integer(1), default.max_inflight),
        max_hops=table.take("max_hops", integer(0), default.max_hops),
        signing_secrets=secrets or (),
        ca_file=table.take("ca_file", certificates(base), default.ca_file),
    )
    check_waits(table, settings.min_wait_seconds, settings.max_wait_seconds)
    table.finish()
    return settings


def read_log(table: Table) -> LogSettings:
    """``[log]``."""
    default = LogSettings()
    settings = LogSettings(
        format=table.take("format", choice(LOG_FORMATS), default.format),
        level=table.take("level", choice(LOG_LEVELS), default.level),
    )
    table.finish()
    return settings
