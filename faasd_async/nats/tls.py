"""TLS with a server: begun on the open connection, after its INFO, as NATS does it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faasd_async.nats.errors import BadCredentials


@dataclass(frozen=True, slots=True)
class Tls:
    """How to trust a server, and how it is to trust us. What is not given is the system's.

    :ivar ca_file: certificates, PEM, that may sign the server's.
    :ivar certificate_file: our own certificate, PEM, for servers that ask for one.
    :ivar key_file: the key to it, PEM; it may stand in the same file.
    :ivar required: never go on in the clear, whatever the server says.
    """

    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    required: bool = False

    def options(self, host: str) -> Any:
        """What Twisted's ``startTLS`` takes: the server has to prove that it is ``host``.

        :raises BadCredentials: a file is not what it should be; the text names it.
        """
        # 12 MiB that a daemon without TLS does not need.
        from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates

        trust = None
        if self.ca_file is not None:
            blocks = _blocks(self.ca_file, _read(self.ca_file))
            trust = trustRootFromCertificates([Certificate.loadPEM(each) for each in blocks])
        return optionsForClientTLS(host, trust, self._own())

    def _own(self) -> Any:
        from OpenSSL.SSL import Error
        from twisted.internet.ssl import PrivateCertificate

        if self.certificate_file is None:
            return None
        pem = _read(self.certificate_file)
        if self.key_file is not None:
            pem += b"\n" + _read(self.key_file)
        try:
            return PrivateCertificate.loadPEM(pem)
        except (Error, ValueError, TypeError) as error:
            raise BadCredentials(
                f"{self.certificate_file} and {self.key_file or 'the key in it'} are no"
                f" certificate and key in PEM"
            ) from error


_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


def _blocks(path: str, pem: bytes) -> list[bytes]:
    """Each certificate of a file by itself."""
    blocks = [_BEGIN + each.partition(_END)[0] + _END + b"\n" for each in pem.split(_BEGIN)[1:]]
    if not blocks:
        raise BadCredentials(f"{path} has no certificate in PEM")
    return blocks


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BadCredentials(f"{path} cannot be read: {error.strerror}") from error
