"""A web server that answers with its process id, and writes what it is asked for to its log."""

import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        print(self.rfile.read(size).decode(), flush=True)
        body = b"%d" % os.getpid()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing of its own."""


HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
sys.exit(1)
