"""A stream that is read from its end, although it can only be read the other way."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.nats.jetstream import StoredMessage
from faasd_async.queue.jetstream.backwards import Backwards

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Stream:
    """:param sizes: of the payload at each place that there is."""

    def __init__(self, sizes: dict[int, int], most_bytes: int = 1000) -> None:
        self.messages = [
            StoredMessage(subject="s", sequence=place, time=NOW, payload=b"x" * size)
            for place, size in sorted(sizes.items())
        ]
        self.most_bytes = most_bytes
        self.looks = 0

    async def look(self, first: int, count: int) -> tuple[Sequence[StoredMessage], bool]:
        """As JetStream: at least one, and no further one once there are too many bytes."""
        self.looks += 1
        rest = [each for each in self.messages if each.sequence >= first]
        found: list[StoredMessage] = []
        for each in rest[:count]:
            if found and sum(len(one.payload) for one in found) >= self.most_bytes:
                break
            found.append(each)
        return found, len(found) == len(rest)


def run(work: Coroutine[Any, Any, list[StoredMessage]]) -> list[StoredMessage]:
    with pytest.raises(StopIteration) as ended:
        work.send(None)
    found: list[StoredMessage] = ended.value.value
    return found


def places(stream: Stream, last: int, first: int = 1) -> list[int]:
    """All that is read, in as many pages as it takes."""
    before, found = last + 1, []
    while True:
        way = Backwards(stream.look, before, first)
        while not (way.is_over or way.is_tired):
            found += [each.sequence for each in run(way.some())]
        if way.is_over:
            return found
        assert way.before < before
        before = way.before


@given(st.dictionaries(st.integers(1, 20_000), st.integers(0, 900), max_size=300))
def test_everything_is_read_once_newest_first(sizes: dict[int, int]) -> None:
    """However it is spread, and however large it is."""
    assert places(Stream(sizes), 20_000) == sorted(sizes, reverse=True)


def test_a_wide_gap_is_crossed_in_a_few_steps() -> None:
    """The broker keeps the place of whatever was removed."""
    stream = Stream({7: 1, 50_000_000: 1})
    assert places(stream, 50_000_000, first=7) == [50_000_000, 7]
    assert stream.looks < 20


def test_what_is_large_makes_a_page_short() -> None:
    """No more than some bytes are read for one."""
    stream = Stream(dict.fromkeys(range(1, 9), 2**23), most_bytes=2**20)
    way = Backwards(stream.look, 9, 1)
    found = []
    while not (way.is_over or way.is_tired):
        found += run(way.some())
    assert way.is_tired
    assert 1 <= len(found) < 4
    assert found[0].sequence == 8
