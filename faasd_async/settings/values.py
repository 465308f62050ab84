"""Readers: each takes one value as TOML or the environment gave it and returns it checked.

A reader raises :class:`Refusal`, which says what was found and what would have been allowed. It
knows neither the key nor the file: whoever asked for the value adds them.
"""

import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from faasd_async.settings.mistakes import Refusal, shown

T = TypeVar("T")
Reader = Callable[[object], T]

NAME = re.compile(r"[-a-zA-Z_0-9.]{1,63}")
NAME_ALLOWED = 'a name of at most 63 letters, digits, "-", "_" and "."'
FILE_NAME_ALLOWED = f'{NAME_ALLOWED} that does not begin with "."'

_HOST_NAME = re.compile(r"[a-zA-Z0-9]([-a-zA-Z_0-9.]{0,251}[a-zA-Z0-9])?")
_CLIENT_ID = re.compile(r"[-a-zA-Z_0-9]{1,128}")

_LARGEST_INTEGER = 2**31 - 1
_CONTENT_TYPE = re.compile(r"[-!#$&^_.+a-zA-Z0-9]+/[-!#$&^_.+a-zA-Z0-9]+(;[ -~]+)?")
_PRINTABLE = re.compile(r"[!-~]+")

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


def boolean(value: object) -> bool:
    """Read TOML's ``true`` or ``false``."""
    if isinstance(value, bool):
        return value
    raise Refusal(shown(value), "true or false")


def boolean_text(value: object) -> bool:
    """Read a boolean of the environment, spelled in any way that Go understands."""
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise Refusal(shown(value), "true or false, 1 or 0")


def integer(least: int, most: int = _LARGEST_INTEGER) -> Reader[int]:
    """Read an integer of TOML within the bounds, both included."""
    allowed = "an integer " + (
        f"of at least {least}" if most == _LARGEST_INTEGER else f"from {least} to {most}"
    )

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Refusal(shown(value), allowed)
        return value

    return read


def integer_text(least: int, most: int = _LARGEST_INTEGER) -> Reader[int]:
    """Read an integer that stands in a string, as in the environment and in annotations."""
    read = integer(least, most)

    def read_text(value: object) -> int:
        digits = isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}", value)
        return read(int(digits[0]) if digits else value)

    return read_text


def text(value: object) -> str:
    """Read a string that is not empty."""
    if isinstance(value, str) and value:
        return value
    raise Refusal(shown(value), "a string that is not empty")


def any_text(value: object) -> str:
    """Read a string, which may be empty."""
    if isinstance(value, str):
        return value
    raise Refusal(shown(value), "a string")


def secret(value: object) -> str:
    """Read a string that no message may repeat."""
    if isinstance(value, str) and value:
        return value
    raise Refusal("an empty string" if value == "" else "no string", "a string that is not empty")


def name(value: object) -> str:
    """Read the name of a queue or a namespace."""
    if isinstance(value, str) and NAME.fullmatch(value):
        return value
    raise Refusal(shown(value), NAME_ALLOWED)


def file_name(value: object) -> str:
    """Read the name of a secret, which becomes that of a file."""
    if isinstance(value, str) and is_file_name(value):
        return value
    raise Refusal(shown(value), FILE_NAME_ALLOWED)


def is_file_name(text: str) -> bool:
    """Whether a secret, or a function, can be called so: where it is looked for by its name, on
    disk or in a URL, it is no step to somewhere else, and not hidden."""
    return NAME.fullmatch(text) is not None and not text.startswith(".")


def client_id(value: object) -> str:
    """Read what a client, or a cluster, of NATS Streaming is called."""
    if isinstance(value, str) and _CLIENT_ID.fullmatch(value):
        return value
    raise Refusal(shown(value), 'letters, digits, "-" and "_", at most 128 of them')


def channel(value: object) -> str:
    """Read the name of a channel of NATS Streaming, or of a queue that is one."""
    if isinstance(value, str) and NAME.fullmatch(value) and all(value.split(".")):
        return value
    raise Refusal(shown(value), f'{NAME_ALLOWED}, no "." at an end or beside another')


def choice(allowed: tuple[T, ...]) -> Reader[T]:
    """Read one of some strings."""
    choices = " or ".join(shown(each) for each in allowed)

    def read(value: object) -> T:
        for each in allowed:
            if value == each:
                return each
        raise Refusal(shown(value), choices)

    return read


def list_of(read_item: Reader[T], least: int = 0) -> Reader[tuple[T, ...]]:
    """Read a list of at least so many items; a wrong item is told as the one that was found."""

    def read(value: object) -> tuple[T, ...]:
        if not isinstance(value, list) or len(value) < least:
            raise Refusal(shown(value), "a list" + (f" of at least {least}" if least else ""))
        return tuple(read_item(item) for item in value)

    return read


def table_of_strings(value: object) -> Mapping[str, str]:
    """Read a table whose values are all strings. They may be secret: messages leave them out."""
    if not isinstance(value, dict):
        raise Refusal(shown(value), "a table of strings")
    for key, item in value.items():
        if not isinstance(item, str):
            raise Refusal(f"no string at {shown(key)}", "a table of strings")
    return MappingProxyType(value)


def variables(value: object) -> Mapping[str, str]:
    """Read a table of environment variables."""
    table = table_of_strings(value)
    for key, item in table.items():
        if not key or "=" in key or "\0" in key + item:
            raise Refusal(
                f"the variable {shown(key)}",
                'names that are not empty and without "=", and no NUL character',
            )
    return table


def http_url(value: object) -> str:
    """Read the URL below which a function answers."""
    parts = _split_url(value)
    if parts and parts.scheme in ("http", "https") and "?" not in parts.geturl():
        return str(value)
    raise Refusal(
        _shown_url(value),
        'an absolute URL without credentials, query and fragment, such as "http://127.0.0.1:9000"',
    )


def nats_url(value: object) -> str:
    """Read where a NATS server listens."""
    parts = _split_url(value)
    if parts and parts.scheme in ("nats", "tls") and parts.path in ("", "/"):
        return str(value)
    raise Refusal(
        _shown_url(value),
        '"nats://host:4222" or "tls://host:4222", without credentials (they go into user and'
        " password, or token)",
    )


def host(value: object) -> str:
    """Read a host's name or address; one of IPv6 stands in brackets."""
    parts = _split_url(f"nats://{value}")
    if parts and parts.netloc == value and parts.port is None:
        return str(value)
    raise Refusal(shown(value), 'a host such as "nats", "10.0.0.7" or "[::1]"')


def host_name(value: object) -> str:
    """Read the name of a host, without a port."""
    if isinstance(value, str) and _HOST_NAME.fullmatch(value):
        return value.lower()
    raise Refusal(shown(value), 'the name of a host, such as "gateway.example.com"')


def network(value: object) -> str:
    """Read an address or a range of them, or the word ``unix``."""
    try:
        return "unix" if value == "unix" else str(ip_network(str(value)))
    except ValueError:
        raise Refusal(
            shown(value), 'an address or a range such as "10.0.0.0/8", or "unix"'
        ) from None


def _split_url(value: object) -> SplitResult | None:
    """The parts of an absolute URL without credentials, query and fragment; else ``None``."""
    # urlsplit drops tabs and newlines and an empty query in silence: so look before it does.
    if not isinstance(value, str) or not _PRINTABLE.fullmatch(value) or set(value) & set("@?#"):
        return None
    try:
        parts = urlsplit(value)
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:  # a bad port or a bad IPv6 address
        return None


def _shown_url(value: object) -> str:
    """A URL for a message, unless it may hold a secret."""
    marks = set(value) & set("@?#") if isinstance(value, str) else ()
    return f"one with {shown(min(marks))}" if marks else shown(value)


def command(value: object) -> tuple[str, ...]:
    """Read a program with its arguments.

    A string is split as a shell would. The word ``{python}`` stands for the interpreter that
    runs the daemon, so that a function finds what is installed beside it.
    """
    allowed = 'a program and its arguments, such as ["figlet", "-w", "60"] or "figlet -w 60"'
    try:
        words = shlex.split(value) if isinstance(value, str) else value
    except ValueError as error:
        raise Refusal(f"a command that cannot be split ({error})", allowed) from None
    if not isinstance(words, list) or not words or words[0] == "":
        raise Refusal(shown(value), allowed)
    for word in words:
        if not isinstance(word, str) or "\0" in word:
            raise Refusal(f"the word {shown(word)}", allowed)
    return tuple(sys.executable if word == "{python}" else word for word in words)


def content_type(value: object) -> str:
    """Read the value of a Content-Type header."""
    if isinstance(value, str) and _CONTENT_TYPE.fullmatch(value):
        return value
    raise Refusal(shown(value), 'a media type such as "text/plain" or "text/plain; charset=utf-8"')


def url_path(value: object) -> str:
    """Read the path of a URL."""
    if isinstance(value, str) and value.startswith("/") and _PRINTABLE.fullmatch(value):
        return value
    raise Refusal(shown(value), 'a path such as "/_/ready"')


def path_below(base: str) -> Reader[str]:
    """Read a file's or directory's path; a relative one is taken from ``base``."""

    def read(value: object) -> str:
        if isinstance(value, str) and value and "\0" not in value:
            return os.path.abspath(os.path.join(base, value))
        raise Refusal(shown(value), "a path")

    return read
