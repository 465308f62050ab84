"""Signatures of requests, scheme by scheme. Pure calculations over the raw body.

What a caller says is read strictly: a field that is there twice, or is longer than any signature,
is none. Digests are compared in constant time, with each secret, whether or not one has matched
before.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from faasd_async.call.headers import Headers
from faasd_async.settings import VerifySettings

#: While a sender changes its secret it signs twice; of what it lists so much is looked at.
MOST_SIGNATURES = 16

_LONGEST_FIELD_BYTES = 4096

_TIMESTAMP = re.compile(rb"[0-9]{1,12}")
_HEX = re.compile(rb"(?:(sha1|sha256)=)?([0-9a-f]{40}|[0-9a-f]{64})")
_DIGESTS = {40: "sha1", 64: "sha256"}


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that is right.

    :ivar digest: of what is signed: another secret, or another way to write it, is the same.
    :ivar timestamp: when it was made, Unix seconds; ``None``: it does not say.
    """

    digest: bytes
    timestamp: int | None = None


Scheme = Callable[[VerifySettings, Headers, bytes], Signed | None]


def check(verify: VerifySettings, headers: Headers, body: bytes) -> Signed | None:
    """The signature of a request; ``None``: there is none that is right."""
    return _SCHEMES[verify.scheme](verify, headers, body)


def _github(verify: VerifySettings, headers: Headers, body: bytes) -> Signed | None:
    kind, _, written = _field(headers, b"x-hub-signature-256").partition(b"=")
    if kind != b"sha256":
        return None
    return _matching(verify, "sha256", (body,), (_from_hex(written),))


def _stripe(verify: VerifySettings, headers: Headers, body: bytes) -> Signed | None:
    timestamps, macs = [], []
    for item in _field(headers, b"stripe-signature").split(b","):
        key, _, value = item.strip().partition(b"=")
        if key == b"t":
            timestamps.append(value)
        elif key == b"v1":
            macs.append(_from_hex(value))
    if len(timestamps) != 1 or not _TIMESTAMP.fullmatch(timestamps[0]):
        return None
    return _matching(verify, "sha256", (timestamps[0], b".", body), macs, timestamps[0])


def _slack(verify: VerifySettings, headers: Headers, body: bytes) -> Signed | None:
    timestamp = _field(headers, b"x-slack-request-timestamp")
    version, _, written = _field(headers, b"x-slack-signature").partition(b"=")
    if version != b"v0" or not _TIMESTAMP.fullmatch(timestamp):
        return None
    pieces = (b"v0:", timestamp, b":", body)
    return _matching(verify, "sha256", pieces, (_from_hex(written),), timestamp)


def _standard_webhooks(verify: VerifySettings, headers: Headers, body: bytes) -> Signed | None:
    name = _field(headers, b"webhook-id")
    timestamp = _field(headers, b"webhook-timestamp")
    if not name or not _TIMESTAMP.fullmatch(timestamp):
        return None
    macs = []
    for item in _field(headers, b"webhook-signature").split():
        version, _, written = item.partition(b",")
        if version == b"v1":
            macs.append(_from_base64(written))
    pieces = (name, b".", timestamp, b".", body)
    return _matching(verify, "sha256", pieces, macs, timestamp)


def _hmac(verify: VerifySettings, headers: Headers, body: bytes) -> Signed | None:
    header = (verify.header or "").lower().encode()
    found = _HEX.fullmatch(_field(headers, header).lower())
    if found is None:
        return None
    digest = _DIGESTS[len(found[2])]
    if found[1] not in (None, digest.encode()):
        return None
    return _matching(verify, digest, (body,), (_from_hex(found[2]),))


_SCHEMES: dict[str, Scheme] = {
    "github": _github,
    "stripe": _stripe,
    "slack": _slack,
    "standard-webhooks": _standard_webhooks,
    "hmac": _hmac,
}


def _field(headers: Headers, name: bytes) -> bytes:
    """The one value of a field; empty if there is none, or more than one."""
    values = [value for each, value in headers if each.lower() == name]
    return values[0] if len(values) == 1 and len(values[0]) <= _LONGEST_FIELD_BYTES else b""


def _from_hex(written: bytes) -> bytes:
    try:
        return bytes.fromhex(written.decode("ascii"))
    except ValueError:
        return b""


def _from_base64(written: bytes) -> bytes:
    try:
        return b64decode(written, validate=True)
    except (NotBase64, ValueError):
        return b""


def _matching(
    verify: VerifySettings,
    digest: str,
    pieces: Iterable[bytes],
    macs: Sequence[bytes],
    timestamp: bytes | None = None,
) -> Signed | None:
    """What is signed, if one of the secrets makes one of *macs* of it."""
    pieces, matching = tuple(pieces), False
    for secret in verify.secrets:
        making = hmac.new(secret.value, digestmod=digest)
        for piece in pieces:
            making.update(piece)
        wanted = making.digest()
        for mac in macs[:MOST_SIGNATURES]:
            if hmac.compare_digest(mac, wanted):
                matching = True
    if not matching:
        return None
    whole = sha256()
    for piece in pieces:
        whole.update(piece)
    return Signed(whole.digest(), None if timestamp is None else int(timestamp))
