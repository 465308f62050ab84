"""An end that the queue cannot store as it is, told shorter.

What is accepted and what is answered is measured beforehand, so this is for the odd case: a
history of thousands of attempts, a callback URL as long as a book.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from faasd_async.call.ending import Ending

#: How many attempts a shortened history still tells of: the last ones.
FEW_ATTEMPTS = 10


def versions(ending: Ending) -> Iterator[Ending]:
    """An end, and shorter ones: with fewer attempts, and then without the answer, which counts as
    none: 502, as when a function answers more than the queue can store."""
    yield ending
    history = replace(ending.history, attempts=ending.history.attempts[-FEW_ATTEMPTS:])
    short = replace(ending, history=history)
    yield short
    size = len(ending.outcome.body)
    error = ending.outcome.error or f"the answer, {size} bytes, is more than the queue can store"
    none = replace(ending.outcome, status=502, headers=(), body=b"", error=error)
    yield replace(short, outcome=none)
