"""A machine's files, or those of an image that is built: what is put there and removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Done:
    """One thing that was done, or would be.

    :ivar what: ``put``, ``updated``, ``kept``, ``removed``, ``told``; or ``mind``: somebody has to
        see to it.
    :ivar about: what there is to say.
    """

    what: str
    path: str
    about: str = ""


class Tree:
    """Puts and removes files, and remembers it.

    :param root: what stands before each path.
    :param dry_run: nothing is changed.
    :ivar done: what was done, in order.
    """

    def __init__(self, root: Path, *, dry_run: bool) -> None:
        self.root = root
        self.dry_run = dry_run
        self.done: list[Done] = []

    def at(self, path: str) -> Path:
        """Where a path of the machine is."""
        return self.root / path.lstrip("/")

    def put(self, path: str, content: str, about: str = "", *, mode: int = 0o644) -> None:
        """Have a file with this content, whatever is there."""
        file = self.at(path)
        before = _read(file)
        if before == content:
            self.done.append(Done("kept", path, "as it was"))
            return
        self._write(file, content, mode)
        self.done.append(Done("put" if before is None else "updated", path, about))

    def put_once(
        self, path: str, content: Callable[[], str], about: str, kept: str, *, mode: int = 0o644
    ) -> None:
        """Have a file with this content, unless there is one already.

        :param kept: what is said of one.
        """
        file = self.at(path)
        if file.exists():
            self.done.append(Done("kept", path, kept))
            return
        self._write(file, content(), mode)
        self.done.append(Done("put", path, about))

    def remove(self, path: str) -> None:
        """Have nothing there: a file, a link, or a directory with all that is in it."""
        file = self.at(path)
        if not (file.exists() or file.is_symlink()):
            return
        if not self.dry_run:
            if file.is_dir() and not file.is_symlink():
                shutil.rmtree(file)
            else:
                file.unlink()
        self.done.append(Done("removed", path))

    def remove_if_empty(self, path: str) -> None:
        """A directory that nobody else has put anything into."""
        if not self.dry_run:
            with suppress(OSError):
                self.at(path).rmdir()

    def _write(self, file: Path, content: str, mode: int) -> None:
        if self.dry_run:
            return
        # What only its owner may read lies in a directory that only its owner may look into.
        private = not mode & 0o077
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o755)
        fresh = file.with_name(f".{file.name}.new")
        fresh.unlink(missing_ok=True)
        # Whole and with its mode, or not at all.
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(descriptor, "w", encoding="utf-8") as opened:
            os.fchmod(descriptor, mode)
            opened.write(content)
        fresh.replace(file)


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
