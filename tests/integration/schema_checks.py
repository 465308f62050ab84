"""What schemathesis is told of this daemon besides its document: loaded by its command line.

``FAAS_ENDED`` names a call that has ended, ``FAAS_DEAD`` dead letters, separated by commas: hardly
any id that is made up would be one. A part of all tries finds its way to what is there.
"""

from __future__ import annotations

import os
from typing import Any

import schemathesis
from schemathesis.specs.openapi.checks import content_type_conformance, unsupported_method

ENDED = os.environ.get("FAAS_ENDED", "unknown")
DEAD = os.environ.get("FAAS_DEAD", "unknown").split(",")

#: By the beginning of a path and the name of a parameter, what is there.
THERE = {
    ("namespace", "name"): "openfaas-fn",
    ("scale-function", "name"): "figlet",
    ("function", "name"): "figlet",
    ("async-function", "name"): "figlet",
    ("call", "call_id"): ENDED,
    ("calls", "call_id"): ENDED,
    ("queues", "name"): "default",
    ("schedules", "name"): "report",
}


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> Any:
    """Put something that is there in place of something that was made up."""
    for name, made_up in (path_parameters or {}).items():
        length = len(str(made_up))
        if length % 2:
            path_parameters[name] = _there(context.operation, name, length // 2)  # type: ignore[index]
    return path_parameters


def _there(operation: Any, name: str, number: int) -> str:
    _, first, *rest = operation.path.split("/")
    room = rest[0] if first == "system" else first
    if room == "dead-letters":
        # What is thrown away must not be missing elsewhere.
        half = len(DEAD) // 2
        which = DEAD[half:] if operation.method == "delete" else DEAD[:half] or DEAD
        return which[number % len(which)]
    if room == "async-function" and operation.method == "delete":
        return ENDED
    return THERE[room, name]


@schemathesis.check
def documented_content_type(context: Any, response: Any, case: Any) -> bool | None:
    """What has a body has a type, and one that is documented; what has none needs no type."""
    if not response.content and "content-type" not in response.headers:
        return None
    return content_type_conformance(context, response, case)


@schemathesis.check
def undocumented_method(context: Any, response: Any, case: Any) -> bool | None:
    """Is refused with 405; a function may be asked anything, by methods of its own too."""
    if case.operation.path.startswith("/function/"):
        return None
    return unsupported_method(context, response, case)
