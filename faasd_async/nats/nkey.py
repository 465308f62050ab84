"""NATS' own keys: Ed25519, written in base 32 with a prefix that says what it is, and a checksum.

Whoever logs in with one signs the nonce of the server's INFO; the server knows the public half.
Source: the nkeys documentation of NATS.
"""

import binascii
import re
from base64 import b32decode, b32encode, urlsafe_b64encode
from dataclasses import dataclass, field
from pathlib import Path

from faasd_async.nats.errors import BadCredentials

#: A seed's prefix, of five bits, and, in the next eight, whose: a user's.
_SEED, _USER = 18 << 3, 20 << 3

_SEED_LINE = re.compile(r"^\s*(SU[A-Z2-7]+)\s*$", re.MULTILINE)
_JWT_BLOCK = re.compile(r"-----BEGIN NATS USER JWT-----\s*(\S+)\s*-+END NATS USER JWT-+")


@dataclass(frozen=True, slots=True)
class NKey:
    """A user's key.

    :ivar secret: the 32 bytes of the private half.
    """

    secret: bytes = field(repr=False)

    @classmethod
    def from_seed(cls, seed: str) -> "NKey":
        """Read what begins with ``SU``.

        :raises BadCredentials: it is no seed of a user's key. The text does not repeat it.
        """
        try:
            raw = b32decode(seed + "=" * (-len(seed) % 8))
        except (binascii.Error, ValueError):
            raise BadCredentials("an NKEY seed that is not base 32") from None
        if len(raw) != 36:
            raise BadCredentials(f"an NKEY seed of {len(raw)} bytes; it has 36")
        if binascii.crc_hqx(raw[:-2], 0) != int.from_bytes(raw[-2:], "little"):
            raise BadCredentials("an NKEY seed whose checksum is wrong: a character is")
        if raw[0] & 0xF8 != _SEED or (raw[0] & 7) << 5 | raw[1] >> 3 != _USER:
            raise BadCredentials("an NKEY seed that is no user's; a user's begins with SU")
        return cls(raw[2:-2])

    @property
    def public(self) -> str:
        """The public half, as a server's configuration has it: ``U…``."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        public = Ed25519PrivateKey.from_private_bytes(self.secret).public_key().public_bytes_raw()
        raw = bytes([_USER]) + public
        return b32encode(raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")).decode().rstrip("=")

    def sign(self, nonce: str) -> str:
        """Sign what a server drew, in base 64 as CONNECT has it."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        signature = Ed25519PrivateKey.from_private_bytes(self.secret).sign(nonce.encode())
        return urlsafe_b64encode(signature).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is shown to a server that draws a nonce.

    :ivar jwt: what the account's owner signed for this user; empty if the server knows the key.
    """

    key: NKey
    jwt: str = field(default="", repr=False)

    def options(self, nonce: str) -> dict[str, str]:
        """What CONNECT carries of it.

        :param nonce: of the server's INFO.
        """
        known_by = {"jwt": self.jwt} if self.jwt else {"nkey": self.key.public}
        return known_by | {"sig": self.key.sign(nonce)}


def read_nkey_file(path: str) -> Credentials:
    """Read a file with a user's seed in it.

    :raises BadCredentials: there is none; the text names the file.
    """
    return Credentials(_seed_in(path, _read(path)))


def read_credentials_file(path: str) -> Credentials:
    """Read a ``.creds`` file, as ``nsc`` writes it: a JWT and a seed.

    :raises BadCredentials: it is none; the text names the file.
    """
    text = _read(path)
    found = _JWT_BLOCK.search(text)
    if found is None:
        raise BadCredentials(f"{path} is no credentials file: it has no NATS USER JWT")
    return Credentials(_seed_in(path, text), found[1])


def _read(path: str) -> str:
    try:
        return Path(path).read_text("ascii")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadCredentials(f"{path} cannot be read: {why}") from error


def _seed_in(path: str, text: str) -> NKey:
    found = _SEED_LINE.search(text)
    if found is None:
        raise BadCredentials(f"{path} has no line with a seed of a user's NKEY, SU…")
    try:
        return NKey.from_seed(found[1])
    except BadCredentials as reason:
        raise BadCredentials(f"{path} has {reason}") from None
