"""What an operator may watch: the calls that there are, and how things are."""

from __future__ import annotations

from typing import get_args

from faasd_async.call.ending import State
from faasd_async.gateway.openapi.calls import ID
from faasd_async.gateway.openapi.parts import (
    ASKS_QUEUE,
    INTEGER,
    LINK,
    MOMENT,
    NUMBER,
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
)

_STATES = one_of("scheduled", "queued", "running", "retrying", *get_args(State))
_NEXT = "3-1-1042"

_MESSAGE: dict[str, Part] = {
    "size": INTEGER,
    "headers": list_of({"type": "array", "items": STRING, "minItems": 2, "maxItems": 2}),
    "body": maybe(STRING),
    "body_encoding": one_of("utf-8", "base64", "stored"),
}

SCHEMAS: Part = {
    "ListedCall": record(
        "A call in a line; `changed` is when it came to where it is.",
        {
            "id": STRING,
            "accept": STRING,
            "function": STRING,
            "queue": maybe(STRING),
            "state": _STATES,
            "attempts": INTEGER,
            "status": maybe(INTEGER),
            "seconds": maybe(NUMBER),
            "accepted": maybe(MOMENT),
            "changed": maybe(MOMENT),
            "self": LINK,
        },
    ),
    "ListedCalls": record(
        "A page; `next` is there if there may be more.",
        {"calls": list_of(schema_of("ListedCall"))},
        next=STRING,
    ),
    "CalledWith": record(
        "What a call was called with, and answered; `null` if nobody has it, or not yet.",
        {
            "id": STRING,
            "request": maybe(
                record(
                    "Of a body of more than 64 KiB, the beginning.",
                    {"target": STRING, "callback_url": maybe(STRING), **_MESSAGE},
                    sha256=STRING,
                )
            ),
            "result": maybe(
                record(
                    "The function's answer, likewise.",
                    {"status": INTEGER, **_MESSAGE},
                    sha256=STRING,
                )
            ),
        },
    ),
}

_LINE: Part = {
    "id": ID,
    "accept": "0",
    "function": "figlet",
    "queue": "default",
    "state": "succeeded",
    "attempts": 1,
    "status": 200,
    "seconds": 0.076031,
    "accepted": "2026-11-24T08:45:56.911568Z",
    "changed": "2026-11-24T08:45:56.990274Z",
    "self": f"/call/{ID}",
}

_REQUEST: Part = {
    "target": "/",
    "size": 2,
    "callback_url": None,
    "headers": [["Content-Type", "text/plain"]],
    "body": "Hi",
    "body_encoding": "utf-8",
}

_RESULT: Part = {
    "status": 200,
    "size": 2,
    "headers": [["Content-Type", "text/plain"]],
    "body": "Ho",
    "body_encoding": "utf-8",
}

_EVENT = 'event: ended\ndata: {"calls":[{"id":"04534a54-…","function":"figlet", …}]}\n\n'

_ASKED = OPERATORS_ALONE | ASKS_QUEUE


def paths() -> Part:
    return {
        "/system/calls": {"get": _page()},
        "/system/calls/{call_id}": {"get": _request()},
        "/system/events": {"get": _events()},
    }


def _page() -> Part:
    return operation(
        "listCalls",
        "operations",
        "A page of the calls that wait or have ended, the one that changed last first",
        {"200": sheet("The page.", "ListedCalls", {"calls": [_LINE], "next": _NEXT})},
        _ASKED,
        description=(
            "They are found in the streams; there is a bound to what is looked at for one page, so"
            " that one may hold fewer than `limit`, even none, and still have a `next`."
        ),
        parameters=(
            in_query("id", "Those of this id.", STRING, ID),
            in_query("function", "Those of this function.", STRING, "figlet"),
            in_query("state", "Those in this state.", _STATES, "succeeded"),
            in_query(
                "limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": 200}, 50
            ),
            in_query("after", "The `next` of the page before.", STRING, _NEXT),
        ),
    )


def _request() -> Part:
    return operation(
        "showRequest",
        "operations",
        "What a call was called with and answered, as long as anybody has it",
        {"200": sheet("It.", "CalledWith", {"id": ID, "request": _REQUEST, "result": _RESULT})},
        _ASKED,
        parameters=(in_path("call_id", "The call's id.", ID), shared("accept")),
    )


def _events() -> Part:
    stream: Part = {
        "description": (
            "Server-sent events, until one of both goes: `hour`, the samples of the last hour;"
            " then `sample`, a further one; `now`, every queue and function in numbers, as"
            " `/system/queues` has them, with the functions' `paces` of the last five minutes;"
            " `ended`, the calls that have ended since; `trouble`, why there is no `now`."
        ),
        "content": {"text/event-stream": {"example": _EVENT}},
    }
    return operation(
        "watch",
        "operations",
        "How things are, again and again",
        {"200": stream},
        _ASKED,
    )
