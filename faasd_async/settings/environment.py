"""OpenFaaS' own environment variables, which count over the file.

A compose block of its gateway or queue-worker can so be moved as it is. A variable that has no
effect here is named in a notice.
"""

import os
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from faasd_async.settings.mistakes import Mistakes
from faasd_async.settings.model import (
    Backend,
    FunctionSettings,
    GatewaySettings,
    NatsSettings,
    ProviderSettings,
    ProxySettings,
    StreamingSettings,
    WorkerSettings,
)
from faasd_async.settings.outward import no_proxy, proxy
from faasd_async.settings.quantities import parse_duration
from faasd_async.settings.table import Table
from faasd_async.settings.values import (
    boolean_text,
    channel,
    client_id,
    host,
    http_url,
    integer_text,
    name,
    path_below,
)

WITHOUT_EFFECT = (
    "write_timeout",
    "max_idle_conns",
    "max_idle_conns_per_host",
    "direct_functions",
    "direct_functions_suffix",
    "probe_functions",
    "auth_proxy_url",
    "auth_proxy_pass_body",
    "faas_prometheus_host",
    "faas_prometheus_port",
    "faas_gateway_address",
    "faas_gateway_port",
    "faas_function_suffix",
    "gateway_invoke",
    "gateway_url",
    "log_encoding",
    "print_request_body",
    "print_response_body",
    "nats_host",
    "nats_port",
    "nats_jetstream",
    "nats_stream",
    "nats_stream_replicas",
    "nats_durable",
)
RETRIES = ("max_retry_attempts", "initial_retry_wait", "max_retry_wait", "retry_http_codes")
NATS_ADDRESS = ("faas_nats_address", "faas_nats_port")
NATS_RECONNECTION = ("faas_max_reconnect", "faas_reconnect_delay")
NATS_STREAMING = (
    "faas_nats_cluster_name",
    "faas_nats_channel",
    "faas_nats_queue_group",
    *NATS_RECONNECTION,
)


class OpenFaasNames:
    """The variables of one environment, each laid over the settings it belongs to.

    As in OpenFaaS, an empty variable counts as absent.

    :ivar variables: all of the environment that count.
    """

    def __init__(self, environment: Mapping[str, str], mistakes: Mistakes) -> None:
        self.variables = {key: value for key, value in environment.items() if value}
        self._table = Table("environment", self.variables, mistakes)
        self._idle_nats = self._present((*NATS_ADDRESS, *NATS_STREAMING))
        self._idle_nats_reason = "they concern an external NATS server, and none is used"

    def _present(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name in self._table]

    def over_gateway(self, below: GatewaySettings) -> GatewaySettings:
        """Lay ``read_timeout``, ``function_namespace``, ``basic_auth`` and ``secret_mount_path``
        over ``[gateway]``."""
        return replace(
            below,
            read_timeout_seconds=self._table.take(
                "read_timeout", parse_duration, below.read_timeout_seconds
            ),
            namespace=self._table.take("function_namespace", name, below.namespace),
            basic_auth=self._table.take("basic_auth", boolean_text, below.basic_auth),
            secret_mount_path=self._table.take(
                "secret_mount_path", path_below(os.getcwd()), below.secret_mount_path
            ),
        )

    def over_provider(self, below: ProviderSettings) -> ProviderSettings:
        """Lay ``functions_provider_url``, ``logs_provider_url`` and ``scale_from_zero`` over
        ``[provider]``."""
        take = self._table.take
        return replace(
            below,
            url=take("functions_provider_url", http_url, below.url),
            logs_url=take("logs_provider_url", http_url, below.logs_url),
            scale_from_zero=take("scale_from_zero", boolean_text, below.scale_from_zero),
        )

    def proxy(self) -> ProxySettings | None:
        """What ``HTTPS_PROXY`` and ``NO_PROXY`` say, or their twins in lower case.

        They are nobody's in particular: every program that gets out through a proxy reads them.
        """
        found: ProxySettings | None = None
        for each in ("https_proxy", "HTTPS_PROXY"):
            found = self._table.take(each, proxy, found)
        if found is None:
            return None
        exceptions: tuple[str, ...] = ()
        for each in ("no_proxy", "NO_PROXY"):
            exceptions = self._table.take(each, no_proxy, exceptions)
        return replace(found, except_for=exceptions)

    def over_worker(self, below: WorkerSettings) -> WorkerSettings:
        """Lay ``max_inflight``, ``write_debug`` and ``faas_print_body`` over ``[worker]``."""
        verbose = [
            self._table.take(name, boolean_text, False)
            for name in self._present(("write_debug", "faas_print_body"))
        ]
        return replace(
            below,
            max_inflight=self._table.take("max_inflight", integer_text(1), below.max_inflight),
            write_debug=any(verbose) if verbose else below.write_debug,
        )

    def over_defaults(self, below: FunctionSettings) -> FunctionSettings:
        """Lay ``upstream_timeout`` and ``ack_wait`` over ``[defaults]``.

        OpenFaaS' ``ack_wait`` is how long a call may take. The lease of the same name here is
        extended while a call runs and is left alone.
        """
        limit = below.async_timeout_seconds
        return replace(
            below,
            timeout_seconds=self._table.take(
                "upstream_timeout", parse_duration, below.timeout_seconds
            ),
            async_timeout_seconds=max(limit, self._table.take("ack_wait", parse_duration, limit)),
        )

    def over_nats(self, below: NatsSettings, backend: Backend) -> NatsSettings:
        """Lay ``faas_nats_address`` and ``faas_nats_port`` over the URLs of an external server, or
        of NATS Streaming, and those of its names over ``[nats.streaming]``."""
        if backend == "nats-streaming":
            return replace(below, streaming=self._over_streaming(below.streaming))
        if below.embedded or backend != "jetstream":
            return below
        self._idle_nats = self._present(NATS_STREAMING)
        self._idle_nats_reason = 'they concern NATS Streaming, and [queue] backend is "jetstream"'
        return replace(below, urls=self._nats_urls(below.urls))

    def _over_streaming(self, below: StreamingSettings) -> StreamingSettings:
        self._idle_nats = self._present(NATS_RECONNECTION)
        self._idle_nats_reason = "the daemon reconnects at once, and for as long as it takes"
        take = self._table.take
        return replace(
            below,
            urls=self._nats_urls(below.urls),
            cluster_id=take("faas_nats_cluster_name", client_id, below.cluster_id),
            channel=take("faas_nats_channel", channel, below.channel),
            queue_group=take("faas_nats_queue_group", name, below.queue_group),
        )

    def _nats_urls(self, below: tuple[str, ...]) -> tuple[str, ...]:
        if not self._present(NATS_ADDRESS):
            return below
        address = self._table.take("faas_nats_address", host, "nats")
        port = self._table.take("faas_nats_port", integer_text(1, 65535), 4222)
        return (f"nats://{address}:{port}",)

    def notices(self) -> list[str]:
        """What the operator should know; call it when everything has been laid over."""
        idle = (
            ("this version has no use for them", self._present(WITHOUT_EFFECT)),
            ("[defaults] retry says how calls are tried again", self._present(RETRIES)),
            (self._idle_nats_reason, self._idle_nats),
        )
        return [
            f"environment variables are ignored, for {reason}: {', '.join(names)}"
            for reason, names in idle
            if names
        ]
