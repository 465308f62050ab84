"""The settings: a TOML file and the environment in, one frozen and checked object out."""

from faasd_async.settings.layers import load
from faasd_async.settings.model import (
    CallbackSettings,
    CommandSettings,
    ContainerSettings,
    ContainersSettings,
    FunctionSettings,
    GatewaySettings,
    LogSettings,
    NatsSettings,
    QueueSettings,
    ResultSettings,
    RetrySettings,
    ScheduleSettings,
    Settings,
    StreamingSettings,
    Template,
    WorkerSettings,
)

__all__ = [
    "CallbackSettings",
    "CommandSettings",
    "ContainerSettings",
    "ContainersSettings",
    "FunctionSettings",
    "GatewaySettings",
    "LogSettings",
    "NatsSettings",
    "QueueSettings",
    "ResultSettings",
    "RetrySettings",
    "ScheduleSettings",
    "Settings",
    "StreamingSettings",
    "Template",
    "WorkerSettings",
    "load",
]
