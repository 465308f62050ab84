"""Waits for callbacks, shows each and answers 200: ``python -m faasd_async.demo.listener 8888``."""

import contextlib
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USUAL_PORT = 8888


class Callback(BaseHTTPRequestHandler):
    """One request, shown as it came."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Show it and be content."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        shown = f"{self.requestline}\n{self.headers}{body.decode(errors='replace')}\n"
        sys.stdout.write(shown)
        sys.stdout.flush()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """The request itself has been shown."""


def main() -> None:
    """Listen until interrupted."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else USUAL_PORT
    with ThreadingHTTPServer(("", port), Callback) as server:
        sys.stdout.write(f"waiting for callbacks on port {port}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
