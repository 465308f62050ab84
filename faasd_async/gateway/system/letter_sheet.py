"""How a dead letter is shown: in a line of a list, or whole.

What lets somebody in elsewhere is not shown unless it is asked for: the values of the header
fields below, and the user and password of a callback URL. Targets, other header fields and bodies
are shown as they are.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from faasd_async.call.body import Body
from faasd_async.call.callback_url import CallbackUrl, MalformedCallbackUrl, parse
from faasd_async.call.ending import DeadCallback, DeadLetter, Letter, SealedLetter
from faasd_async.call.headers import Headers, first
from faasd_async.call.history import Attempt
from faasd_async.call.moments import rfc3339

#: The header fields whose values are hidden, in lower case.
SECRET_FIELDS = frozenset(
    (
        b"authorization",
        b"proxy-authorization",
        b"cookie",
        b"set-cookie",
        b"x-api-key",
        b"x-auth-token",
    )
)

#: Those that may hold credentials in a URL.
_URL_FIELDS = frozenset((b"x-callback-url", b"x-callback-on-failure"))

#: What stands in place of a hidden value.
HIDDEN = "(hidden)"

Sheet = dict[str, object]


def summary(letter: Letter) -> Sheet:
    """A letter in a line of a list, for JSON."""
    if isinstance(letter, SealedLetter):
        sheet = address(letter)
        why, size_bytes = shown(letter.why), len(letter.message)
        return sheet | {"reason": letter.reason, "unreadable": why, "size": size_bytes}
    if isinstance(letter, DeadCallback):
        return _callback(letter)
    return _call(letter)


def whole(letter: Letter, *, secrets: bool) -> Sheet:
    """A letter with everything in it.

    :param secrets: show what is hidden otherwise, too.
    """
    sheet = summary(letter)
    if isinstance(letter, DeadLetter):
        request = letter.request
        sheet["callback_url"] = _url(request.callback, secrets)
        sheet["on_failure_url"] = _url(request.on_failure, secrets)
        sheet["target"] = request.target.decode("latin-1")
        return sheet | message_sheet(request.headers, request.body, secrets=secrets)
    if isinstance(letter, DeadCallback):
        sheet["callback_url"] = _url(letter.callback.url, secrets)
        callback = letter.callback
        return sheet | message_sheet(callback.headers, callback.body, secrets=secrets)
    # Nobody knows where in it a secret stands.
    return (sheet | _body(letter.message)) if secrets else sheet


def address(letter: Letter) -> Sheet:
    """Which letter it is, for JSON."""
    return {
        "id": shown(letter.key.call_id),
        "accept": shown(letter.key.accept),
        "kind": letter.kind,
        "function": shown(letter.function),
    }


def _call(letter: DeadLetter) -> Sheet:
    request = letter.request
    return address(letter) | {
        "queue": shown(request.queue),
        "reason": letter.reason,
        "status": letter.status,
        "error": letter.error,
        "attempts": _attempts(request.history.attempts),
        "replays": request.generation,
        "accepted": rfc3339(request.start_time_ns),
        "ended": rfc3339(letter.ended_ns),
        "size": len(request.body),
    }


def _callback(letter: DeadCallback) -> Sheet:
    callback = letter.callback
    started = first(callback.headers, b"x-start-time") or b"0"
    return address(letter) | {
        "reason": letter.reason,
        "status": letter.status,
        "error": letter.error,
        "tries": letter.tries,
        "attempts": _attempts(letter.attempts),
        "replays": callback.replays,
        "accepted": rfc3339(int(started) if started.isdigit() else 0),
        "ended": rfc3339(letter.ended_ns),
        "size": len(callback.body),
        "callback_url": _url(callback.url, False),
    }


def _attempts(attempts: Sequence[Attempt]) -> list[Sheet]:
    return [
        {
            "number": number,
            "at": rfc3339(attempt.at_ns),
            "status": attempt.status,
            "seconds": attempt.seconds,
            "error": attempt.error,
        }
        for number, attempt in enumerate(attempts, 1)
    ]


def message_sheet(headers: Headers, body: Body, *, secrets: bool) -> Sheet:
    """Header fields and body, as far as they may be seen."""
    shown = [[name.decode("latin-1"), _value(name, value, secrets)] for name, value in headers]
    if not isinstance(body, bytes):
        # It is not held whole for the sake of a look at it; its size is told, and its hash.
        return {"headers": shown, "body": None, "body_encoding": "stored", "sha256": body.sha256}
    return {"headers": shown} | _body(body)


def _body(body: bytes) -> Sheet:
    try:
        return {"body": body.decode(), "body_encoding": "utf-8"}
    except UnicodeDecodeError:
        return {"body": b64encode(body).decode("ascii"), "body_encoding": "base64"}


def _value(name: bytes, value: bytes, secrets: bool) -> str:
    lowered = name.lower()
    if not secrets and lowered in SECRET_FIELDS:
        return HIDDEN
    if not secrets and lowered in _URL_FIELDS:
        try:
            return str(parse(value))
        except MalformedCallbackUrl:
            return HIDDEN
    return value.decode("latin-1")


def _url(url: CallbackUrl | None, secrets: bool) -> str | None:
    if url is None:
        return None
    return url.text if secrets else str(url)


def shown(name: str) -> str:
    """A name that JSON can hold, whatever bytes somebody made it of."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
