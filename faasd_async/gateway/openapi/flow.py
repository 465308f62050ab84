"""What an operator may do with queues, functions and schedules."""

from __future__ import annotations

from faasd_async.gateway.openapi.parts import (
    ASKS_QUEUE,
    BOOLEAN,
    INTEGER,
    MOMENT,
    NUMBER,
    OPERATORS_ALONE,
    ORDERS_QUEUE,
    STRING,
    Part,
    in_path,
    list_of,
    maybe,
    operation,
    record,
    schema_of,
    sheet,
)

TAG: Part = {
    "name": "operations",
    "description": "Queues, functions and schedules, for an operator at this very machine.",
}

_QUEUE = in_path("name", "A queue.", "default")
_FUNCTION = in_path("name", "A function.", "figlet")

_NUMBERS: dict[str, Part] = {
    "waiting": maybe(INTEGER),
    "in_flight": maybe(INTEGER),
    "oldest_seconds": maybe(NUMBER),
    "scheduled": maybe(INTEGER),
}

SCHEMAS: Part = {
    "QueuedFunction": record(
        "A function's calls, in numbers; `null` where they are counted by queue alone.",
        {
            "function": STRING,
            "paused": BOOLEAN,
            "running": INTEGER,
            "concurrency": INTEGER,
            "max_inflight": INTEGER,
            **_NUMBERS,
        },
    ),
    "Queue": record(
        "A queue, in numbers.",
        {
            "queue": STRING,
            "paused": BOOLEAN,
            **_NUMBERS,
            "functions": list_of(schema_of("QueuedFunction")),
        },
    ),
    "Queues": record("All of them.", {"queues": list_of(schema_of("Queue"))}),
    "Ordered": record(
        "What was done, to a queue or a function.",
        {},
        queue=STRING,
        function=STRING,
        paused=BOOLEAN,
        purged=INTEGER,
    ),
    "Schedule": record(
        "When a function is called by the daemon itself.",
        {
            "function": STRING,
            "schedule": STRING,
            "timezone": STRING,
            "missed": STRING,
            "removed": BOOLEAN,
            "next": maybe(MOMENT),
            "seen_to": maybe(MOMENT),
        },
    ),
    "Schedules": record("All of them.", {"schedules": list_of(schema_of("Schedule"))}),
}

_COUNTS: Part = {"waiting": 2, "in_flight": 1, "oldest_seconds": 0.5, "scheduled": 0}
_LINE: Part = {
    "function": "figlet",
    "paused": False,
    "running": 1,
    "concurrency": 4,
    "max_inflight": 4,
    **_COUNTS,
}
_QUEUES = {"queues": [{"queue": "default", "paused": False, **_COUNTS, "functions": [_LINE]}]}

_SCHEDULE: Part = {
    "function": "report",
    "schedule": "30 2 * * MON-FRI",
    "timezone": "Europe/Berlin",
    "missed": "once",
    "removed": False,
    "next": "2026-11-25T01:30:00.000000Z",
    "seen_to": "2026-11-24T01:30:00.000000Z",
}

#: What each order does, and an example of its answer.
_ORDERS: tuple[tuple[str, str, Part], ...] = (
    ("pause", "Hold back the calls of", {"paused": True}),
    ("resume", "Let run the calls of", {"paused": False}),
    ("purge", "Throw away the waiting calls of", {"purged": 12}),
)

_NO_SCHEDULE = {"404": "No function that has a schedule is called so."}


def paths() -> Part:
    found: Part = {"/system/queues": {"get": _queues()}}
    for order, what, example in _ORDERS:
        for where, of, name in (
            ("queues", "queue", _QUEUE),
            ("function", "function", _FUNCTION),
        ):
            path = f"/system/{where}/{{name}}/{order}"
            about = {of: name["example"]}
            found[path] = {"post": _order(order, what, of, name, about | example)}
    return found | {
        "/system/schedules": {"get": _schedules()},
        "/system/schedules/{name}": {"delete": _schedule("removeSchedule", "Remove", True)},
        "/system/schedules/{name}/restore": {
            "post": _schedule("restoreSchedule", "Restore", False)
        },
    }


def _queues() -> Part:
    return operation(
        "listQueues",
        "operations",
        "Every queue and its functions, in numbers",
        {"200": sheet("The queues.", "Queues", _QUEUES)},
        OPERATORS_ALONE | ORDERS_QUEUE,
    )


def _order(order: str, what: str, of: str, name: Part, example: Part) -> Part:
    return operation(
        f"{order}{of.capitalize()}",
        "operations",
        f"{what} a {of}",
        {"200": sheet("It is done, and durable.", "Ordered", example)},
        OPERATORS_ALONE | ORDERS_QUEUE | {"404": f"No {of} is called so."},
        parameters=(name,),
    )


def _schedules() -> Part:
    return operation(
        "listSchedules",
        "operations",
        "Every schedule",
        {"200": sheet("The schedules.", "Schedules", {"schedules": [_SCHEDULE]})},
        OPERATORS_ALONE | ASKS_QUEUE,
    )


def _schedule(identifier: str, what: str, removed: bool) -> Part:
    following = None if removed else _SCHEDULE["next"]
    example = _SCHEDULE | {"removed": removed, "next": following}
    return operation(
        identifier,
        "operations",
        f"{what} the schedule of a function",
        {"200": sheet("The schedule, as it is now.", "Schedule", example)},
        OPERATORS_ALONE | ASKS_QUEUE | _NO_SCHEDULE,
        parameters=(in_path("name", "A function that has a schedule.", "report"),),
    )
