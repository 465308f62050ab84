"""What OpenFaaS' clients order: functions, secrets and logs."""

from __future__ import annotations

from faasd_async.gateway.openapi.parts import (
    BOOLEAN,
    INTEGER,
    OPERATORS_ALONE,
    STRING,
    Part,
    empty,
    in_path,
    in_query,
    operation,
)

TAG: Part = {"name": "provider", "description": "As OpenFaaS has it, for its own clients."}

_FUNCTION = in_path("name", "A function.", "figlet")
_NAMESPACE = in_query("namespace", "The one that there is.", STRING, "openfaas-fn")
_NOT_THERE = {"404": "There is no such function, secret or namespace."}
_CHANGES = (
    OPERATORS_ALONE
    | _NOT_THERE
    | {
        "409": "It is the settings file's, is there already, or is needed by a function.",
        "502": "Another provider of functions, whose it would be, refuses our password.",
        "503": "The daemon is starting, or another provider, whose it would be, does not answer.",
        "507": "It could not be written down, and nothing has changed.",
    }
)
_FORBIDDEN = OPERATORS_ALONE | {
    "403": "Whoever asks is no operator, or the settings do not allow such a deployment."
}


def _told(description: str, kind: str, schema: str) -> Part:
    return {"description": description, "content": {kind: {"schema": {"type": schema}}}}


def _body(example: Part, *required: str) -> Part:
    schema: Part = {"type": "object", "required": list(required)}
    content: Part = {"application/json": {"schema": schema, "example": example}}
    return {"required": True, "content": content}


def paths() -> Part:
    """The paths."""
    return {
        "/system/functions": _functions(),
        "/system/function/{name}": {"get": _describe()},
        "/system/scale-function/{name}": {"post": _scale()},
        "/system/secrets": _secrets(),
        "/system/logs": {"get": _logs()},
        "/system/info": {"get": _read("getInfo", "What this is", type="object")},
        "/system/namespaces": {"get": _read("listNamespaces", "The namespace", type="array")},
        "/system/namespace/": {"post": _namespace_order("createNamespace", "Make one", "201")},
        "/system/namespace/{name}": _namespace(),
    }


def _namespace() -> Part:
    name = in_path("name", "The one that there is, or another provider's.", "openfaas-fn")
    return {
        "get": _read("getNamespace", "The namespace, described", name, type="object"),
        "put": _namespace_order("updateNamespace", "Change one", "202", name),
        "delete": _namespace_order("removeNamespace", "Remove one", "202", name),
    }


def _namespace_order(identifier: str, summary: str, status: str, *parameters: Part) -> Part:
    return operation(
        identifier,
        "provider",
        summary,
        {status: empty("Another provider has done it.")},
        _CHANGES | {"400": "There is no other provider, and one namespace."},
        parameters=parameters,
        body=_body({"name": "staging"}, "name"),
    )


def _read(identifier: str, summary: str, *parameters: Part, type: str) -> Part:
    refusals = OPERATORS_ALONE | _NOT_THERE
    answers = {"200": _told("It.", "application/json", type)}
    return operation(identifier, "provider", summary, answers, refusals, parameters=parameters)


def _change(identifier: str, summary: str, status: str, body: Part, *, deploys: bool) -> Part:
    refusals = _CHANGES | _FORBIDDEN if deploys else _CHANGES
    answers = {status: empty("It is done, and durable.")}
    return operation(identifier, "provider", summary, answers, refusals, body=body)


def _functions() -> Part:
    example: Part = {
        "service": "shout",
        "image": "none",
        "annotations": {"com.faasd-async.command": "tr a-z A-Z"},
    }
    deployment, removal = (
        _body(example, "service"),
        _body({"functionName": "shout"}, "functionName"),
    )
    return {
        "get": _read("listFunctions", "Every function", _NAMESPACE, type="array"),
        "post": _change("deployFunction", "Deploy a function", "202", deployment, deploys=True),
        "put": _change("updateFunction", "Deploy it anew", "202", deployment, deploys=True),
        "delete": _change("removeFunction", "Remove a function", "202", removal, deploys=False),
    }


def _describe() -> Part:
    usage = in_query("usage", "Tell what its processes use, too.", BOOLEAN, True)
    return _read("describeFunction", "One function", _FUNCTION, _NAMESPACE, usage, type="object")


def _scale() -> Part:
    return operation(
        "scaleFunction",
        "provider",
        "Have so many replicas of a function",
        {"202": empty("It is done.")},
        _CHANGES,
        parameters=(_FUNCTION,),
        body=_body({"serviceName": "figlet", "replicas": 1}, "replicas"),
    )


def _secrets() -> Part:
    secret, name = _body({"name": "key", "value": "k"}, "name"), _body({"name": "key"}, "name")
    return {
        "get": _read("listSecrets", "The names of all secrets", _NAMESPACE, type="array"),
        "post": _change("createSecret", "Keep a secret", "201", secret, deploys=False),
        "put": _change("updateSecret", "Change a secret", "202", secret, deploys=False),
        "delete": _change("removeSecret", "Remove a secret", "202", name, deploys=False),
    }


def _logs() -> Part:
    parameters = (
        in_query("name", "A function.", STRING, "figlet") | {"required": True},
        _NAMESPACE,
        in_query("instance", "One of its processes.", STRING, "figlet-4711"),
        in_query("tail", "How many of the last lines.", INTEGER, 10),
        in_query("since", "Not before that, or for so long.", STRING, "10m"),
    )
    return operation(
        "readLogs",
        "provider",
        "What a function has written, and with follow=true what it writes",
        {"200": _told("A line of JSON for each.", "application/x-ndjson", "string")},
        OPERATORS_ALONE | _NOT_THERE | {"503": "Too many follow already."},
        parameters=parameters,
    )
