"""Secrets: a file for each, of mode 0600, under the state directory; shown to nobody.

A function finds those it names as files of a directory of its own. They are links to the one file
there is of each: what is written there anew is there for all who have it, at once.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from twisted.internet.defer import DeferredLock

from faasd_async.errors import ConfigurationError
from faasd_async.functions.errors import Kept, NotUsable, NotYet, Unknown
from faasd_async.functions.store import Elsewhere, on_disk
from faasd_async.private_files import (
    explaining_start_errors,
    make_private_directory,
    remove_durably,
    write_durably,
)
from faasd_async.settings import FunctionSettings
from faasd_async.settings.values import file_name

#: How many there may be.
MOST_SECRETS = 1000


class SecretStore:
    """Keeps secrets. One change is under way at a time.

    :param state_dir: absolute.
    """

    def __init__(self, state_dir: Path, elsewhere: Elsewhere) -> None:
        self._kept = state_dir / "secrets"
        self._given = state_dir / "given-secrets"
        self._elsewhere = elsewhere
        self._lock = DeferredLock()

    def prepare(self) -> None:
        """Have the directories, and nothing given to anybody yet.

        :raises StartError: they cannot be made.
        """
        with explaining_start_errors(self._kept):
            make_private_directory(self._kept)
            shutil.rmtree(self._given, ignore_errors=True)
            make_private_directory(self._given)

    @property
    def names(self) -> list[str]:
        """What there is."""
        if not self._kept.is_dir():
            return []
        return sorted(path.name for path in self._kept.iterdir() if path.name[0] != ".")

    async def put(self, name: str, value: bytes, *, new: bool) -> None:
        """Keep a secret.

        :param new: whether there must be none of that name yet, or has to be one.
        :raises NotUsable: the name is none, or there are too many.
        :raises Kept: there is one.
        :raises Unknown: there is none.
        :raises NotYet: the daemon is starting.
        :raises NotStored: it is not there now.
        """
        try:
            path = self._kept / file_name(name)
        except ConfigurationError as reason:
            raise NotUsable(f"name: {reason}") from None
        await self._lock.acquire()
        try:
            names = self.names
            if not self._kept.is_dir():
                raise NotYet("the functions are still starting")
            if new and name in names:
                raise Kept(f"there is a secret called {name} already; PUT changes it")
            if new and len(names) >= MOST_SECRETS:
                raise NotUsable(f"there are {MOST_SECRETS} secrets already")
            if not new and name not in names:
                raise Unknown(f"no secret is called {name}")
            await on_disk(self._elsewhere, lambda: write_durably(path, value))
        finally:
            self._lock.release()

    async def remove(self, name: str) -> None:
        """
        :raises Unknown: there is none.
        :raises NotStored: it may still be there.
        """
        await self._lock.acquire()
        try:
            if name not in self.names:
                raise Unknown(f"no secret is called {name}")
            path = self._kept / name
            await on_disk(self._elsewhere, lambda: remove_durably(path))
        finally:
            self._lock.release()

    def directory_of(self, function: str) -> str:
        """Where a function finds those it names."""
        return str(self._directory(function))

    def _directory(self, function: str) -> Path:
        return self._given / f"for-{function}"

    def give(self, functions: Mapping[str, FunctionSettings]) -> None:
        """Give each function the secrets that it names, and no others. One that is not there yet
        will be where it is looked for as soon as it is."""
        for name, function in functions.items():
            directory = self._directory(name)
            if not function.secrets:
                shutil.rmtree(directory, ignore_errors=True)
                continue
            make_private_directory(directory)
            for link in directory.iterdir():
                if link.name not in function.secrets:
                    link.unlink()
            for secret in function.secrets:
                link = directory / secret
                if not link.is_symlink():
                    link.symlink_to(self._kept / secret)
