"""``[provider]``: somebody else who runs functions, and how it is spoken to."""

from __future__ import annotations

from faasd_async.settings.model import ProviderSettings
from faasd_async.settings.quantities import parse_duration
from faasd_async.settings.table import Table
from faasd_async.settings.values import boolean, http_url, integer, path_below


def read_provider(table: Table, base: str) -> ProviderSettings:
    """``[provider]``."""
    default = ProviderSettings()
    settings = ProviderSettings(
        url=table.take("url", http_url, default.url),
        logs_url=table.take("logs_url", http_url, default.logs_url),
        secret_mount_path=table.take(
            "secret_mount_path", path_below(base), default.secret_mount_path
        ),
        refresh_seconds=table.take("refresh", parse_duration, default.refresh_seconds),
        timeout_seconds=table.take("timeout", parse_duration, default.timeout_seconds),
        max_inflight=table.take("max_inflight", integer(1), default.max_inflight),
        scale_from_zero=table.take("scale_from_zero", boolean, default.scale_from_zero),
    )
    table.finish()
    return settings
