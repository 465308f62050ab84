"""The message that OpenFaaS' gateway publishes and its queue-worker reads: one JSON object.

What is empty is left out, except ``Method`` and ``Function``. The order of the fields, the escapes
in strings and the sorting of header names are those of Go's encoder, so that what is read here and
written again is the same, byte for byte.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from faasd_async.call.openfaas.go import json_string
from faasd_async.call.openfaas.url import GoUrl

#: The field that holds what OpenFaaS' form has no place for. Go's decoder passes over fields that
#: it does not know.
OURS = "FaasdAsync"


class UnreadableMessage(ValueError):
    """Bytes that are no message of OpenFaaS'; the text says why, and shows nothing of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFaasMessage:
    """The fields, by OpenFaaS' names.

    :ivar header: values by name, in Go's case; written in the order of the names.
    :ivar path: percent-decoded.
    :ivar query_string: raw.
    :ivar ours: what this daemon adds, by name.
    """

    function: str
    method: str = "POST"
    header: Mapping[str, Sequence[str]] = field(default_factory=dict)
    host: str = ""
    body: bytes = b""
    path: str = ""
    query_string: str = ""
    queue_name: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    callback_url: GoUrl | None = None
    ours: Mapping[str, str] = field(default_factory=dict)

    def write(self) -> bytes:
        """The message as it is published."""
        header = {name: _list(values) for name, values in self.header.items()}
        fields = (
            ("Header", _object(header)),
            ("Host", _string(self.host)),
            ("Body", self.body and f'"{base64.b64encode(self.body).decode()}"'),
            ("Method", json_string(self.method)),
            ("Path", _string(self.path)),
            ("QueryString", _string(self.query_string)),
            ("Function", json_string(self.function)),
            ("QueueName", _string(self.queue_name)),
            ("Annotations", _strings(self.annotations)),
            ("Labels", _strings(self.labels)),
            ("Environment", _strings(self.environment)),
            ("CallbackUrl", self.callback_url and self.callback_url.write()),
            (OURS, _strings(self.ours)),
        )
        written = ",".join(f'"{name}":{value}' for name, value in fields if value)
        return f"{{{written}}}".encode()

    @classmethod
    def read(cls, written: bytes) -> OpenFaasMessage:
        """
        :raises UnreadableMessage: it is none.
        """
        try:
            found = json.loads(written)
            if not isinstance(found, dict):
                raise UnreadableMessage("no JSON object")
            url = found.get("CallbackUrl")
            return cls(
                function=_text(found, "Function"),
                method=_text(found, "Method"),
                header=_header(found.get("Header")),
                host=_text(found, "Host"),
                body=base64.b64decode(_text(found, "Body"), validate=True),
                path=_text(found, "Path"),
                query_string=_text(found, "QueryString"),
                queue_name=_text(found, "QueueName"),
                annotations=_table(found, "Annotations"),
                labels=_table(found, "Labels"),
                environment=_table(found, "Environment"),
                callback_url=None if url is None else GoUrl.read(url),
                ours=_table(found, OURS),
            )
        except UnreadableMessage:
            raise
        except json.JSONDecodeError as reason:
            raise UnreadableMessage(f"no JSON: {reason.msg} at {reason.pos}") from None
        except (ValueError, RecursionError) as reason:
            raise UnreadableMessage(f"not OpenFaaS' JSON: {type(reason).__name__}") from None


# -- writing


def _string(text: str) -> str:
    return json_string(text) if text else ""


def _list(values: Sequence[str]) -> str:
    return "[" + ",".join(map(json_string, values)) + "]"


def _strings(table: Mapping[str, str]) -> str:
    return _object({name: json_string(value) for name, value in table.items()})


def _object(table: Mapping[str, str]) -> str:
    if not table:
        return ""
    return "{" + ",".join(f"{json_string(name)}:{table[name]}" for name in sorted(table)) + "}"


# -- reading


def _text(found: dict[str, object], name: str) -> str:
    value = found.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UnreadableMessage(f"{name} is no string")
    return value


def _table(found: dict[str, object], name: str) -> Mapping[str, str]:
    value = found.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise UnreadableMessage(f"{name} is no object of strings")
    return value


def _header(value: object) -> Mapping[str, Sequence[str]]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnreadableMessage("Header is no object")
    for values in value.values():
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            raise UnreadableMessage("Header holds something else than lists of strings")
    return value
