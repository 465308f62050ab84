"""What a caller may ask of a call."""

from __future__ import annotations

from typing import get_args

from faasd_async.call.ending import State
from faasd_async.call.known import CallbackState
from faasd_async.gateway.openapi.parts import (
    ASKS_QUEUE,
    DURATION,
    INTEGER,
    LINK,
    MOMENT,
    NUMBER,
    STRING,
    Part,
    anything,
    empty,
    headers,
    in_header,
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

TAG: Part = {"name": "calls", "description": "What became of a call, and what it answered."}

#: States before the end.
_ON_THE_WAY = ("scheduled", "queued", "running", "retrying")

ID = "7f9c24e8-3b1d-4c5a-9f0e-2d6b8a1c4e77"

_ID = in_path("call_id", "The call's id.", ID)

ACCEPT = in_query(
    "accept", "Which of several calls that share an id.", {"type": "string", "minLength": 1}, "0"
)

_WAIT = in_query(
    "wait",
    "For how long to wait for the end: `30s`, or seconds; at most 5 minutes.",
    DURATION,
    "1s",
)

_UNKNOWN = {
    "401": "An id of fewer than 16 characters is shown to who says the password alone.",
    "403": "An id of fewer than 16 characters is shown to the operator alone.",
    "404": "There is no such call, or not any more.",
    **ASKS_QUEUE,
}

_GONE = {"410": "The call has ended, and this is kept no longer."}

_ATTEMPT = {
    "number": INTEGER,
    "at": maybe(MOMENT),
    "status": maybe(INTEGER),
    "seconds": maybe(NUMBER),
    "error": maybe(STRING),
}

_LINKS = {"self": LINK, "result": LINK, "events": LINK}

SCHEMAS: Part = {
    "Attempt": record(
        "One invocation; the one that is under way has no status yet. One that its daemon did not"
        " survive has the status 0, and `at` is `null`: nobody has written down when it began.",
        _ATTEMPT,
    ),
    "Callback": record(
        "What became of telling the caller.",
        {
            "state": one_of(*get_args(CallbackState)),
            "tries": INTEGER,
            "status": maybe(INTEGER),
            "error": maybe(STRING),
            "next_try": maybe(MOMENT),
        },
    ),
    "Call": record(
        "A call, at this moment. `started` is when the first attempt began of which that is known;"
        " `null`: none has begun, or none but those that their daemons did not survive. Such an"
        " attempt is told of from the moment the call is taken up again.",
        {
            "id": STRING,
            "accept": STRING,
            "function": STRING,
            "queue": maybe(STRING),
            "state": one_of(*_ON_THE_WAY, *get_args(State)),
            "attempts": list_of(schema_of("Attempt")),
            "next_attempt": maybe(MOMENT),
            "accepted": maybe(MOMENT),
            "started": maybe(MOMENT),
            "finished": maybe(MOMENT),
            "status": maybe(INTEGER),
            "error": maybe(STRING),
            "callback": maybe(schema_of("Callback")),
            "traceparent": maybe(STRING),
            "links": record("Where it can be asked after.", _LINKS),
        },
        others=list_of(
            record(
                "Another call of the same id.",
                {"accept": STRING, "function": STRING, "self": LINK},
            )
        ),
    ),
}

_EXAMPLE: Part = {
    "id": ID,
    "accept": "0",
    "function": "figlet",
    "queue": "default",
    "state": "succeeded",
    "attempts": [
        {
            "number": 1,
            "at": "2026-11-24T08:45:56.914201Z",
            "status": 200,
            "seconds": 0.076031,
            "error": "",
        }
    ],
    "next_attempt": None,
    "accepted": "2026-11-24T08:45:56.911568Z",
    "started": "2026-11-24T08:45:56.914201Z",
    "finished": "2026-11-24T08:45:56.990274Z",
    "status": 200,
    "error": "",
    "callback": None,
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-b9c7c989f97918e1-01",
    "links": {
        "self": f"/call/{ID}",
        "result": f"/call/{ID}/result",
        "events": f"/call/{ID}/events",
    },
}

_EVENT = 'id: 0.0.1.running\nevent: running\ndata: {"id":"7f9c24e8-…","state":"running"}\n\n'

_RESULT_FIELDS = headers(
    X_Call_Id="The call's id.",
    X_Function_Status="The function's status, or the one that says why there is none.",
    X_Duration_Seconds="How long the function took.",
    ETag="For `If-None-Match`.",
    Preference_Applied="What was done of `Prefer`.",
    Content_Security_Policy="`sandbox`, whatever the function said.",
    X_Content_Type_Options="`nosniff`.",
)

_CANCELLED = {"202": empty("It is cancelled, or was before.", headers=headers(Location="It."))}

_NOT_CANCELLED = _UNKNOWN | {"409": "It is over, or several calls share this id."}

#: For the asynchronous door, which cancels too.
CANCELLED, NOT_CANCELLED = _CANCELLED, _NOT_CANCELLED


def paths() -> Part:
    return {
        "/call/{call_id}": {"get": _status(), "delete": _cancel()},
        "/call/{call_id}/result": {"get": _result()},
        "/call/{call_id}/events": {"get": _events()},
    }


def _status() -> Part:
    return operation(
        "getCall",
        "calls",
        "How a call is",
        {"200": sheet("The call.", "Call", _EXAMPLE)},
        _UNKNOWN | _GONE,
        parameters=(_ID, shared("accept")),
    )


def _cancel() -> Part:
    return operation(
        "cancelCall",
        "calls",
        "Cancel a call",
        dict(_CANCELLED),
        _NOT_CANCELLED,
        description="What waits is removed, what runs is aborted, wherever it is.",
        parameters=(_ID, shared("accept")),
    )


def _result() -> Part:
    answers = {
        each: anything("The function's answer, status and all.", headers=_RESULT_FIELDS)
        for each in ("2XX", "3XX", "4XX", "5XX")
    }
    answers["202"] = anything(
        "The call has not ended; or the function answered so, with `X-Function-Status`.",
        headers=headers(Retry_After="When to ask again.", Location="The call."),
    )
    answers["304"] = empty("The answer is the one that `If-None-Match` names.")
    return operation(
        "getResult",
        "calls",
        "A function's answer",
        answers,
        _UNKNOWN | _GONE,
        description=(
            "Any answer with `X-Function-Status` is the function's own, but for fields that would"
            " hold for the whole address, such as `Set-Cookie`. A 410 says why there is none."
        ),
        parameters=(
            _ID,
            shared("accept"),
            _WAIT,
            in_header("Prefer", "`wait=30` means the same as `?wait=30s`.", "wait=1"),
            in_header("If-None-Match", "The `ETag` of an answer that is known.", '"18eaeecaff47"'),
        ),
    )


def _events() -> Part:
    stream: Part = {
        "description": "Server-sent events until the end: each named for a state, a Call its data.",
        "content": {"text/event-stream": {"example": _EVENT}},
    }
    return operation(
        "followCall",
        "calls",
        "A call's states as they change",
        {"200": stream, "204": empty("The end of the call is known by `Last-Event-ID`.")},
        _UNKNOWN | _GONE,
        parameters=(
            _ID,
            shared("accept"),
            in_header("Last-Event-ID", "The last event that is known.", "0.0.1.succeeded"),
        ),
    )
