"""How often Python looks for garbage that knows itself.

Nearly everything a call leaves behind is freed at once, for nobody knows it any longer. The
collector is for the rest, and looks whenever so many more objects were made than freed: as Python
has it, after 700. A daemon with a hundred calls in hand has it look at these, and soon at
everything there is, again and again, and find nothing: that was a seventh of its time.
"""

from __future__ import annotations

import gc

#: So many more objects, and so many rounds over the younger ones before the older get theirs. In a
#: hundred thousand objects there are some MiB at most, unless large bodies hang on them:
#: those are weighed.
_OBJECTS = 20_000
_ROUNDS = 20


def look_less_often() -> None:
    """Collect for a daemon; what there is already is looked at no more: it stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS, _ROUNDS, _ROUNDS)


#: A body of fewer bytes is light.
_LIGHT_BYTES = 256 * 1024

#: What may have come of heavy ones since garbage was looked for.
_MOST_BYTES = 16 * 1024 * 1024


class Scales:
    """Weighs what requests bring: what is left of one may know itself, as an exception does that
    one of its frames knows, and a few large ones are more than the collector would wait for."""

    def __init__(self) -> None:
        self._bytes = 0

    def weigh(self, size_bytes: int) -> None:
        """So much of a body has come. Now and then, garbage is looked for."""
        if size_bytes < _LIGHT_BYTES:
            return
        self._bytes += size_bytes
        if self._bytes > _MOST_BYTES:
            self._bytes = 0
            gc.collect()


#: Those of this process, as its collector is.
scales = Scales()
