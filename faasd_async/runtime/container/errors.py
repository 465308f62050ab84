"""What an engine may answer, other than what was asked for."""

from __future__ import annotations

from faasd_async.errors import FaasdAsyncError


class EngineError(FaasdAsyncError):
    """The engine did not do what it was asked to; the text says why, in its own words."""


class NoSuchThing(EngineError):
    """There is no such container, or image."""


class EngineUnreachable(EngineError):
    """There is no engine, or it does not answer: what it was asked to do may be done or not."""


class NoEngine(EngineUnreachable):
    """None is installed, as far as can be seen."""


class SecretMissing(EngineError):
    """A secret cannot be given to a function; nothing is wrong with the engine."""
