"""A user name and a password, as HTTP has them said."""

from __future__ import annotations

from binascii import Error as NotBase64
from binascii import a2b_base64
from hashlib import sha256
from hmac import compare_digest


class Credentials:
    """A user name and a password, of which only a digest is kept."""

    def __init__(self, user: bytes, password: bytes) -> None:
        self._digest = sha256(user + b":" + password).digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Credentials) and compare_digest(other._digest, self._digest)

    def __hash__(self) -> int:
        return hash(self._digest)

    def match(self, authorization: bytes) -> bool:
        """Whether the value of an ``Authorization`` field says them (RFC 7617).

        It takes the same time whatever part of them is right.
        """
        scheme, _, encoded = authorization.partition(b" ")
        if scheme.lower() != b"basic":
            return False
        try:
            said = a2b_base64(encoded.strip(), strict_mode=True)
        except NotBase64:
            return False
        return compare_digest(sha256(said).digest(), self._digest)
