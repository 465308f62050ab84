"""What another provider can be asked, and who may listen to what it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred

Query = Sequence[tuple[str, str]]


class Receiver(NamedTuple):
    """Who is given an answer as it comes.

    :ivar begins: told of what a slow receiver pauses, a push producer.
    """

    begins: Callable[[Any], object]
    write: Callable[[bytes], object]


class Asks(Protocol):
    """Asks one provider; paths are those below ``/system/``."""

    async def ask(self, method: str, path: str, query: Query = (), body: bytes = b"") -> bytes:
        """
        :return: the answer's body.
        :raises ProviderError: it is none.
        """

    async def follow(self, path: str, query: Query, receiver: Receiver) -> Deferred[None]:
        """Ask for an answer that may never end.

        :return: fires when it has ended; cancelling it lets go of the provider.
        :raises ProviderError: there is none.
        """

    async def close(self) -> None: ...
