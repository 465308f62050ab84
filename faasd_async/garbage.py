"""How often Python looks for garbage that knows itself.

Nearly everything a call leaves behind is freed at once, for nobody knows it any longer. The
collector is for the rest, and looks whenever so many more objects were made than freed: as Python
has it, after 700. A daemon with a hundred calls in hand has it look at these, and soon at
everything there is, again and again, and find nothing: that was a seventh of its time.
"""

from __future__ import annotations

import gc

#: So many more objects, and so many rounds over the younger ones before the older get theirs. In a
#: hundred thousand objects there are some MiB at most.
_OBJECTS = 20_000
_ROUNDS = 20


def look_less_often() -> None:
    """Collect for a daemon; what there is already is looked at no more: it stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS, _ROUNDS, _ROUNDS)
