"""TLS is loaded by who needs it. Each test has a process of its own: this one has it already."""

from __future__ import annotations

import subprocess
import sys

_LOADED = """
import sys
import faasd_async.tap
from twisted.internet import _newtls, endpoints, posixbase, tcp
assert tcp.Connection.startTLS is _newtls.ConnectionMixin.startTLS
assert not {"OpenSSL", "cryptography", "twisted.internet.ssl"} & set(sys.modules)
"""

_ALL_IS_REAL = """
from OpenSSL.SSL import Error
from twisted.internet import ssl
from twisted.protocols import _sni, tls
assert _newtls.TLSMemoryBIOFactory is endpoints.TLSMemoryBIOFactory is tls.TLSMemoryBIOFactory
assert endpoints.SSLError is Error and posixbase._tls is tls
assert endpoints.Certificate is ssl.Certificate
assert endpoints.optionsForClientTLS is ssl.optionsForClientTLS
assert endpoints._TLSServerEndpoint is _sni.TLSServerEndpoint
assert not [n for m in (_newtls, endpoints, posixbase) for n, v in vars(m).items()
            if type(v).__module__ == "faasd_async.tls_when_needed"]
"""


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_daemon_does_not_load_it() -> None:
    """All of it is imported, and its transports could speak TLS; on our own reactor, too."""
    run(_LOADED)
    run(f"import faasd_async.lean_reactor\n{_LOADED}")


def test_the_first_use_loads_it() -> None:
    """Of a function or of a class; nothing stands in for anything any more."""
    for use in (
        "options = endpoints.CertificateOptions()",
        "made = endpoints.optionsForClientTLS('h.test')",
        "try: endpoints.Certificate.loadPEM(b'none')\nexcept Exception: pass",
        "made = _newtls.TLSMemoryBIOFactory(endpoints.CertificateOptions(), False, None)",
    ):
        run(f"{_LOADED}\n{use}\n{_ALL_IS_REAL}")


def test_who_has_twisted_already_keeps_it() -> None:
    """As one who chose another reactor has."""
    run(
        f"from twisted.internet import endpoints, tcp\nimport faasd_async.tap\n"
        f"from twisted.internet import _newtls, posixbase\n{_ALL_IS_REAL}"
    )
