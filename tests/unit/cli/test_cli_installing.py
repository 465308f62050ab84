"""``install`` and ``uninstall``, into a directory instead of a machine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from faasd_async.cli.main import cli
from faasd_async.settings import load

SERVICE = "etc/systemd/system/faasd-async.service"
CONFIGURATION = "etc/faasd-async/faasd-async.toml"
PASSWORD = "etc/faasd-async/secrets/basic-auth-password"
SOCKET_DROP_IN = "etc/systemd/system/faasd-async.service.d/10-socket.conf"
DROP_IN = "etc/systemd/system/faasd-async.service.d/10-password.conf"


def run(root: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--json", *words, "--root", str(root)])


def install(root: Path, *options: str) -> dict[str, str]:
    """:return: what was done, by path."""
    done = run(root, "install", "--prefix", "/opt/faas", *options)
    assert done.exit_code == 0, done.output
    return told(done)


def told(done: Result) -> dict[str, str]:
    lines: list[dict[str, Any]] = json.loads(done.stdout)
    return {line["path"].lstrip("/"): line["what"] for line in lines}


def files(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()
    }


def test_what_is_put_in_place(tmp_path: Path) -> None:
    """Units that run what was installed, a configuration that asks for the password, and that."""
    done = install(tmp_path)
    put = files(tmp_path)
    assert {path for path, what in done.items() if what == "put"} == put.keys()
    assert "ExecStart=/opt/faas/bin/twistd -n" in put[SERVICE]
    assert "/opt/faasd-async" not in put[SERVICE]
    assert "LoadCredential=basic-auth-password:/etc/faasd-async/secrets/" in put[DROP_IN]
    settings = load(str(tmp_path / CONFIGURATION), {})
    assert settings.gateway.basic_auth
    assert settings.gateway.secret_mount_path == "/run/credentials/faasd-async.service"
    assert settings.functions == {}
    assert len(put[PASSWORD]) > 30
    assert (tmp_path / PASSWORD).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / PASSWORD).parent.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / SERVICE).stat().st_mode & 0o777 == 0o644
    assert done["opt/faas/bin/twistd"] == "mind"


def test_a_second_time(tmp_path: Path) -> None:
    """Nothing changes; a unit of another version is brought up to date, what the operator wrote is
    kept, and a password that nobody is asked for is told of."""
    install(tmp_path)
    before = files(tmp_path)
    assert set(install(tmp_path).values()) == {"kept", "mind"}
    assert files(tmp_path) == before
    (tmp_path / SERVICE).write_text("[Service]\n")
    (tmp_path / CONFIGURATION).write_text("[gateway]\nlisten = ['tcp:80']\n")
    (tmp_path / DROP_IN).with_name("20-mine.conf").write_text("[Service]\n")
    done = install(tmp_path)
    assert done[SERVICE] == "updated"
    assert done[CONFIGURATION] == "mind"
    assert (tmp_path / CONFIGURATION).read_text() == "[gateway]\nlisten = ['tcp:80']\n"
    assert (tmp_path / SERVICE).read_text() == before[SERVICE]
    run(tmp_path, "uninstall")
    assert (tmp_path / DROP_IN).with_name("20-mine.conf").exists()


def test_the_demo(tmp_path: Path) -> None:
    """Its functions, in a configuration that can be used."""
    install(tmp_path, "--demo")
    settings = load(str(tmp_path / CONFIGURATION), {})
    assert set(settings.functions) == {"figlet", "echo", "sleep", "fail"}


def test_with_the_socket(tmp_path: Path) -> None:
    """systemd is told to open it before the service, and the daemon to listen there; it stays so,
    and goes with the rest."""
    done = install(tmp_path, "--socket")
    assert done[SOCKET_DROP_IN] == "put"
    assert "Requires=faasd-async.socket" in (tmp_path / SOCKET_DROP_IN).read_text()
    settings = load(str(tmp_path / CONFIGURATION), {})
    assert settings.gateway.listen == ("systemd:domain=INET6:index=0",)
    assert install(tmp_path)[SOCKET_DROP_IN] == "kept"
    assert told(run(tmp_path, "uninstall"))[SOCKET_DROP_IN] == "removed"


def test_with_the_socket_later(tmp_path: Path) -> None:
    """The configuration is the operator's, who is told what to say there; once it is said, the
    service asks for the socket whether it was asked for or not."""
    install(tmp_path)
    assert not (tmp_path / SOCKET_DROP_IN).exists()
    done = run(tmp_path, "install", "--prefix", "/opt/faas", "--socket")
    assert 'say listen = [\\"systemd:domain=INET6:index=0\\"] in [gateway]' in done.stdout
    (tmp_path / SOCKET_DROP_IN).unlink()
    (tmp_path / CONFIGURATION).write_text(
        '[gateway]\nbasic_auth = true\nlisten = ["systemd:domain=INET6:index=0"]\n'
    )
    done = run(tmp_path, "install", "--prefix", "/opt/faas")
    assert told(done)[SOCKET_DROP_IN] == "put"
    assert "say listen" not in done.stdout


def test_a_dry_run(tmp_path: Path) -> None:
    """Says the same, and changes nothing."""
    dry = install(tmp_path, "--dry-run")
    assert list(tmp_path.iterdir()) == []
    assert dry == install(tmp_path)
    before = files(tmp_path)
    dry = told(run(tmp_path, "uninstall", "--purge", "--dry-run"))
    assert files(tmp_path) == before
    assert dry == told(run(tmp_path, "uninstall", "--purge"))


def test_what_stays(tmp_path: Path) -> None:
    """Configuration, password and state, unless they are purged."""
    install(tmp_path)
    state = tmp_path / "var/lib/private/faasd-async"
    state.mkdir(parents=True)
    (state.parent.parent / "faasd-async").symlink_to("private/faasd-async")
    done = told(run(tmp_path, "uninstall"))
    assert done[SERVICE] == "removed"
    assert done["var/lib/private/faasd-async"] == "kept"
    assert state.exists()
    assert (tmp_path / PASSWORD).exists()
    assert not (tmp_path / DROP_IN).parent.exists()
    run(tmp_path, "uninstall", "--purge")
    left = [path for path in tmp_path.rglob("*") if "faasd" in path.name]
    assert left == []
    assert told(run(tmp_path, "uninstall", "--purge")) == {}


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("/home/pi/venv", "ProtectHome="),
        ("/opt/a b", "no absolute path"),
        ("venv", "no absolute path"),
        ("/opt/%h", "no absolute path"),
    ],
)
def test_where_the_unit_would_not_find_it(tmp_path: Path, prefix: str, said: str) -> None:
    """The directive is named, and nothing is put."""
    done = CliRunner().invoke(cli, ["install", "--root", str(tmp_path), "--prefix", prefix])
    assert (done.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert said in done.stderr


def test_who_may_not(tmp_path: Path) -> None:
    """Is told the path, and what would help."""
    (tmp_path / "etc").write_text("a file where a directory should be")
    done = run(tmp_path, "install", "--prefix", "/opt/faas")
    assert done.exit_code == 1
    assert "are you root?" in done.stderr
    assert os.listdir(tmp_path) == ["etc"]
