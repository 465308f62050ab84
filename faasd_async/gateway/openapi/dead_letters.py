"""What an operator may do with dead letters."""

from __future__ import annotations

from typing import get_args

from faasd_async.call.ending import Kind, Reason, Undelivered
from faasd_async.gateway.openapi.calls import ID
from faasd_async.gateway.openapi.parts import (
    ASKS_QUEUE,
    BOOLEAN,
    INTEGER,
    MOMENT,
    OPERATORS_ALONE,
    STRING,
    Part,
    in_path,
    in_query,
    list_of,
    maybe,
    one_of,
    operation,
    record,
    schema_of,
    shared,
    sheet,
    sheet_or_line,
)

TAG: Part = {
    "name": "dead letters",
    "description": "Calls that did not succeed, and callbacks that could not be delivered.",
}

_KINDS: tuple[str, ...] = get_args(Kind)
_REASONS: tuple[str, ...] = tuple(dict.fromkeys((*get_args(Reason), *get_args(Undelivered))))

_ID = in_path("call_id", "The call's id.", ID)

PARAMETERS: Part = {
    "function": in_query("function", "Those of this function.", STRING, "figlet"),
    "kind": in_query("kind", "Calls, or callbacks.", one_of(*_KINDS), "call"),
    "reason": in_query("reason", "Why they are dead.", one_of(*_REASONS), "exhausted"),
    "all": in_query("all", "All of them, where no filter is given.", BOOLEAN, True),
    "limit": in_query(
        "limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": 1000}, 100
    ),
    "after": in_query(
        "after",
        "Those behind this place: the `next` of the page before.",
        {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
        0,
    ),
}

_FILTER = tuple(shared(name) for name in ("function", "kind", "reason"))
_PAGE = (shared("limit"), shared("after"))
_OF_ONE = (_ID, shared("accept"), shared("kind"))

_ASKED = OPERATORS_ALONE | ASKS_QUEUE
_NONE = {"404": "There is no such dead letter."}

_ADDRESS: dict[str, Part] = {
    "id": STRING,
    "accept": STRING,
    "kind": one_of(*_KINDS),
    "function": STRING,
}

_CHANGES: dict[str, Part] = {
    "headers": {"type": "object", "additionalProperties": maybe(STRING)},
    "callback_url": maybe(STRING),
}

SCHEMAS: Part = {
    "DeadLetter": record(
        "A call or a callback; of a list, or whole. One that this version cannot read says why in"
        " `unreadable`.",
        _ADDRESS | {"size": INTEGER},
        queue=STRING,
        reason=one_of(*_REASONS),
        status=INTEGER,
        error=STRING,
        attempts=list_of(schema_of("Attempt")),
        tries=INTEGER,
        replays=INTEGER,
        accepted=maybe(MOMENT),
        ended=maybe(MOMENT),
        unreadable=STRING,
        callback_url=maybe(STRING),
        on_failure_url=maybe(STRING),
        target=STRING,
        headers=list_of({"type": "array", "items": STRING, "minItems": 2, "maxItems": 2}),
        body=STRING,
        body_encoding=one_of("utf-8", "base64"),
    ),
    "DeadLetters": record(
        "A page; `next` is there if there are more.",
        {"dead_letters": list_of(schema_of("DeadLetter"))},
        next=INTEGER,
    ),
    "Purged": record("How many went.", {"purged": INTEGER}),
    "Replayed": record(
        "How many were put back, and which were not.",
        {
            "replayed": INTEGER,
            "failed": list_of(record("One that was not.", _ADDRESS | {"why": STRING})),
        },
    ),
    "Filter": record(
        "Which letters; what stands here must not stand in the query. And what is to be changed.",
        {},
        function=STRING,
        kind=one_of(*_KINDS),
        reason=one_of(*_REASONS),
        all=BOOLEAN,
        limit={"type": "integer", "minimum": 1},
        **_CHANGES,
    ),
    "Edits": record("What is to be changed of a call before it is replayed.", {}, **_CHANGES),
}

_LETTER: Part = {
    "id": ID,
    "accept": "0",
    "kind": "call",
    "function": "figlet",
    "queue": "default",
    "reason": "exhausted",
    "status": 503,
    "error": "",
    "attempts": [
        {
            "number": 1,
            "at": "2026-11-24T08:45:56.914201Z",
            "status": 503,
            "seconds": 0.076,
            "error": "",
        }
    ],
    "replays": 0,
    "accepted": "2026-11-24T08:45:56.911568Z",
    "ended": "2026-11-24T08:45:56.990274Z",
    "size": 2,
}

_MESSAGE: Part = {
    "callback_url": None,
    "on_failure_url": None,
    "target": "/",
    "headers": [["Content-Type", "text/plain"]],
    "body": "Hi",
    "body_encoding": "utf-8",
}

_REPLAYED_ANSWERS: dict[str, Part] = {
    "202": sheet("Some are on their way again.", "Replayed", {"replayed": 1, "failed": []}),
    "409": sheet_or_line("None of them can be replayed as it is.", "Replayed"),
    "413": sheet_or_line("They, or the body, are too large.", "Replayed"),
    "503": sheet_or_line("The queue does not answer just now.", "Replayed"),
    "504": sheet_or_line("The queue did not answer in time.", "Replayed"),
}


def paths() -> Part:
    return {
        "/system/dead-letters": {"get": _page(), "delete": _purge()},
        "/system/dead-letters/replay": {"post": _replay()},
        "/system/dead-letters/{call_id}": {"get": _show(), "delete": _purge_one()},
        "/system/dead-letters/{call_id}/replay": {"post": _replay_one()},
    }


def _page() -> Part:
    return operation(
        "listDeadLetters",
        "dead letters",
        "A page of dead letters, oldest first",
        {"200": sheet("The page.", "DeadLetters", {"dead_letters": [_LETTER], "next": 17})},
        _ASKED,
        parameters=(*_FILTER, *_PAGE),
    )


def _purge() -> Part:
    return operation(
        "purgeDeadLetters",
        "dead letters",
        "Throw dead letters away",
        {"200": sheet("They are gone.", "Purged", {"purged": 3})},
        _ASKED,
        parameters=(*_FILTER, shared("all")),
    )


def _replay() -> Part:
    return operation(
        "replayDeadLetters",
        "dead letters",
        "Put dead letters back into the queue, oldest first",
        _REPLAYED_ANSWERS,
        OPERATORS_ALONE,
        description="The filter stands in the query or in the body; in the body, what to change.",
        parameters=(*_FILTER, shared("all"), shared("limit")),
        body=_json("Filter", {"function": "figlet"}),
    )


def _show() -> Part:
    secrets = in_query("secrets", "Show credentials, too.", BOOLEAN, False)
    example = {"dead_letters": [_LETTER | _MESSAGE]}
    return operation(
        "getDeadLetter",
        "dead letters",
        "The dead letters of one id, whole",
        {"200": sheet("The letters.", "DeadLetters", example)},
        _ASKED | _NONE,
        parameters=(*_OF_ONE, secrets, *_PAGE),
    )


def _purge_one() -> Part:
    return operation(
        "purgeDeadLetter",
        "dead letters",
        "Throw the dead letters of one id away",
        {"200": sheet("They are gone.", "Purged", {"purged": 1})},
        _ASKED | _NONE,
        parameters=_OF_ONE,
    )


def _replay_one() -> Part:
    return operation(
        "replayDeadLetter",
        "dead letters",
        "Put the dead letters of one id back into the queue",
        _REPLAYED_ANSWERS,
        OPERATORS_ALONE | _NONE | {"403": "Not an operator, or a callback may not go there."},
        parameters=_OF_ONE,
        body=_json("Edits", {"headers": {"X-Region": "eu"}, "callback_url": None}),
    )


def _json(schema: str, example: object) -> Part:
    content = {"application/json": {"schema": schema_of(schema), "example": example}}
    return {"content": content, "required": False}
