"""Which answers are kept for whoever asks."""

from __future__ import annotations

from faasd_async.call.ending import Withheld
from faasd_async.settings import ResultSettings

#: An answer of more than this, which nobody is to be shown for longer than that, is not worth its
#: place on the disk for as long as its record is needed: it is not kept at all.
_SMALL_BYTES = 64 * 1024
_SHORT_SECONDS = 60.0


def why_withheld(keep: ResultSettings, size_bytes: int) -> Withheld | None:
    """Why an answer of this size is not kept; ``None`` if it is."""
    if not keep.keep_seconds:
        return "unwanted"
    if size_bytes > keep.max_bytes:
        return "large"
    if keep.keep_seconds < _SHORT_SECONDS and size_bytes > _SMALL_BYTES:
        return "brief"
    return None
