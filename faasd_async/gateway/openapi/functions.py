"""The two doors: functions that are called and waited for, and calls that go into the queue."""

from __future__ import annotations

from faasd_async.call.once import MAX_KEY_BYTES
from faasd_async.gateway.openapi.parts import (
    DURATION,
    Part,
    anything,
    empty,
    headers,
    in_header,
    in_path,
    operation,
    shared,
)

TAG: Part = {
    "name": "functions",
    "description": (
        "What follows a function's name in the path, and the query, go on to the function as they"
        " were written."
    ),
}

_METHODS = ("get", "head", "post", "put", "patch", "delete", "options")

_BODY: Part = {
    "description": "Whatever the function takes.",
    "content": {
        "*/*": {},
        "text/plain": {"schema": {"type": "string"}, "example": "Hi"},
    },
}

_NAME = in_path(
    "name",
    "A function, perhaps with a namespace behind a full stop.",
    "figlet",
    pattern="^[-a-zA-Z_0-9.]+$",
)

_TRACING = in_header(
    "X-Call-Id",
    "An id of the caller's own, for tracing; several calls may share one. Drawn unless given.",
    "order-4711-of-mine",
)

_CALL_FIELDS = (
    _TRACING,
    in_header(
        "X-Callback-Url",
        "Where the answer is delivered: http or https, or an asynchronous function of this daemon.",
        "http://caller.example/told",
    ),
    in_header(
        "X-Callback-On-Failure",
        "Where it is delivered instead if the call does not succeed.",
        "http://caller.example/failed",
    ),
    in_header(
        "Idempotency-Key",
        f"A call that is sent again under the same key is accepted once; 1 to {MAX_KEY_BYTES}"
        " bytes. `webhook-id` means the same.",
        "order-4711",
        minLength=1,
        maxLength=MAX_KEY_BYTES,
    ),
    in_header("X-Delay", "For how long the call is put off; at most 366 days.", "1s", **DURATION),
    in_header(
        "X-Not-Before",
        "Until when it is put off: RFC 3339 or an HTTP date. Not together with `X-Delay`.",
        "2020-01-31T08:00:00Z",
    ),
    in_header(
        "X-Expires",
        "A duration or a time, up to 10 years from now: a call that has not begun by then never"
        " does.",
        "1h30m",
    ),
    in_header(
        "X-Max-Attempts",
        "How often the call is tried at most; lowers what the function's `retry` allows.",
        "2",
        pattern="^[0-9]{1,9}$",
    ),
    in_header(
        "Prefer",
        "`wait=5`: the answer itself if it is there within so many seconds (RFC 7240).",
        "wait=5",
    ),
)

_RECEIPT = headers(
    X_Call_Id="The call's id.",
    X_Start_Time="When it was accepted, Unix nanoseconds.",
    Location="Where it can be asked after.",
    Preference_Applied="What was done of `Prefer`.",
    Idempotency_Replayed="`true`: it had been accepted before.",
)

_LINKS: Part = {
    what: {
        "operationId": identifier,
        "parameters": {"call_id": "$response.header.X-Call-Id"},
        "description": description,
    }
    for what, identifier, description in (
        ("status", "getCall", "How it is."),
        ("result", "getResult", "The function's answer."),
        ("events", "followCall", "Its states as they change."),
        ("cancel", "cancelCall", "To cancel it."),
    )
}

_NOT_LET_IN = (
    "The function asks for a signature (``verify``) or a password (``auth``), and the request has"
    " none that counts."
)

_NOT_ACCEPTED = {
    "401": _NOT_LET_IN,
    "403": "A callback may not go there.",
    "404": "No function is called so.",
    "408": "The body came too slowly.",
    "422": (
        "Another call was sent under this idempotency key: another path, body, `X-Callback-Url` or"
        " `X-Callback-On-Failure`."
    ),
    "501": "The NATS server keeps no schedules, so that nothing can be put off.",
    "503": "There is no room in the queue, or it cannot be reached, or functions are starting.",
    "504": "The call was not on disk in time; it may run all the same.",
    "507": "There is no room on the disk.",
}

_NOT_CALLED = {
    "401": _NOT_LET_IN,
    "404": "No function is called so.",
    "429": "The function runs as many calls as it may.",
    "502": "The function could not be reached, or broke off.",
    "503": "The daemon stops, or functions are starting.",
    "504": "The function took too long.",
}

_ACCEPTED = empty("The call is on disk, and will run.", headers=_RECEIPT, links=_LINKS)

_ANSWERED = anything(
    "The function's answer.",
    headers=headers(
        X_Call_Id="The call's id.",
        X_Start_Time="When it came, Unix nanoseconds.",
        X_Duration_Seconds="How long the function took.",
    ),
)

#: A function answers what it likes.
_CLASSES = ("2XX", "3XX", "4XX", "5XX")


def paths(cancel: Part) -> Part:
    """
    :param cancel: what ``DELETE`` does at the asynchronous door.
    """
    enqueue = operation(
        "enqueueCall",
        "functions",
        "Put a call into the queue",
        {
            "202": _ACCEPTED,
            **{each: anything("With `Prefer: wait`: the function's answer.") for each in _CLASSES},
        },
        _NOT_ACCEPTED,
        description="A 202 means that the call is on disk, and will run at least once.",
        parameters=(_NAME, *_CALL_FIELDS),
        body=_BODY,
    )
    return {
        "/async-function/{name}": {"post": enqueue, "delete": cancel},
        "/function/{name}": {method: _call(method) for method in _METHODS},
    }


def cancelled_by_name(answers: dict[str, Part], refusals: dict[str, str]) -> Part:
    """The asynchronous door's ``DELETE``, which says a call's id where a function's name stands."""
    return operation(
        "cancelQueuedCall",
        "calls",
        "Cancel a call",
        answers,
        refusals,
        description="As `DELETE /call/{call_id}`, as OpenFaaS Pro has it.",
        parameters=(
            in_path(
                "name",
                "The call's id.",
                "7f9c24e8-3b1d-4c5a-9f0e-2d6b8a1c4e77",
                pattern="^[-a-zA-Z_0-9.]+$",
            ),
            shared("accept"),
        ),
    )


def _call(method: str) -> Part:
    prefers = in_header(
        "Prefer", "`respond-async`: as if it were sent to `/async-function`.", "respond-async"
    )
    is_post = method == "post"
    answers = dict.fromkeys(_CLASSES, _ANSWERED)
    if is_post:
        answers["202"] = anything(
            "The function's answer, or with `Prefer: respond-async` the call's receipt.",
            headers=_RECEIPT,
        )
    refusals = _NOT_ACCEPTED | _NOT_CALLED if is_post else _NOT_CALLED
    return operation(
        f"{method}Function",
        "functions",
        "Call a function and wait for its answer",
        answers,
        refusals,
        description="Any other method, but CONNECT and TRACE, goes to the function as well.",
        parameters=(_NAME, _TRACING, prefers) if is_post else (_NAME, _TRACING),
        body=_BODY if method in ("post", "put", "patch") else None,
    )
