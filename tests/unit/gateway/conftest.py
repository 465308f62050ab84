"""Each test of the gateway runs twice: with what clients send in one piece, and byte by byte."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from front_door import Failures, FrontDoor
from twisted.logger import capturedLogs


@pytest.fixture
def failures() -> Iterator[Failures]:
    """A test has to take the failures it expects: none may be left."""
    # What there is already need not be looked through after each test.
    gc.freeze()
    try:
        with capturedLogs() as events:
            failures = Failures(events)
            yield failures
            assert failures.take() == []
    finally:
        gc.unfreeze()


@pytest.fixture(params=[False, True], ids=["whole", "bytewise"])
def door(request: pytest.FixtureRequest, failures: Failures) -> Iterator[FrontDoor]:
    """The gateway; after a test nobody is connected, every token is back and no timer is left."""
    door = FrontDoor(bytewise=request.param)
    yield door
    for client in door.clients:
        client.leaves()
    assert door.clock.getDelayedCalls() == []
    assert [each.free - each.tokens.limit for each in door.deployments.values()] == [0] * len(
        door.deployments
    )
