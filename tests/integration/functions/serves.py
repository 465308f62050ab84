"""A web server on $PORT; $LOOKS is how often ``/ready`` says 503 first.

``/pid``, ``/looks``: what they say. ``/crash``: ends at once with 3. ``/hang``: never answers.
Anything else: what was sent to it.
"""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

looks = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global looks
        if self.path == "/crash":
            os._exit(3)
        if self.path == "/hang":
            threading.Event().wait()
        if self.path == "/ready":
            looks += 1
            self.answer(b"", 200 if looks > int(os.environ.get("LOOKS", "0")) else 503)
        elif self.path == "/pid":
            self.answer(b"%d" % os.getpid())
        elif self.path == "/looks":
            self.answer(b"%d" % looks)
        else:
            self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    do_POST = do_GET  # noqa: N815 - http.server's name

    def answer(self, body, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
server.daemon_threads = True
print("serving on", os.environ["port"], flush=True)  # noqa: SIM112 - of-watchdog's name
server.serve_forever()
