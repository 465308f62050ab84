"""Whether a session is alive, as far as unanswered pings tell. No I/O."""

from __future__ import annotations


class Pings:
    """Counts what was not answered in time.

    :param outstanding: so many in a row, and the session is lost.
    """

    def __init__(self, outstanding: int) -> None:
        self._outstanding = outstanding
        self._missed = 0

    def answered(self) -> None:
        """The server is there."""
        self._missed = 0

    def missed(self) -> bool:
        """One was not answered in time.

        :return: whether that was one too many.
        """
        self._missed += 1
        return self._missed >= self._outstanding
