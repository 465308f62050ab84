"""Names looked up in threads of their own.

The reactor has ten threads for all that blocks. A name server that does not answer holds whoever
asks it for half a minute: so callbacks, whose names strangers choose, ask in others.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, succeed
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from faasd_async.callback.destination import written_address

#: So many names are looked up at a time; those who ask for the same one wait together.
MOST_THREADS = 16

#: Of one name so many addresses count.
MOST_ADDRESSES = 16

LookUp = Callable[..., Sequence[tuple[Any, ...]]]


class Names:
    """Looks up the addresses of hosts.

    :param look_up: as :func:`socket.getaddrinfo`.
    """

    def __init__(self, reactor: IReactorFromThreads, look_up: LookUp = socket.getaddrinfo) -> None:
        self._reactor = reactor
        self._look_up = look_up
        self._free = DeferredSemaphore(MOST_THREADS)
        self._asked: dict[str, list[Deferred[tuple[str, ...]]]] = {}

    def addresses(self, host: str) -> Deferred[tuple[str, ...]]:
        """The addresses of a host, best first; one that is an address needs no look-up.

        :return: fails with a :class:`~twisted.internet.error.DNSLookupError`.
        """
        address = written_address(host)
        if address is not None:
            return succeed((str(getattr(address, "ipv4_mapped", None) or address),))
        waiter: Deferred[tuple[str, ...]] = Deferred()
        waiters = self._asked.setdefault(host, [])
        waiters.append(waiter)
        if len(waiters) == 1:
            self._free.acquire().addCallback(lambda _: self._begin(host))
        return waiter

    def _begin(self, host: str) -> None:
        # A thread that the end of the daemon need not wait for.
        threading.Thread(target=self._ask, args=(host,), name="name", daemon=True).start()

    def _ask(self, host: str) -> None:
        """In a thread."""
        answer: tuple[str, ...] | Failure
        try:
            found = self._look_up(host, None, 0, socket.SOCK_STREAM)
            answer = tuple(dict.fromkeys(str(each[4][0]) for each in found))[:MOST_ADDRESSES]
        except Exception:
            # gaierror, or a name that no server could be asked for.
            answer = Failure(DNSLookupError(f"the name {host} cannot be looked up"))
        self._reactor.callFromThread(self._answered, host, answer)

    def _answered(self, host: str, answer: tuple[str, ...] | Failure) -> None:
        self._free.release()
        for waiter in self._asked.pop(host):
            # One that was cancelled waits no more, and takes no answer amiss.
            waiter.callback(answer)
