"""The one place that makes the Deferreds this room hands out.

They come from txaio, as Autobahn's do, so that a caller who speaks txaio can chain them. Its
framework, loop and clock belong to the whole process: the framework is chosen here, and loop and
clock are left alone (timing is done with the clock each object is given).
"""

from collections.abc import Callable
from typing import Any, TypeVar

import txaio
from twisted.internet.defer import Deferred

# txaio puts its functions in place at run time, where no type checker sees them.
_txaio: Any = txaio
_txaio.use_twisted()

T = TypeVar("T")


def new_future(on_cancel: Callable[["Deferred[Any]"], None] | None = None) -> "Deferred[Any]":
    """Return a Deferred without a result.

    :param on_cancel: called when the one who holds it loses interest.
    """
    future: Deferred[Any] = _txaio.create_future(canceller=on_cancel)
    return future


def resolve(future: "Deferred[T]", result: T) -> None:
    """Give it its result."""
    _txaio.resolve(future, result)


def reject(future: "Deferred[T]", error: Exception) -> None:
    """Give it its error."""
    _txaio.reject(future, _txaio.create_failure(error))
