"""What an operator wants changed of a call before it is replayed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from faasd_async.call.callback_url import CallbackUrl, MalformedCallbackUrl, parse
from faasd_async.call.headers import FRAMING, HOP_BY_HOP, Headers, replaced
from faasd_async.gateway.refusal import Refusal

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")

#: What is the daemon's to say, or said elsewhere.
_NOT_HERE = (
    HOP_BY_HOP
    | FRAMING
    | {
        b"host",
        b"x-call-id",
        b"x-start-time",
        b"x-attempt",
        b"x-callback-url",
        b"x-callback-on-failure",
    }
)


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    headers: dict[str, str | None] = {}
    callback_url: str | msgspec.UnsetType | None = msgspec.UNSET


#: The names in the body of an order that say what is to be changed.
CHANGES = tuple(field.name for field in msgspec.structs.fields(_Body))


@dataclass(frozen=True, slots=True)
class Edits:
    """The changes.

    :ivar headers: by name, the value that is to stand there; ``None`` removes the field.
    :ivar callback: where the outcome goes instead, or nowhere.
    :ivar moves: whether *callback* is to count at all.
    """

    headers: Mapping[bytes, bytes | None]
    callback: CallbackUrl | None = None
    moves: bool = False

    def headers_of(self, headers: Headers) -> Headers:
        """*headers* with the changes made."""
        removed = {name.lower() for name in self.headers}
        kept = [field for field in headers if field[0].lower() not in removed]
        return replaced(
            kept, [(name, value) for name, value in self.headers.items() if value is not None]
        )

    def callback_of(self, callback: CallbackUrl | None) -> CallbackUrl | None:
        return self.callback if self.moves else callback


AS_IT_WAS = Edits({})


def read_edits(body: bytes, refuse_destination: Callable[[CallbackUrl], str | None]) -> Edits:
    """Read the body of an order to replay; an empty one changes nothing.

    :param refuse_destination: why a callback may not go to a URL, or ``None``.
    :raises Refusal: 400, it is not understood, or 403.
    """
    if not body.strip():
        return AS_IT_WAS
    try:
        wanted = msgspec.json.decode(body, type=_Body)
    except msgspec.MsgspecError as reason:
        raise Refusal(400, f"the body: {reason}") from None
    headers = dict(_field(name, value) for name, value in wanted.headers.items())
    if wanted.callback_url is msgspec.UNSET:
        return Edits(headers)
    if wanted.callback_url is None:
        return Edits(headers, None, True)
    return Edits(headers, _callback(wanted.callback_url, refuse_destination), True)


def _field(name: str, value: str | None) -> tuple[bytes, bytes | None]:
    try:
        raw_name = name.encode("ascii")
        raw_value = None if value is None else value.encode("latin-1")
    except UnicodeEncodeError:
        raise Refusal(400, f"headers: {name!r} has characters that no field can have") from None
    if not _NAME.match(raw_name) or not _VALUE.match(raw_value or b""):
        raise Refusal(400, f"headers: {name!r} has characters that no field can have")
    if raw_name.lower() in _NOT_HERE:
        hint = "; say callback_url" if raw_name.lower() == b"x-callback-url" else ""
        raise Refusal(400, f"headers: {name} cannot be changed{hint}")
    return raw_name, None if raw_value is None else raw_value.strip(b" \t")


def _callback(url: str, refuse_destination: Callable[[CallbackUrl], str | None]) -> CallbackUrl:
    try:
        callback = parse(url.encode())
    except MalformedCallbackUrl as reason:
        raise Refusal(400, f"callback_url: {reason}") from None
    forbidden = refuse_destination(callback)
    if forbidden is not None:
        raise Refusal(403, f"callback_url: {forbidden}")
    return callback
