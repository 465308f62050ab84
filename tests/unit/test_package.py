"""What an installation and a source archive hold."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tomllib
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest

TREE = Path(__file__).parents[2]

#: What ``faasd-async install`` puts in place.
IN_ETC = {
    f"faasd_async/etc/{name}"
    for name in (
        *("faasd-async.toml", "demo.toml"),
        *("systemd/faasd-async.service", "systemd/faasd-async.socket"),
    )
}

PLUGINS = {
    "twisted/plugins/faasd_async_plugin.py",
    "twisted/plugins/faasd_async_reactor.py",
}

#: What lies in a checkout and is none of the project's files.
NOT_OURS = shutil.ignore_patterns(
    ".git", ".venv", "venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis"
)

needs_setuptools = pytest.mark.skipif(
    int(version("setuptools").partition(".")[0]) < 77,
    reason="the setuptools that is installed cannot build the package: [test] asks for 77",
)


#: What a browser is served.
PAGE = {
    path.relative_to(TREE).as_posix() for path in (TREE / "faasd_async/gateway/ui/static").iterdir()
}


def modules_in(directory: str) -> set[str]:
    return {path.relative_to(TREE).as_posix() for path in (TREE / directory).rglob("*.py")}


def build(kind: str, directory: Path) -> Path:
    """Build a ``wheel`` or an ``sdist`` from a copy of the tree, without a network."""
    tree = directory / "tree"
    shutil.copytree(TREE, tree, ignore=NOT_OURS)
    archive = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from setuptools import build_meta as b;"
            f" sys.stderr.write(b.build_{kind}(sys.argv[1]))",
            str(directory),
        ],
        cwd=tree,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert archive.returncode == 0, archive.stderr
    return directory / archive.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def in_wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of all files in a wheel."""
    with ZipFile(build("wheel", tmp_path_factory.mktemp("wheel"))) as wheel:
        return set(wheel.namelist())


@pytest.fixture(scope="module")
def in_sdist(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of all files in a source archive, without its top directory."""
    with tarfile.open(build("sdist", tmp_path_factory.mktemp("sdist"))) as sdist:
        return {member.name.partition("/")[2] for member in sdist if member.isfile()}


@needs_setuptools
def test_a_wheel_holds_every_module(in_wheel: set[str]) -> None:
    """Nothing of the package is left behind when it is installed."""
    assert (modules_in("faasd_async") | PAGE) - in_wheel == set()


@needs_setuptools
def test_a_wheel_holds_the_plugins(in_wheel: set[str]) -> None:
    """``twistd`` finds the daemon, and the reactor, wherever they are installed."""
    assert in_wheel >= PLUGINS


@needs_setuptools
def test_a_wheel_holds_nothing_else(in_wheel: set[str]) -> None:
    """No test, no cache and no file of Twisted's own gets into an installation."""
    metadata = {name for name in in_wheel if name.partition("/")[0].endswith(".dist-info")}
    assert in_wheel - metadata == modules_in("faasd_async") | PAGE | PLUGINS | IN_ETC


@needs_setuptools
def test_a_source_archive_holds_what_is_needed_to_go_on(in_sdist: set[str]) -> None:
    """Who has the archive has the project: code, tests, examples, documents and the licence."""
    wanted = {
        ".ci/run",
        "CHANGELOG.rst",
        "LICENSE",
        "MANIFEST.in",
        "README.rst",
        "SECURITY.rst",
        "docs/index.rst",
        "etc/demo.toml",
        "etc/faasd-async.toml",
        "pyproject.toml",
        "setup.py",
        *PLUGINS,
        *modules_in("benchmarks"),
        *modules_in("faasd_async"),
        *modules_in("tests"),
        *PAGE,
    }
    assert wanted - in_sdist == set()


@needs_setuptools
def test_a_source_archive_holds_no_leavings(in_sdist: set[str]) -> None:
    """What tools and Twisted leave in a checkout does not travel."""
    leavings = (".pyc", "dropin.cache", "twistd.log", "twistd.pid")
    assert [name for name in sorted(in_sdist) if name.endswith(leavings)] == []


def test_twisted_stays_a_package_of_its_own() -> None:
    """An ``__init__`` under ``twisted/`` would hide the real Twisted, or all other plugins."""
    assert list((TREE / "twisted").rglob("__init__.py")) == []


def test_the_tests_can_be_run_with_what_the_extra_brings() -> None:
    """Whatever the demo's functions need, the tests of them need too."""
    extras = tomllib.loads((TREE / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    assert set(extras["demo"]) <= set(extras["test"])
