"""The files of the embedded server."""

import os
import stat
from pathlib import Path

import pytest

from faasd_async.nats.server.configuration import (
    ANY_PORT,
    Credentials,
    ServerFiles,
    ServerSettings,
    quoted,
)


def mode(path: Path) -> int:
    """The permission bits of a path."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain", '"plain"'),
        ("a b $c #d 'e' é", "\"a b $c #d 'e' é\""),
        ('say "x"', '"say \\"x\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("two\nlines\x7f", '"two\\x0alines\\x7f"'),
    ],
)
def test_quoting(text: str, written: str) -> None:
    """Quotes, backslashes and control characters cannot end a string."""
    assert quoted(text) == written


def test_making_one_touches_nothing(tmp_path: Path) -> None:
    """Paths are only paths."""
    ServerFiles(tmp_path / "state")
    assert list(tmp_path.iterdir()) == []


def test_credentials_are_kept(tmp_path: Path) -> None:
    """A second start finds the credentials of the first."""
    assert ServerFiles(tmp_path).prepare() == ServerFiles(tmp_path).prepare()


def test_each_installation_has_its_own_password(tmp_path: Path) -> None:
    """Passwords are long and not shared between state directories."""
    one, other = ServerFiles(tmp_path / "1").prepare(), ServerFiles(tmp_path / "2").prepare()
    assert one.password != other.password
    assert len(one.password) >= 40


@pytest.mark.parametrize("content", [b"", b"user", b"user:short\n", b"\xff\x00", b'a":b\n' * 9])
def test_spoilt_credentials_are_drawn_anew(tmp_path: Path, content: bytes) -> None:
    """A file that holds no credentials is replaced."""
    files = ServerFiles(tmp_path)
    files.directory.mkdir()
    files.credentials.write_bytes(content)
    drawn = files.prepare()
    assert len(drawn.password) >= 40
    assert files.prepare() == drawn


def test_everything_is_private_whatever_the_umask(tmp_path: Path) -> None:
    """Directory 0700, files 0600, with a umask of 0."""
    files = ServerFiles(tmp_path)
    before = os.umask(0)
    try:
        credentials = files.prepare()
        files.write_configuration(ServerSettings(tmp_path, 1), credentials, ANY_PORT)
    finally:
        os.umask(before)
    assert mode(files.directory) == 0o700
    assert mode(files.configuration) == 0o600
    assert mode(files.credentials) == 0o600


def test_the_settings_are_written(tmp_path: Path) -> None:
    """Every setting stands in the configuration, on loopback, with nothing else opened."""
    files = ServerFiles(tmp_path)
    files.directory.mkdir()
    settings = ServerSettings(
        tmp_path,
        max_file_store_bytes=111,
        max_memory_store_bytes=222,
        max_payload_bytes=333,
        max_pending_bytes=444,
        server_name="edge",
    )
    files.write_configuration(settings, Credentials("u", "p"), 4444)
    lines = [line.strip() for line in files.configuration.read_text().splitlines()]
    for line in (
        'host: "127.0.0.1"',
        "port: 4444",
        'server_name: "edge"',
        "logtime: false",
        "max_file_store: 111",
        "max_memory_store: 222",
        "max_payload: 333",
        "max_pending: 444",
        'user: "u"',
        'password: "p"',
        f'pid_file: "{files.pid}"',
    ):
        assert line in lines
    assert not [line for line in lines if line.startswith(("http", "monitor", "cluster"))]
