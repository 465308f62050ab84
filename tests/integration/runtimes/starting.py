"""What starts functions: words of a command, and options as the settings have them."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from faasd_async.runtime.interface import Runtime

Start = Callable[..., Deferred[Runtime]]
