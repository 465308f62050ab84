"""A container engine of the tests' own: Podman's service, with runc, and an image made of busybox.

It keeps everything in a directory of its own, so that it has nothing to do with any other.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

NEEDED = ("podman", "runc", "conmon", "iptables")
BUSYBOX = "/bin/busybox"

#: What is wanted of busybox in the image.
APPLETS = ("sh", "cat", "env", "hostname", "httpd", "ls", "true")

#: Answers with what it is sent; or tells of its surroundings, or crashes, as the query says.
FUNCTION = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
case "$QUERY_STRING" in
crash) kill -USR1 1;;
env) env;;
host) hostname;;
secret) cat /var/openfaas/secrets/token; ls /var/openfaas/secrets;;
write) for each in /file /tmp/file /var/openfaas/secrets/token; do
  if (echo x >> $each) 2>/dev/null; then echo "$each yes"; else echo "$each no"; fi; done;;
*) cat;;
esac
"""

SERVER = """#!/bin/sh
trap 'echo "asked to end"; exit 0' TERM
trap 'echo "crashing" >&2; exit 3' USR1
echo "started with $fprocess"
httpd -f -p 8080 -h /www &
while :; do wait $!; done
"""

IMAGE_FILE = """FROM scratch
COPY bin /bin
COPY start /start
COPY www /www
ENV PATH=/bin
CMD ["/start"]
"""

IMAGE = "localhost/faasd-async-test"


def why_there_is_none() -> str | None:
    """What an engine needs and is not here."""
    missing = [each for each in NEEDED if shutil.which(each) is None]
    if missing or not os.path.exists(BUSYBOX):
        return f"{', '.join(missing) or 'busybox'} is not installed"
    return None if os.geteuid() == 0 else "this is not root"


class Podman:
    """The engine.

    :ivar socket: where it listens.
    """

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "engine.sock"
        self._directory = directory
        self._podman = [
            "podman",
            *("--root", str(directory / "root"), "--runroot", str(directory / "run")),
            *("--runtime", "runc", "--cgroup-manager", "cgroupfs", "--log-level", "info"),
        ]
        self._service: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """:raises RuntimeError: it does not say that it listens."""
        self._service = subprocess.Popen(
            [*self._podman, "system", "service", "--time=0", f"unix://{self.socket}"],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._service.stderr is not None
        said = ""
        for line in self._service.stderr:
            said += line
            if "listening" in line:
                return
        raise RuntimeError(said)

    def kill(self) -> None:
        """The service alone: containers live on."""
        if self._service is not None:
            assert self._service.stderr is not None
            self._service.kill()
            self._service.wait()
            self._service.stderr.close()
            self._service = None
        self.socket.unlink(missing_ok=True)

    def end(self) -> None:
        self.run("rm", "--all", "--force", "--time", "0")
        self.kill()
        subprocess.run(["umount", str(self._directory / "root" / "overlay")], capture_output=True)

    def run(self, *arguments: str) -> str:
        """:raises RuntimeError: what it says went wrong."""
        done = subprocess.run([*self._podman, *arguments], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def build(self) -> None:
        """Make the image of the test function."""
        context = self._directory / "context"
        (context / "www" / "cgi-bin").mkdir(parents=True)
        (context / "www" / "_").mkdir()
        (context / "www" / "_" / "health").write_text("well\n")
        (context / "www" / "cgi-bin" / "index.cgi").write_text(FUNCTION)
        (context / "start").write_text(SERVER)
        for each in (context / "www" / "cgi-bin" / "index.cgi", context / "start"):
            each.chmod(0o755)
        (context / "bin").mkdir()
        shutil.copy(BUSYBOX, context / "bin" / "busybox")
        for each in APPLETS:
            (context / "bin" / each).symlink_to("busybox")
        (context / "Containerfile").write_text(IMAGE_FILE)
        self.run("build", "--quiet", "--tag", IMAGE, str(context))

    # -- what there is, asked by another way than the daemon's

    def ask(self, path: str) -> Any:
        connection = http.client.HTTPConnection("engine")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.socket))
        connection.request("GET", path)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def containers(self, state_dir: Path) -> list[Any]:
        """All that a daemon with that state directory has made, as the engine tells of them."""
        label = f"com.faasd-async.state-dir={state_dir}"
        filters = quote(json.dumps({"label": [label]}))
        return [
            self.ask(f"/v1.41/containers/{each['Id']}/json")
            for each in self.ask(f"/v1.41/containers/json?all=1&filters={filters}")
        ]
