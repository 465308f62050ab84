"""What the parts of the document are made of."""

from __future__ import annotations

from collections.abc import Mapping

Part = dict[str, object]

#: What any request may be told, whatever route it is for: status, name and meaning.
_EVERYWHERE = (
    ("400", "Malformed", "The request is malformed, or something in it is not understood."),
    ("405", "NotAllowed", "The path knows no such method; see `Allow`."),
    ("413", "BodyTooLarge", "The body is too large."),
    ("414", "TargetTooLong", "The request's target is too long."),
    ("431", "FieldTooLong", "A header field is too long."),
)

#: What the operator's routes say besides.
OPERATORS_ALONE = {
    "401": "There is a password, and whoever asks did not say it.",
    "403": "Whoever asks is not sure to be an operator at this very machine.",
}

#: What a route says that asks the queue.
ASKS_QUEUE = {"503": "The queue does not answer just now; see `Retry-After`."}

#: And one that orders something of it.
ORDERS_QUEUE = ASKS_QUEUE | {"504": "The queue did not answer in time; it may have been done."}


def operation(
    identifier: str,
    tag: str,
    summary: str,
    answers: Mapping[str, Part],
    refusals: Mapping[str, str],
    *,
    description: str = "",
    parameters: tuple[Part, ...] = (),
    body: Part | None = None,
) -> Part:
    """One method of a path.

    :param answers: by status, or by class of statuses, such as ``2XX``.
    :param refusals: by status, why; each is answered with a line of text.
    """
    told: dict[str, Part] = {
        status: {"$ref": f"#/components/responses/{name}"} for status, name, _ in _EVERYWHERE
    }
    told |= {status: refused(why) for status, why in refusals.items()}
    part: Part = {"operationId": identifier, "tags": [tag], "summary": summary}
    if description:
        part["description"] = description
    if parameters:
        part["parameters"] = list(parameters)
    if body is not None:
        part["requestBody"] = body
    return part | {"responses": dict(sorted((told | dict(answers)).items()))}


def without_body(get: Part) -> Part:
    """``HEAD``, where there is a ``GET``."""
    answers = get["responses"]
    assert isinstance(answers, dict)
    bare = {status: _described(answer) for status, answer in answers.items()}
    about = {"operationId": f"{get['operationId']}Head", "summary": f"{get['summary']}: the head"}
    return get | about | {"responses": bare}


def _described(answer: Part) -> Part:
    return {name: value for name, value in answer.items() if name != "content"}


def refused(why: str) -> Part:
    """The answer is no, and a line says why."""
    return _answer(why, {"text/plain": {"schema": {"type": "string"}}})


def shared_answers() -> Part:
    """Those that every operation refers to."""
    return {name: refused(why) for _, name, why in _EVERYWHERE}


def line(description: str, example: str) -> Part:
    """An answer of one line."""
    return _answer(description, {"text/plain": {"schema": {"type": "string"}, "example": example}})


def sheet(description: str, schema: str, example: object, **more: object) -> Part:
    """An answer in JSON.

    :param schema: the name of one of the document's.
    """
    content = {"application/json": {"schema": schema_of(schema), "example": example}}
    return _answer(description, content) | more


def sheet_or_line(description: str, schema: str) -> Part:
    """An answer in JSON, or of one line that says why there is none."""
    return _answer(
        description,
        {
            "application/json": {"schema": schema_of(schema)},
            "text/plain": {"schema": {"type": "string"}},
        },
    )


def anything(description: str, **more: object) -> Part:
    """An answer that a function gave: nobody knows of what kind."""
    return _answer(description, {"*/*": {}}) | more


def empty(description: str, **more: object) -> Part:
    """An answer without a body."""
    return {"description": description} | more


def _answer(description: str, content: Mapping[str, object]) -> Part:
    return {"description": description, "content": content}


def headers(**fields: str) -> Part:
    """Header fields of an answer, with ``_`` for ``-``: what each says."""
    return {
        name.replace("_", "-"): {"description": said, "schema": {"type": "string"}}
        for name, said in fields.items()
    }


def schema_of(name: str) -> Part:
    return {"$ref": f"#/components/schemas/{name}"}


def shared(name: str) -> Part:
    """One of the document's own parameters."""
    return {"$ref": f"#/components/parameters/{name}"}


def in_path(name: str, description: str, example: str, **schema: object) -> Part:
    kind = {"type": "string", "minLength": 1} | schema
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": kind,
        "example": example,
    }


def in_query(name: str, description: str, schema: Part, example: object) -> Part:
    return _optional(name, "query", description, schema, example)


def in_header(name: str, description: str, example: str, **schema: object) -> Part:
    return _optional(name, "header", description, {"type": "string"} | schema, example)


def _optional(name: str, where: str, description: str, schema: Part, example: object) -> Part:
    return {
        "name": name,
        "in": where,
        "description": description,
        "schema": schema,
        "example": example,
    }


def one_of(*values: str) -> Part:
    return {"type": "string", "enum": list(values)}


def maybe(schema: Part) -> Part:
    """Or ``null``."""
    return {"anyOf": [schema, {"type": "null"}]}


def record(description: str, required: Mapping[str, Part], **optional: Part) -> Part:
    """An object that holds nothing else."""
    return {
        "type": "object",
        "description": description,
        "properties": dict(required) | optional,
        "required": list(required),
        "additionalProperties": False,
    }


def list_of(schema: Part) -> Part:
    return {"type": "array", "items": schema}


STRING: Part = {"type": "string"}
INTEGER: Part = {"type": "integer"}
NUMBER: Part = {"type": "number"}
BOOLEAN: Part = {"type": "boolean"}
#: As Go writes it, or seconds.
DURATION: Part = {
    "type": "string",
    "pattern": r"^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$|^[0-9]+(\.[0-9]+)?$",
}
MOMENT: Part = {"type": "string", "format": "date-time"}
LINK: Part = {"type": "string", "format": "uri-reference"}
