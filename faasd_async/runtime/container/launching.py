"""From a function's settings to a container that runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from faasd_async.runtime.container.description import describe, digest
from faasd_async.runtime.container.engine import Engine
from faasd_async.runtime.container.errors import EngineError, NoSuchThing
from faasd_async.runtime.container.ours import Ours
from faasd_async.runtime.container.secrets import Secrets
from faasd_async.settings import FunctionSettings


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a container needs.

    :ivar left_behind: the container that is taken over in its place.
    """

    description: dict[str, Any]
    secrets: dict[str, bytes]
    left_behind: str | None


@dataclass(frozen=True, slots=True)
class Launched:
    """A container that runs.

    :ivar port: where it is published, on loopback.
    :ivar is_new: it was not taken over.
    """

    name: str
    port: int
    is_new: bool


class Launcher:
    """Launches the containers of functions."""

    def __init__(self, engine: Engine, ours: Ours, secrets: Secrets) -> None:
        self._engine = engine
        self._ours = ours
        self._secrets = secrets

    async def prepare(self, settings: FunctionSettings, stage: Callable[[str], object]) -> Prepared:
        """Do what may take long. It can be cancelled, and leaves nothing behind then.

        :param stage: is told what is being done.
        """
        assert settings.image is not None
        secrets = dict(self._secrets.read(settings.secrets))
        description = describe(settings)
        image_id = await self._have_image(settings.image, settings.container.pull, stage)
        left_behind = await self._ours.adopt(settings.name, digest(description, secrets), image_id)
        return Prepared(description, secrets, left_behind)

    async def launch(self, settings: FunctionSettings, prepared: Prepared) -> Launched:
        """Start it. This is not to be cancelled: nobody would know what there is."""
        name = prepared.left_behind or await self._ours.create(
            settings.name, prepared.description, prepared.secrets
        )
        try:
            inspected = await self._engine.inspect(name)
            port = inspected.ports.get(settings.container.port)
            if port is None:
                raise EngineError(f"port {settings.container.port} of {name} is not published")
        except EngineError:
            await self._ours.remove(name)
            raise
        return Launched(name, port, prepared.left_behind is None)

    async def _have_image(self, image: str, policy: str, stage: Callable[[str], object]) -> str:
        """:return: its id."""
        if policy != "always":
            try:
                return await self._engine.image_id(image)
            except NoSuchThing:
                if policy == "never":
                    raise EngineError(
                        f'the image {image} is not there, and pull = "never"'
                    ) from None
        stage(f"the image {image} is being pulled")
        await self._engine.pull(image)
        return await self._engine.image_id(image)
