"""The settings: a TOML file and the environment in, one frozen and checked object out."""

from faasd_async.settings.auth import AuthSettings
from faasd_async.settings.layers import load
from faasd_async.settings.model import (
    CallbackSettings,
    CommandSettings,
    ContainerSettings,
    ContainersSettings,
    FunctionSettings,
    GatewaySettings,
    LimitSettings,
    LogSettings,
    NatsSettings,
    ProviderSettings,
    ProxySettings,
    QueueSettings,
    ResultSettings,
    RetrySettings,
    ScheduleSettings,
    Settings,
    StreamingSettings,
    Template,
    VerifySettings,
    WorkerSettings,
)
from faasd_async.settings.secrets import Secret

__all__ = [
    "AuthSettings",
    "CallbackSettings",
    "CommandSettings",
    "ContainerSettings",
    "ContainersSettings",
    "FunctionSettings",
    "GatewaySettings",
    "LimitSettings",
    "LogSettings",
    "NatsSettings",
    "ProviderSettings",
    "ProxySettings",
    "QueueSettings",
    "ResultSettings",
    "RetrySettings",
    "ScheduleSettings",
    "Secret",
    "Settings",
    "StreamingSettings",
    "Template",
    "VerifySettings",
    "WorkerSettings",
    "load",
]
