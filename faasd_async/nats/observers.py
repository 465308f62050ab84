"""Callables that want to know, and cannot do harm."""

from collections.abc import Callable

from twisted.logger import Logger


class Observers:
    """Those who want to know of one kind of event.

    :param event: what the log calls it when one of them fails.
    """

    def __init__(self, event: str) -> None:
        self._log = Logger()
        self._event = event
        self._observers: list[Callable[[], None]] = []

    def add(self, observer: Callable[[], None]) -> Callable[[], None]:
        """Tell ``observer`` from now on; calling the result ends that."""
        self._observers.append(observer)

        def remove() -> None:
            if observer in self._observers:
                self._observers.remove(observer)

        return remove

    def tell(self) -> None:
        """Call them all, in the order they came."""
        for observer in tuple(self._observers):
            try:
                observer()
            except Exception:
                self._log.failure("an observer of a {event} failed", event=self._event)
