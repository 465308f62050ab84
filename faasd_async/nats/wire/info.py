"""What a server says about itself in INFO."""

import json
from dataclasses import dataclass
from typing import Any, TypeVar

from faasd_async.nats.wire.errors import ProtocolError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The part of INFO that a client acts on; the rest is left where it is.

    :ivar max_payload_bytes: headers and payload of one message together.
    :ivar nonce: to be signed by whoever logs in with a key; empty if nobody is to.
    :ivar lame_duck: the server is about to shut down and asks its clients to leave.
    """

    server_id: str = ""
    server_name: str = ""
    version: str = ""
    max_payload_bytes: int = 1024 * 1024
    headers: bool = False
    jetstream: bool = False
    auth_required: bool = False
    tls_required: bool = False
    tls_available: bool = False
    nonce: str = ""
    lame_duck: bool = False

    @classmethod
    def from_json(cls, document: bytes) -> "ServerInfo":
        """Read the argument of INFO.

        :raises ProtocolError: it is no JSON object, or a field has another type than it should.
        """
        try:
            fields = json.loads(document)
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"INFO is not JSON: {error}") from error
        if not isinstance(fields, dict):
            raise ProtocolError("INFO is not a JSON object")
        return cls(
            server_id=_field(fields, "server_id", str, ""),
            server_name=_field(fields, "server_name", str, ""),
            version=_field(fields, "version", str, ""),
            max_payload_bytes=_field(fields, "max_payload", int, 1024 * 1024),
            headers=_field(fields, "headers", bool, False),
            jetstream=_field(fields, "jetstream", bool, False),
            auth_required=_field(fields, "auth_required", bool, False),
            tls_required=_field(fields, "tls_required", bool, False),
            tls_available=_field(fields, "tls_available", bool, False),
            nonce=_field(fields, "nonce", str, ""),
            lame_duck=_field(fields, "ldm", bool, False),
        )


def _field(fields: dict[str, Any], name: str, kind: type[T], default: T) -> T:
    value = fields.get(name, default)
    if type(value) is not kind:
        raise ProtocolError(f"INFO says {name} = {value!r}, which is no {kind.__name__}")
    return value
