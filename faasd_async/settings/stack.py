"""``[functions] stack``: the functions of a stack.yml beside those of the settings' own file."""

from __future__ import annotations

from collections.abc import Mapping

from faasd_async.errors import ConfigurationError
from faasd_async.settings.mistakes import Mistakes, shown
from faasd_async.settings.openfaas.stack import read_stack
from faasd_async.settings.openfaas.table import table_of
from faasd_async.settings.table import Table


def read_stack_tables(
    path: str,
    variables: Mapping[str, str],
    mistakes: Mistakes,
    *,
    taken: Table,
    namespace: str,
) -> tuple[Table, tuple[str, ...]]:
    """
    :param variables: those of the environment.
    :param taken: the file's own functions, of which none may have the same name.
    :param namespace: the gateway's.
    :return: its functions, each as it would stand in the settings' file, and what the operator
        should know.
    """
    tables: dict[str, dict[str, object]] = {}
    functions = Table(path, tables, mistakes, "functions")
    try:
        stack = read_stack(path, variables, mistakes)
    except ConfigurationError as reason:
        taken.mistake("stack", str(reason))
        return functions, ()
    for each in stack.deployments:
        own = Table(path, {}, mistakes, f"functions.{each.service}")
        if each.service in taken:
            own.mistake_here(f"found in {taken.path}, too; allowed: in one of them")
            continue
        if each.namespace not in ("", namespace):
            own.mistake("namespace", f"found {shown(each.namespace)}; allowed: {shown(namespace)}")
        try:
            tables[each.service] = table_of(each)
        except ConfigurationError as reason:
            own.mistake_here(str(reason))
    return functions, stack.notices
