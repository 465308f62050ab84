"""The house, and what has to be so at the end of every test in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.logger import capturedLogs
from worker_house import House


@pytest.fixture
def house() -> Iterator[House]:
    """A worker's surroundings; when it stops every token is back, no timer is left, and nothing
    has failed that the test did not expect."""
    with capturedLogs() as events:
        house = House(events)
        yield house
        house.refuses()
        house.diary.slow.clear()
        if house.worker is not None:
            house.stops()
        assert house.queue.stop().called
        assert house.clock.getDelayedCalls() == []
        assert house.queue_clock.getDelayedCalls() == []
        assert {each.free - each.tokens.limit for each in house.deployments.values()} <= {0}
        assert house.failures() == []
