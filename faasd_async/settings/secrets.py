"""Secrets: read from the file or from files beside it, and shown by nothing."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable

from faasd_async.settings.mistakes import Refusal, quoted
from faasd_async.settings.table import Table
from faasd_async.settings.values import path_below

PREFIX = "whsec_"

#: What Standard Webhooks asks for.
LEAST_BYTES, MOST_BYTES = 24, 64

#: While one secret takes the place of another both count; of more nobody keeps track.
MOST_SECRETS = 8

_MOST_FILE_BYTES = 64 * 1024


class Secret:
    """Bytes that no log and no message can show by mistake."""

    __slots__ = ("value",)

    def __init__(self, value: bytes) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "<secret>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)


def plain(text: str) -> Secret:
    """A secret that is used as it is written."""
    if not text:
        raise Refusal("an empty one", "a secret that is not empty")
    return Secret(text.encode())


def webhook_secret(text: str) -> Secret:
    """A secret as Standard Webhooks writes it."""
    allowed = f'"{PREFIX}" and base64 of {LEAST_BYTES} to {MOST_BYTES} bytes'
    if not text.startswith(PREFIX):
        raise Refusal(f'a secret that does not begin with "{PREFIX}"', allowed)
    written = text.removeprefix(PREFIX)
    try:
        value = b64decode(written + "=" * (-len(written) % 4), validate=True)
    except (NotBase64, ValueError):
        raise Refusal("a secret that is no base64", allowed) from None
    if not LEAST_BYTES <= len(value) <= MOST_BYTES:
        raise Refusal(f"a secret of {len(value)} bytes", allowed)
    return Secret(value)


Read = Callable[[str], Secret]


def take_secrets(
    table: Table, base: str, key: str, file_key: str, read: Read
) -> tuple[Secret, ...] | None:
    """The secrets that a table names by one of two keys.

    :param key: a secret, or a list of them.
    :param file_key: the file they stand in, one a line.
    :return: ``None``: neither key is there.
    """
    own = table.take(key, _in_place(read), None)
    filed = table.take(file_key, _filed(base, read), None)
    if key in table and file_key in table:
        table.mistake(file_key, f"found beside {key}; allowed: one of them")
    return own if key in table else filed


def _in_place(read: Read) -> Callable[[object], tuple[Secret, ...] | None]:
    def read_in_place(value: object) -> tuple[Secret, ...]:
        written = value if isinstance(value, list) else [value]
        secrets = tuple(read(each) for each in written if isinstance(each, str))
        if len(secrets) < len(written):
            raise Refusal("something else", "a string, or a list of strings")
        return _bounded(secrets)

    return read_in_place


def _filed(base: str, read: Read) -> Callable[[object], tuple[Secret, ...] | None]:
    def read_file(value: object) -> tuple[Secret, ...]:
        path = path_below(base)(value)
        allowed = "a file of ours to read, with a secret on each line"
        try:
            with open(path, encoding="utf-8") as file:
                content = file.read(_MOST_FILE_BYTES + 1)
        except OSError as reason:
            raise Refusal(
                f"{quoted(path)}, which cannot be read: {reason.strerror}", allowed
            ) from None
        except ValueError:
            raise Refusal(f"{quoted(path)}, which is no text", allowed) from None
        lines = [line.strip() for line in content.splitlines()]
        secrets = tuple(read(line) for line in lines if line and not line.startswith("#"))
        if not secrets or len(content) > _MOST_FILE_BYTES:
            found = "holds none" if not secrets else "is too long for one"
            raise Refusal(f"{quoted(path)}, which {found}", allowed)
        return _bounded(secrets)

    return read_file


def _bounded(secrets: tuple[Secret, ...]) -> tuple[Secret, ...]:
    if len(secrets) > MOST_SECRETS:
        raise Refusal(f"{len(secrets)} secrets", f"at most {MOST_SECRETS}")
    return secrets
