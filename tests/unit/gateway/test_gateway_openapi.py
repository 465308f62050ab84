"""The document and the routes, held against each other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from front_door import FrontDoor
from klein import Klein

from faasd_async.gateway.application import Gateway
from faasd_async.gateway.calls.application import CallsGateway
from faasd_async.gateway.figures import FiguresGateway
from faasd_async.gateway.openapi.document import document
from faasd_async.gateway.proxy import ALLOWED
from faasd_async.gateway.system.application import SystemGateway

#: What stands behind a branch, and where.
BRANCHES = {"/call/": CallsGateway.app, "/system/": SystemGateway.app}

#: The two doors are one route each, whatever follows; the doors themselves know the methods.
DOORS = {
    "/function/": {("/function/{}", method.decode().lower()) for method in ALLOWED},
    "/async-function/": {("/async-function/{}", "post"), ("/async-function/{}", "delete")},
}

#: For people, and no part of the interface.
PAGE = "/ui"

PATHS: dict[str, dict[str, Any]] = document()["paths"]  # type: ignore[assignment]


def routes(app: Klein, under: str = "") -> Iterator[tuple[str, str]]:
    """Path and method of every route, ``{}`` for whatever a path holds."""
    for rule in app.url_map.iter_rules():
        if rule.rule in DOORS:
            yield from DOORS[rule.rule]
        elif rule.rule in BRANCHES:
            yield from routes(BRANCHES[rule.rule], rule.rule.rstrip("/"))
        elif "__rest__" not in rule.rule and rule.rule != PAGE:
            assert rule.methods is not None, f"{rule.rule} takes any method"
            for path in spelt_out(under + rule.rule):
                for method in rule.methods:
                    yield path, method.lower()


def spelt_out(rule: str) -> Iterator[str]:
    """Every path of a rule that chooses between words."""
    choice = re.search(r"<any\(([^)]*)\):\w+>", rule)
    if choice is None:
        yield re.sub(r"<[^>]+>", "{}", rule)
        return
    for word in choice[1].split(","):
        yield from spelt_out(rule.replace(choice[0], word.strip()))


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in PATHS.items():
        for method, operation in item.items():
            yield path, method, operation


def test_every_route_is_documented_and_every_documented_route_is_there() -> None:
    """Paths and methods."""
    documented = {(re.sub(r"{\w+}", "{}", path), method) for path, method, _ in operations()}
    assert documented == set(routes(Gateway.app))


def test_what_stands_on_another_port_is_mentioned() -> None:
    """The figures have a listener of their own."""
    description = document()["info"]["description"]  # type: ignore[index]
    for rule in FiguresGateway.app.url_map.iter_rules():
        assert f"GET {rule.rule}" in description


def test_it_is_served(door: FrontDoor) -> None:
    """As JSON, the same each time, and without a body to HEAD."""
    answers = [door.ask("GET", "/openapi.json").answer() for _ in range(2)]
    assert [each.status for each in answers] == [200, 200]
    assert answers[0].header("Content-Type") == b"application/json"
    assert json.loads(answers[0].body) == document()
    assert answers[0].body == answers[1].body
    head = door.ask("HEAD", "/openapi.json").answer(bodiless=True)
    assert (head.status, head.body) == (200, b"")


def test_every_reference_leads_somewhere() -> None:
    """To a part of this document."""
    whole = document()
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(whole)):
        part: Any = whole
        for step in reference.split("/"):
            part = part[unquote(step)]


def test_every_operation_has_its_own_name() -> None:
    """For the clients that are made of it; each link leads to one."""
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
    for identifier in re.findall(r'"links":.*?"operationId": "(\w+)"', json.dumps(PATHS)):
        assert identifier in names


def test_what_a_path_holds_is_described_with_an_example() -> None:
    """Each of its parameters, once."""
    for path, _, operation in operations():
        described = [each for each in operation.get("parameters", ()) if each.get("in") == "path"]
        assert [each["name"] for each in described] == re.findall(r"{(\w+)}", path)
        assert all(each["example"] for each in described)


def test_it_costs_nothing_until_it_is_asked_for() -> None:
    """The daemon's parts, all imported, have not loaded it."""
    asked = "import sys, faasd_async.tap; sys.exit(any('openapi' in name for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
