"""One thread beside the reactor's, for one kind of work that waits for the kernel.

Twisted's pool of threads takes several times the reactor's time to hand something over: it looks
for an idle thread among many, and carries a log context along.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

from twisted.logger import Logger

Work = Callable[[], object]


class SideThread:
    """Does in a thread of its own what it is given, one after the other.

    :param name: of the thread.
    """

    _log = Logger()

    def __init__(self, name: str) -> None:
        self._work: SimpleQueue[Work | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Return when all that was given before is done."""
        self._work.put(None)
        self._thread.join()

    def do(self, work: Work) -> None:
        self._work.put(work)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception:
                self._log.failure("what a thread was given to do failed: this is a bug")
