"""Which containers are this daemon's: they are told by their labels, whoever made them.

A daemon that is killed leaves its containers running. The next one takes over the one that is as it
would make it, and removes the others: a function never has two, but for a moment when its settings
change and calls of the old one still run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from faasd_async.runtime.container.description import digest, with_secrets
from faasd_async.runtime.container.engine import Engine, Listed
from faasd_async.runtime.container.errors import EngineError
from faasd_async.runtime.container.secrets import Secrets

#: Whose container it is, by the state directory; of which function; and how it was made.
STATE_DIR = "com.faasd-async.state-dir"
FUNCTION = "com.faasd-async.function"
MADE_AS = "com.faasd-async.made-as"


class Ours:
    """The containers of one installation.

    :param draw: some hexadecimal digits that were never drawn before.
    """

    _log = Logger()

    def __init__(
        self,
        engine: Engine,
        state_dir: Path,
        secrets: Secrets,
        draw: Callable[[], str] = lambda: os.urandom(4).hex(),
    ) -> None:
        self._engine = engine
        self._state_dir = str(state_dir)
        self._secrets = secrets
        self._draw = draw
        #: Those that a runtime of this process has, or is about to.
        self._in_hand: set[str] = set()

    async def adopt(self, function: str, made_as: str, image_id: str) -> str | None:
        """Remove what is left of a function's containers, but for the one that can go on.

        :return: its name, if there is one; it runs.
        """
        adopted = None
        try:
            for each in await self._left_behind():
                if each.labels.get(FUNCTION) != function:
                    continue
                same = each.labels.get(MADE_AS) == made_as and each.image_id == image_id
                if adopted is None and same and each.is_running:
                    adopted = each.name
                    self._in_hand.add(adopted)
                else:
                    await self._remove_left_behind(each)
        except BaseException:
            # Nobody has it, then: it is found again.
            self._in_hand.discard(adopted or "")
            raise
        if adopted is not None:
            self._log.info(
                "{function} goes on in {container}, which an earlier daemon left behind",
                function=function,
                container=adopted,
            )
        return adopted

    async def create(
        self, function: str, description: Mapping[str, Any], secrets: Mapping[str, bytes]
    ) -> str:
        """Make a container of a function and start it.

        :return: its name.
        :raises EngineError: there is none, or it does not start; nothing of it is left.
        """
        name = f"faasd-async-{function}-{self._draw()}"
        ours = {
            STATE_DIR: self._state_dir,
            FUNCTION: function,
            MADE_AS: digest(description, secrets),
        }
        described = {**description, "Labels": {**description["Labels"], **ours}}
        self._in_hand.add(name)
        try:
            if secrets:
                described = with_secrets(described, self._secrets.give(name, secrets))
            await self._engine.create(name, described)
            await self._engine.start(name)
        except EngineError:
            await self.remove(name)
            raise
        return name

    async def remove(self, name: str) -> None:
        """Leave nothing of a container. If it cannot be done now, :meth:`adopt` or :meth:`sweep`
        will do it."""
        try:
            await self._engine.remove(name)
            self._secrets.take_back(name)
        except EngineError as reason:
            self._log.warn(
                "the container {container} cannot be removed now: {reason}",
                container=name,
                reason=str(reason),
            )
        finally:
            self._in_hand.discard(name)

    async def sweep(self, is_deployed: Callable[[str], bool]) -> None:
        """Remove the containers of functions that are not deployed any more."""
        there = await self._engine.labelled(self._label)
        for each in there:
            function = each.labels.get(FUNCTION, "")
            if each.name not in self._in_hand and not is_deployed(function):
                await self._remove_left_behind(each)
        names = {each.name for each in there} | self._in_hand
        for name in self._secrets.given():
            if name not in names:
                self._secrets.take_back(name)

    @property
    def _label(self) -> str:
        return f"{STATE_DIR}={self._state_dir}"

    async def _left_behind(self) -> list[Listed]:
        there = await self._engine.labelled(self._label)
        return [each for each in there if each.name not in self._in_hand]

    async def _remove_left_behind(self, left: Listed) -> None:
        self._log.info("removing {container}, which was left behind", container=left.name)
        await self._engine.remove(left.name)
        self._secrets.take_back(left.name)
