"""From what another provider says of its functions to their settings.

A function goes the way of those in the settings file: what is said of it becomes a table as it
would stand there, and the same code reads that, annotations and ``[defaults]`` included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from faasd_async.errors import ConfigurationError
from faasd_async.settings import FunctionSettings, Settings
from faasd_async.settings.functions import read_functions
from faasd_async.settings.mistakes import Mistakes, Refusal
from faasd_async.settings.quantities import parse_duration
from faasd_async.settings.table import Table
from faasd_async.settings.values import integer_text

#: So many functions of it count.
MOST_FUNCTIONS = 1000

#: One function, as the provider describes it.
Sheet = dict[str, Any]

#: What each namespace holds.
Sheets = Mapping[str, Sequence[Sheet]]

_WHERE = "the provider"

#: of-watchdog's variables that concern whoever calls it, and what they say in the file.
_VARIABLES = (
    ("exec_timeout", parse_duration, ("timeout", "async_timeout")),
    ("max_inflight", integer_text(1), ("max_inflight",)),
)


class Listed(msgspec.Struct, rename="camel"):
    """What counts of a sheet; Go leaves out what is zero or empty."""

    name: str
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    env_vars: dict[str, str] | None = None
    replicas: int = 0


def name_here(name: str, namespace: str, own_namespace: str) -> str:
    """What a function is called here: those of other namespaces carry them along."""
    return name if namespace == own_namespace else f"{name}.{namespace}"


class ListReader:
    """Reads lists under the settings of the daemon."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def read(self, sheets: Sheets) -> tuple[dict[str, FunctionSettings], list[str]]:
        """
        :return: the functions by their names here, and lines for the operator.
        """
        functions: dict[str, FunctionSettings] = {}
        notices: list[str] = []
        for namespace, sheet in _each(sheets):
            if len(functions) >= MOST_FUNCTIONS:
                notices.append(f"{_WHERE} has more than {MOST_FUNCTIONS} functions: these count")
                break
            try:
                listed = msgspec.convert(sheet, Listed)
                function = self._read(listed, namespace, notices)
            except msgspec.ValidationError as reason:
                notices.append(f"{_WHERE} has a function that cannot be read: {reason}")
            except ConfigurationError as reason:
                why = "; ".join(str(reason).splitlines())
                notices.append(f"{_WHERE} has a function that cannot be used: {why}")
            else:
                functions[function.name] = function
        return functions, notices

    def _read(self, listed: Listed, namespace: str, notices: list[str]) -> FunctionSettings:
        settings, provider = self._settings, self._settings.provider
        assert provider.url is not None
        name = name_here(listed.name, namespace, settings.gateway.namespace)
        table: dict[str, object] = {
            "url": f"{provider.url.rstrip('/')}/function/{name}",
            "labels": listed.labels or {},
            "annotations": listed.annotations or {},
            "max_inflight": provider.max_inflight,
            **_of_variables(name, listed.env_vars or {}, notices),
        }
        mistakes = Mistakes()
        functions = read_functions(
            Table(_WHERE, {name: table}, mistakes, "functions"),
            settings.template,
            base="/",
            namespace=settings.gateway.namespace,
            max_body_bytes=settings.gateway.max_body_bytes,
            notices=notices,
        )
        mistakes.raise_if_any()
        replicas = listed.replicas if provider.scale_from_zero else max(listed.replicas, 1)
        return replace(functions[name], is_provided=True, replicas=replicas)


def _each(sheets: Sheets) -> Iterator[tuple[str, Sheet]]:
    for namespace, each in sheets.items():
        for sheet in each:
            yield namespace, sheet


def _of_variables(name: str, variables: Mapping[str, str], notices: list[str]) -> dict[str, object]:
    said: dict[str, object] = {}
    for variable, read, keys in _VARIABLES:
        # 0 stands for no limit.
        if variables.get(variable, "0") in ("0", "0s"):
            continue
        try:
            said |= dict.fromkeys(keys, read(variables[variable]))
        except Refusal as reason:
            notices.append(f"{_WHERE} functions.{name} {variable} is ignored: {reason}")
    return said
