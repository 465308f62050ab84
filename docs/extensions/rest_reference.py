"""``.. rest-reference::`` writes down the routes, from what ``/openapi.json`` serves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from written import definition, literal, marked, title

from faasd_async.gateway.openapi.document import document

_METHODS = ("get", "head", "post", "put", "patch", "delete", "options")


class RestReference(SphinxDirective):
    """The routes by what they are about, and what is said in JSON."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(reference(document()), allow_section_headings=True)


def reference(told: Mapping[str, Any]) -> str:
    """The routes of an OpenAPI document, reStructuredText."""
    common = _common(told)
    parts = [marked(told["info"]["description"].strip()), "Any route may answer:", _answers(common)]
    for tag in told["tags"]:
        parts += [title(tag["name"].capitalize(), "="), marked(tag["description"])]
        for path, methods in told["paths"].items():
            for verbs, operation in _operations(methods):
                if tag["name"] in operation["tags"]:
                    parts += _route(told, common, path, verbs, operation)
    parts.append(title("What is said in JSON", "="))
    for name, schema in told["components"]["schemas"].items():
        parts += [title(name, "-"), marked(schema.get("description", "")), _fields(schema)]
    return "\n\n".join(part for part in parts if part)


def _common(told: Mapping[str, Any]) -> dict[str, Any]:
    """The answers that every route refers to, by status."""
    everywhere: dict[str, Any] = {}
    for methods in told["paths"].values():
        for _, operation in _operations(methods):
            for status, answer in operation["responses"].items():
                if "$ref" in answer:
                    everywhere[status] = _resolved(told, answer)
    return everywhere


def _operations(methods: Mapping[str, Any]) -> list[tuple[list[str], Mapping[str, Any]]]:
    """Of a path; methods that do the same are told of together."""
    found: dict[str, tuple[list[str], Mapping[str, Any]]] = {}
    for method in _METHODS:
        if method in methods:
            operation = methods[method]
            same = found.setdefault(f"{operation['summary']} {operation['tags']}", ([], operation))
            same[0].append(method.upper())
    return list(found.values())


def _route(
    told: Mapping[str, Any],
    common: Mapping[str, Any],
    path: str,
    verbs: list[str],
    operation: Mapping[str, Any],
) -> list[str]:
    parts = [title(f"{', '.join(verbs)} {path}", "-"), f"{marked(operation['summary'])}."]
    if "description" in operation:
        parts.append(marked(operation["description"]))
    for each in operation.get("parameters", ()):
        parameter = _resolved(told, each)
        parts.append(definition(literal(parameter["name"]), _parameter(parameter)))
    if "requestBody" in operation:
        body = operation["requestBody"]
        about = marked(body.get("description", "")), _contents(body["content"])
        parts.append(definition("the body", " ".join(filter(None, about))))
    own = {
        status: answer
        for status, answer in operation["responses"].items()
        if not ("$ref" in answer and status in common)
    }
    return [*parts, _answers(own)]


def _parameter(parameter: Mapping[str, Any]) -> str:
    where = {"path": "in the path", "query": "in the query", "header": "a header field"}
    example = parameter.get("example")
    shown = f" For example {literal(str(example))}." if example not in (None, "") else ""
    return f"*{where[parameter['in']]}*. {marked(parameter['description'])}{shown}"


def _answers(answers: Mapping[str, Any]) -> str:
    lines = [".. list-table::", "   :widths: 12 88", "   :align: left", ""]
    for status, answer in answers.items():
        about = [marked(answer["description"]), _contents(answer.get("content", {}))]
        fields = ", ".join(map(literal, answer.get("headers", {})))
        about += [f"Fields: {fields}." if fields else ""]
        lines += [f"   * - {status}", f"     - {' '.join(filter(None, about))}"]
    return "\n".join(lines)


def _contents(content: Mapping[str, Any]) -> str:
    """The kinds of a body that say something."""
    schemas = [_kind(kind["schema"]) for kind in content.values() if "schema" in kind]
    told = [each for each in dict.fromkeys(schemas) if each not in ("string", "object")]
    return f"({' or '.join(told)})" if told else ""


def _fields(schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    return "\n".join(
        definition(literal(name), _kind(each) + ("" if name in required else ", if there is one"))
        for name, each in schema.get("properties", {}).items()
    )


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"`{name}`_"
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(_kind(each) for each in schema.get("anyOf") or schema["oneOf"])
    if "enum" in schema:
        return _one_of(schema["enum"])
    if "const" in schema:
        return literal(str(schema["const"]))
    if schema.get("type") == "array":
        return f"a list of: {_kind(schema.get('items', {}))}"
    if schema.get("type") == "object" and "properties" in schema:
        return f"an object of {', '.join(map(literal, schema['properties']))}"
    return str(schema.get("format") or schema.get("type") or "anything")


def _one_of(values: Iterable[object]) -> str:
    return " or ".join(literal(str(value)) for value in values)


def _resolved(told: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a part refers to, or the part itself."""
    for step in part.get("$ref", "").split("/")[1:]:
        told = told[step]
    return told if "$ref" in part else part


def setup(app: Sphinx) -> dict[str, object]:
    app.add_directive("rest-reference", RestReference)
    return {"parallel_read_safe": True}
