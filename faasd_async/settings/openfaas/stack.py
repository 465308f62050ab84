"""OpenFaaS' stack.yml: functions, as its command line deploys them.

What concerns the building of images (``lang``, ``handler``, ``build_args`` and the like) is left to
whoever builds them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from faasd_async.errors import ConfigurationError
from faasd_async.settings.mistakes import Mistakes, Refusal
from faasd_async.settings.model import NOTHING
from faasd_async.settings.openfaas.deployment import FunctionDeployment, Resources
from faasd_async.settings.openfaas.substitution import substitute
from faasd_async.settings.table import Table
from faasd_async.settings.values import (
    Reader,
    any_text,
    boolean_text,
    list_of,
    path_below,
    table_of_strings,
    text,
    variables,
)

_OF_BUILDING = (
    *("lang", "handler", "skip_build", "build_options", "build_args", "build_secrets"),
    *("platforms", "publish"),
)


#: Of texts.
_NONE: tuple[str, ...] = ()


class Stack(NamedTuple):
    """What a file says.

    :ivar gateway: where its functions belong, as a URL; empty: it does not say.
    :ivar notices: a line for each thing in it that has no effect here.
    """

    deployments: tuple[FunctionDeployment, ...]
    gateway: str
    notices: tuple[str, ...]


def read_stack(path: str, environment: Mapping[str, str], mistakes: Mistakes) -> Stack:
    """Read the file at ``path``.

    :param environment: the variables that it may name.
    :param mistakes: takes a line for each, which names file and key.
    :raises ConfigurationError: it cannot be read at all.
    """
    document = _document(path, environment)
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path}: found no functions; allowed: a table of them")
    # Keys that begin so hold what aliases stand for.
    given = {key: each for key, each in document.items() if not key.startswith("x-")}
    root = Table(path, _without_nothing(given, 2), mistakes)
    for key in ("version", "configuration"):
        root.take(key, _anything, None)
    provider = root.inline("provider")
    provider.take("name", _anything, None)
    gateway = provider.take("gateway", text, "")
    functions, notices = root.section("functions"), list[str]()
    found = tuple(_function(functions.section(name), path, name, notices) for name in functions)
    if not found:
        root.mistake("functions", "found none; allowed: at least one")
    provider.finish()
    root.finish()
    return Stack(found, gateway, tuple(notices))


def _document(path: str, environment: Mapping[str, str] | None) -> object:
    """
    :param environment: ``None``: what looks like a variable stays what it is.
    """
    # Imported when first it is needed: most daemons read no YAML.
    from faasd_async.settings.openfaas.yaml_text import LONGEST_BYTES, read_yaml

    try:
        with open(path, "rb") as file:
            content = file.read(LONGEST_BYTES + 1)
        if len(content) > LONGEST_BYTES:
            raise ConfigurationError(f"{path}: longer than {LONGEST_BYTES // 1024} KiB")
        given = content.decode()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: not UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    if environment is not None:
        try:
            given = substitute(given, environment)
        except Refusal as refusal:
            raise ConfigurationError(f"{path}: {refusal}") from None
    return read_yaml(given, path)


def _function(table: Table, path: str, name: str, notices: list[str]) -> FunctionDeployment:
    for key in _OF_BUILDING:
        table.take(key, _anything, None)
    constraints = table.take("constraints", list_of(text), _NONE)
    if constraints:
        notices.append(f"{table.path} constraints are ignored: there is one machine to run on")
    own = table.take("environment", _variables, NOTHING)
    beside = path_below(os.path.dirname(os.path.abspath(path)))
    files = table.take("environment_file", _one_or_more(beside), _NONE)
    deployment = FunctionDeployment(
        service=name,
        image=table.take("image", text, ""),
        namespace=table.take("namespace", any_text, ""),
        env_process=table.take("fprocess", any_text, ""),
        env_vars={**own, **_of_files(table, files)} or None,
        constraints=list(constraints) or None,
        secrets=list(table.take("secrets", list_of(text), _NONE)) or None,
        labels=dict(table.take("labels", _strings, NOTHING)) or None,
        annotations=dict(table.take("annotations", _strings, NOTHING)) or None,
        limits=_resources(table, "limits"),
        requests=_resources(table, "requests"),
        read_only_root_filesystem=table.take("readonly_root_filesystem", boolean_text, False),
    )
    table.finish()
    return deployment


def _of_files(table: Table, paths: tuple[str, ...]) -> dict[str, str]:
    """The variables of all environment files; those of a later one count over an earlier one's,
    and all of them over the function's own, as with OpenFaaS."""
    found: dict[str, str] = {}
    for path in paths:
        try:
            document = _document(path, None)
            given = document.get("environment") if isinstance(document, dict) else None
            found.update(_variables(given))
        except Refusal as refusal:
            table.mistake("environment_file", f"{path}: environment: {refusal}")
        except ConfigurationError as reason:
            table.mistake("environment_file", str(reason))
    return found


def _resources(table: Table, key: str) -> Resources | None:
    if key not in table:
        return None
    own = table.inline(key)
    found = Resources(own.take("memory", text, ""), own.take("cpu", text, ""))
    own.finish()
    return found


def _strings(value: object) -> Mapping[str, str]:
    """Read a table of text, where nothing is the empty text."""
    if isinstance(value, dict):
        value = {key: "" if each is None else each for key, each in value.items()}
    return table_of_strings(value)


def _variables(value: object) -> Mapping[str, str]:
    """Read a table of environment variables."""
    return variables(dict(_strings(value)))


def _anything(value: object) -> None:
    """Read what is somebody else's."""


def _one_or_more(read: Reader[str]) -> Reader[tuple[str, ...]]:
    """Read a list, or its one item."""

    def read_either(value: object) -> tuple[str, ...]:
        return list_of(read)([value] if isinstance(value, str) else value)

    return read_either


def _without_nothing(value: Any, depth: int) -> Any:
    """Tables without the keys at which nothing stands, as in ``secrets:`` alone on a line."""
    if depth < 0 or not isinstance(value, dict):
        return value
    return {
        key: _without_nothing(each, depth - 1) for key, each in value.items() if each is not None
    }
