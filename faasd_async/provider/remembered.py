"""The list of another provider's functions on disk: what is known of them after a restart while it
does not answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from faasd_async.private_files import write_private
from faasd_async.provider.listed import Sheet, Sheets

#: A newer one is not read: it may say what this version does not know.
FORMAT = 1


class _Record(msgspec.Struct):
    url: str
    sheets: dict[str, list[Sheet]]
    format: int = FORMAT


class Remembered:
    """Keeps one list.

    :param url: whose; that of another provider counts for nothing.
    :param elsewhere: has something done that may take a while.
    """

    _log = Logger()

    def __init__(
        self, path: Path, url: str, elsewhere: Callable[[Callable[[], None]], Deferred[None]]
    ) -> None:
        self._path = path
        self._url = url
        self._elsewhere = elsewhere

    def read(self) -> Sheets:
        """What was written last; nothing, if that cannot be read."""
        try:
            record = msgspec.json.decode(self._path.read_bytes(), type=_Record)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as reason:
            self._log.warn("{path} cannot be read: {reason}", path=self._path, reason=str(reason))
            return {}
        return record.sheets if (record.url, record.format) == (self._url, FORMAT) else {}

    async def write(self, sheets: Sheets) -> None:
        """Keep a list. A disk that does not take it is no reason to do without it now."""
        record = _Record(self._url, {name: list(each) for name, each in sheets.items()})
        try:
            await self._elsewhere(partial(write_private, self._path, msgspec.json.encode(record)))
        except OSError as reason:
            self._log.warn(
                "{path} cannot be written: {reason}", path=self._path, reason=str(reason)
            )
