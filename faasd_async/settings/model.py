"""The settings as the rest of the daemon sees them: frozen, complete and checked.

Every default stands here and nowhere else. Durations are seconds, sizes are bytes, paths are
absolute.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from msgspec import Struct

from faasd_async.settings.auth import AuthSettings
from faasd_async.settings.secrets import Secret

KIB = 2**10
MIB = 2**20
GIB = 2**30

MINUTE = 60.0
HOUR = 60 * MINUTE

Backend = Literal["jetstream", "nats-streaming", "memory"]
QueueMode = Literal["function", "static"]
Durability = Literal["power", "process"]
CallbackPolicy = Literal["private", "public"]
LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warn", "error"]
CommandMode = Literal["streaming", "serializing", "http"]
Backoff = Literal["full", "equal", "exponential"]
DeadLetters = Literal["failed", "never"]
Concurrency = Literal["adaptive", "fixed"]
Missed = Literal["skip", "once"]
Pull = Literal["always", "missing", "never"]
DeployKind = Literal["command", "url"]
VerifyScheme = Literal["github", "stripe", "slack", "standard-webhooks", "hmac"]

NOTHING: Mapping[str, str] = MappingProxyType({})


class GatewaySettings(Struct, frozen=True, kw_only=True):
    """``[gateway]``: the front door. The listeners are Twisted endpoint strings.

    :ivar secret_mount_path: where user name and password are, if there is ``basic_auth``.
    :ivar deploy: what may be deployed over HTTP by annotation.
    :ivar max_connections_per_address: 0: as many as it likes.
    :ivar trusted_proxies: addresses and ranges whose ``X-Forwarded-*`` count; ``None``: all.
    :ivar begin_traces: calls that belong to no trace begin one.
    :ivar aliases: what callers of functions call this daemon.
    """

    listen: tuple[str, ...] = ("tcp:8080",)
    metrics_listen: tuple[str, ...] = ("tcp:8082:interface=127.0.0.1",)
    max_body_bytes: int = 64 * MIB
    read_timeout_seconds: float = MINUTE
    namespace: str = "openfaas-fn"
    basic_auth: bool = False
    secret_mount_path: str = "/run/secrets"  # noqa: S105 - where they are
    deploy: tuple[DeployKind, ...] = ()
    max_connections_per_address: int = 1000
    trusted_proxies: tuple[str, ...] | None = None
    begin_traces: bool = False
    aliases: tuple[str, ...] = ("gateway", "gateway.openfaas", "gateway.openfaas.svc.cluster.local")


class QueueSettings(Struct, frozen=True, kw_only=True):
    """``[queue]``: where accepted calls are kept."""

    backend: Backend = "jetstream"
    mode: QueueMode = "function"
    durability: Durability = "power"
    max_bytes: int = 2 * GIB
    max_messages: int = 1_000_000
    results_max_bytes: int = 512 * MIB
    results_max_messages: int = 100_000
    dead_letters_max_bytes: int = 512 * MIB
    dead_letters_max_messages: int = 10_000
    accept_deadline_seconds: float = 0.9
    min_free_bytes: int = 256 * MIB
    orphan_ttl_seconds: float = 24 * HOUR
    clock_wait_seconds: float = MINUTE


class StreamingSettings(Struct, frozen=True, kw_only=True):
    """``[nats.streaming]``: where NATS Streaming is, and what is whose there.

    :ivar urls: empty if it is where ``[nats]`` says.
    :ivar channel: of the queue ``default``; every other queue's is called as the queue is.
    :ivar client_id: ``None``: one is made of the names of the host and of the state directory.
    """

    urls: tuple[str, ...] = ()
    cluster_id: str = "faas-cluster"
    client_id: str | None = None
    channel: str = "faas-request"
    queue_group: str = "faas"


class NatsSettings(Struct, frozen=True, kw_only=True):
    """``[nats]``: the daemon's own nats-server, or somebody else's.

    :ivar urls: empty exactly if ``embedded``.
    :ivar nkey_file: holds the seed of a user's NKEY; ``credentials_file`` a JWT beside it.
    :ivar ca_file: certificates that may sign the server's; given, there is nothing but TLS.
    :ivar binary: the nats-server to run; ``None``: the one that is installed.
    """

    embedded: bool = True
    urls: tuple[str, ...] = ()
    user: str | None = None
    password: str | None = None
    token: str | None = None
    nkey_file: str | None = None
    credentials_file: str | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    binary: str | None = None
    replicas: int = 1
    streaming: StreamingSettings = StreamingSettings()


class WorkerSettings(Struct, frozen=True, kw_only=True):
    """``[worker]``: how the daemon as a whole runs calls."""

    max_inflight: int = 100
    ack_wait_seconds: float = 30.0
    drain_timeout_seconds: float = 30.0
    write_debug: bool = False


class ProxySettings(Struct, frozen=True, kw_only=True):
    """What https goes through, by the environment.

    :ivar except_for: what ``NO_PROXY`` says.
    """

    host: str
    port: int
    authorization: Secret | None = None
    except_for: tuple[str, ...] = ()


class CallbackSettings(Struct, frozen=True, kw_only=True):
    """``[callback]``: how outcomes are delivered.

    :ivar attempts: how often each is tried, the first time included.
    :ivar min_wait_seconds: the wait after the first try, which grows threefold with each further
        one, up to ``max_wait_seconds``.
    :ivar max_hops: so many calls may follow from one, each the callback of another.
    :ivar signing_secrets: callbacks are signed with each of them; none: they are not signed.
    :ivar ca_file: the certificates in it, PEM, of authorities that count besides the system's.
    """

    attempts: int = 12
    min_wait_seconds: float = 5.0
    max_wait_seconds: float = 3 * HOUR
    policy: CallbackPolicy = "private"
    max_inflight: int = 100
    max_hops: int = 16
    signing_secrets: tuple[Secret, ...] = ()
    ca_file: tuple[bytes, ...] = ()


class ContainersSettings(Struct, frozen=True, kw_only=True):
    """``[containers]``: the engine that runs the functions that are images.

    :ivar socket: a path; ``None``: looked for where Docker and Podman have theirs.
    :ivar logins_file: a ``config.json`` of Docker's, with logins to registries.
    """

    socket: str | None = None
    logins_file: str | None = None


class ProviderSettings(Struct, frozen=True, kw_only=True):
    """``[provider]``: somebody else who runs functions, as faasd does.

    :ivar url: where it answers; ``None``: there is none.
    :ivar logs_url: where it is asked for logs; ``None``: there, too.
    :ivar secret_mount_path: where its user name and password are; ``None``: those of ``[gateway]``,
        if there is ``basic_auth``.
    :ivar refresh_seconds: how often it is asked which functions it has.
    :ivar timeout_seconds: how long it may take for an answer, those of functions excepted.
    :ivar max_inflight: of each of its functions.
    """

    url: str | None = None
    logs_url: str | None = None
    secret_mount_path: str | None = None
    refresh_seconds: float = 10.0
    timeout_seconds: float = MINUTE
    max_inflight: int = 100
    scale_from_zero: bool = True


class LogSettings(Struct, frozen=True, kw_only=True):
    """``[log]``."""

    format: LogFormat = "text"
    level: LogLevel = "info"


class RetrySettings(Struct, frozen=True, kw_only=True):
    """Which answers of a function are tried again, how often and when.

    :ivar attempts: the first one included.
    """

    attempts: int = 10
    codes: tuple[int, ...] = (429, 503)
    min_wait_seconds: float = 1.0
    max_wait_seconds: float = 2 * MINUTE
    backoff: Backoff = "full"


class ResultSettings(Struct, frozen=True, kw_only=True):
    """What is kept of a function's response.

    :ivar keep_seconds: how long a response is shown; 0 keeps none. Less than a minute: none of
        more than 64 KiB.
    :ivar max_bytes: the largest body that is kept.
    """

    keep_seconds: float = 24 * HOUR
    max_bytes: int = 8 * MIB


class LimitSettings(Struct, frozen=True, kw_only=True):
    """What each process of a command may use; 0: what the daemon may.

    :ivar memory_bytes: what it has for itself: its heap, and the stacks of its threads.
    :ivar cpu_time_seconds: in all its life.
    :ivar processes: of all that its user runs, threads included.
    """

    memory_bytes: int = 0
    cpu_time_seconds: int = 0
    open_files: int = 0
    processes: int = 0


class CommandSettings(Struct, frozen=True, kw_only=True):
    """A function that is a local process.

    :ivar words: the program and its arguments; never empty.
    :ivar user: who it runs as; ``None``: as the daemon does.
    :ivar port: where a process of mode ``http`` listens; ``None``: wherever ``upstream_url``
        says, and if that is ``None`` too, on a free port chosen when it is started.
    """

    words: tuple[str, ...]
    mode: CommandMode = "streaming"
    environment: Mapping[str, str] = NOTHING
    directory: str | None = None
    user: str | None = None
    limits: LimitSettings = LimitSettings()
    prefix_logs: bool = True
    content_type: str = "application/octet-stream"
    port: int | None = None
    upstream_url: str | None = None
    ready_path: str | None = None
    healthcheck_interval_seconds: float = 30.0


class ContainerSettings(Struct, frozen=True, kw_only=True):
    """What a function that is an image has besides it.

    :ivar fprocess: the variable of that name, which tells OpenFaaS' watchdog what to run.
    :ivar port: where it listens, in the container.
    :ivar memory_bytes: what it may use; 0: as much as there is.
    :ivar cpus: likewise, of processors.
    :ivar start_timeout_seconds: how long a call waits for it to be ready.
    :ivar zero_after_seconds: it is let go of when it was not called for so long; 0: never.
    """

    environment: Mapping[str, str] = NOTHING
    fprocess: str | None = None
    port: int = 8080
    memory_bytes: int = 0
    cpus: float = 0.0
    read_only: bool = False
    pull: Pull = "missing"
    ready_path: str = "/_/health"
    healthcheck_interval_seconds: float = 30.0
    prefix_logs: bool = True
    start_timeout_seconds: float = 30.0
    zero_after_seconds: float = 0.0


class ScheduleSettings(Struct, frozen=True, kw_only=True):
    """When a function is called by the daemon itself.

    :ivar cron: empty: never.
    :ivar timezone: whose clock it means.
    :ivar payload: the body of the call.
    :ivar missed: what becomes of times at which no daemon ran: nothing, or one call for all.
    """

    cron: str = ""
    timezone: str = "UTC"
    payload: str = ""
    missed: Missed = "skip"

    @property
    def name(self) -> str:
        """What tells it from others; empty if there is none."""
        return f"{self.cron} {self.timezone}" if self.cron else ""


class VerifySettings(Struct, frozen=True, kw_only=True):
    """How the requests for a function are signed.

    :ivar secrets: one of them it has to be.
    :ivar header: where the signature stands, of ``hmac``.
    :ivar tolerance_seconds: how old a signature may be that says when it was made; how long one
        that does not is not taken a second time, 0: it is.
    """

    scheme: VerifyScheme
    secrets: tuple[Secret, ...]
    header: str | None = None
    tolerance_seconds: float


class FunctionSettings(Struct, frozen=True, kw_only=True):
    """``[functions.<name>]`` over ``[defaults]``: it has exactly one of ``url``, ``command`` and
    ``image``.

    :ivar secrets: the names of those that it is given as files; none with a ``url``.
    :ivar signing_secrets: its callbacks'.
    :ivar verify: ``None``: its requests need no signature.
    :ivar auth: ``None``: its callers are asked for no password.
    :ivar container: for images only.
    :ivar is_provided: another provider runs it, and ``url`` is where that passes calls on.
    :ivar replicas: as often ``max_inflight`` is what was asked for; 0: nothing of it is up before
        it is called. No key of the file: it is scaled while the daemon runs.
    """

    name: str
    url: str | None = None
    command: CommandSettings | None = None
    image: str | None = None
    secrets: tuple[str, ...] = ()
    container: ContainerSettings = ContainerSettings()
    timeout_seconds: float = MINUTE
    async_timeout_seconds: float = 5 * MINUTE
    connect_timeout_seconds: float = 5.0
    callback_timeout_seconds: float = 30.0
    max_inflight: int
    concurrency: Concurrency = "adaptive"
    max_body_bytes: int
    queue: str = "default"
    expires_seconds: float = 24 * HOUR
    retry: RetrySettings = RetrySettings()
    results: ResultSettings = ResultSettings()
    dead_letters: DeadLetters = "failed"
    schedule: ScheduleSettings = ScheduleSettings()
    replicas: int = 1
    is_provided: bool = False
    signing_secrets: tuple[Secret, ...] = ()
    verify: VerifySettings | None = None
    auth: AuthSettings | None = None
    labels: Mapping[str, str] = NOTHING
    annotations: Mapping[str, str] = NOTHING


class Template(NamedTuple):
    """A function to be: nameless, and not yet of a kind.

    :ivar function: what every function has; ``max_inflight`` 0 stands for what suits its kind.
    :ivar process: what a command has besides, but for its words.
    """

    function: FunctionSettings
    process: CommandSettings


class Settings(Struct, frozen=True, kw_only=True):
    """Everything the daemon was told.

    :ivar stack: the stack.yml that some of the functions stand in; ``None``: there is none.
    :ivar template: what holds for a function that is not in the file.
    :ivar proxy: what callbacks by https go through.
    :ivar notices: lines for the operator, to be logged once at the start.
    """

    state_dir: str
    gateway: GatewaySettings
    queue: QueueSettings
    nats: NatsSettings
    worker: WorkerSettings
    callback: CallbackSettings
    containers: ContainersSettings = ContainersSettings()
    provider: ProviderSettings = ProviderSettings()
    log: LogSettings
    functions: Mapping[str, FunctionSettings]
    stack: str | None = None
    template: Template
    proxy: ProxySettings | None = None
    notices: tuple[str, ...] = ()
