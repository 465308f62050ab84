"""Certificates, keys and JWTs of a test's own, as an operator of NATS would make them."""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b32encode, urlsafe_b64encode
from binascii import crc_hqx
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

_PREFIXES = {"operator": 14 << 3, "account": 0, "user": 20 << 3}


class Certificates:
    """An authority, and what it signed, as PEM files below a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, directory.name)])
        authority = self._builder(self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.ca = self._write("ca.pem", authority.sign(self._key, hashes.SHA256()))

    def issue(self, name: str, host: str = "127.0.0.1") -> tuple[str, str]:
        """A certificate for a host's address, and its key: two files."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))])
        builder = self._builder(subject, key).add_extension(names, critical=False)
        certificate = self._write(f"{name}.pem", builder.sign(self._key, hashes.SHA256()))
        path = self._directory / f"{name}.key"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate, str(path)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
        )

    def _write(self, name: str, certificate: x509.Certificate) -> str:
        path = self._directory / name
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return str(path)


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody in NATS' own world.

    :ivar kind: operator, account or user.
    """

    kind: str
    key: Ed25519PrivateKey

    @classmethod
    def draw(cls, kind: str) -> Identity:
        return cls(kind, Ed25519PrivateKey.generate())

    @property
    def public(self) -> str:
        prefix = bytes([_PREFIXES[self.kind]])
        return _written(prefix + self.key.public_key().public_bytes_raw())

    @property
    def seed(self) -> str:
        prefix = _PREFIXES[self.kind]
        first = bytes([(18 << 3) | prefix >> 5, (prefix & 31) << 3])
        return _written(first + self.key.private_bytes_raw())

    def vouch(self, other: Identity, **claims: object) -> str:
        """A JWT that says who somebody is."""
        payload: dict[str, object] = {
            "iat": int(datetime.now(UTC).timestamp()),
            "iss": self.public,
            "name": other.kind,
            "sub": other.public,
            "nats": {"type": other.kind, "version": 2, **claims},
        }
        payload["jti"] = b32encode(hashlib.sha256(os.urandom(16)).digest()).decode().rstrip("=")
        head = _base64(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode())
        signed = f"{head}.{_base64(json.dumps(payload).encode())}"
        return f"{signed}.{_base64(self.key.sign(signed.encode()))}"


def credentials_file(path: Path, jwt: str, user: Identity) -> str:
    """What ``nsc`` writes for a user."""
    path.write_text(
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )
    return str(path)


def _written(raw: bytes) -> str:
    checked = raw + crc_hqx(raw, 0).to_bytes(2, "little")
    return b32encode(checked).decode().rstrip("=")


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
