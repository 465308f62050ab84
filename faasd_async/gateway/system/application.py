"""The operator's routes. Each is a few lines: what a route does stands in a module of its own."""

from __future__ import annotations

from urllib.parse import unquote

from klein import Klein
from klein.resource import KleinResource

from faasd_async.gateway.answers import explain_errors


class SystemGateway:
    """Everything under ``/system/``. Whoever gets here has been admitted."""

    app = Klein()
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    explain_errors(app)

    def resource(self) -> KleinResource:
        return self.app.resource()


def named(segment: str) -> str:
    """What a path segment says: the router shows it as it was written, escapes and all."""
    return unquote(segment, errors="surrogateescape")
