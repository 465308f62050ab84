"""The last hour in samples, and how functions have done of late."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from faasd_async.errors import QueueUnavailable
from faasd_async.observe.figures import DURATION_BOUNDS, Figures
from faasd_async.observe.hour import EVERY_SECONDS, MOST_SAMPLES, Hour


class Watched:
    """An hour, the figures that it reads, and a queue that says what a test wants."""

    def __init__(self) -> None:
        self.clock, self.figures = Clock(), Figures()
        self.waiting: Deferred[int] = succeed(3)
        self.hour = Hour(
            self.clock,
            DURATION_BOUNDS,
            self.figures.durations,
            waiting=lambda: self.waiting,
            running=lambda: 2,
            now_ns=lambda: 1_700_000_000 * 10**9,
        )
        self.hour.start()

    def passes(self, seconds: float = EVERY_SECONDS) -> None:
        self.clock.advance(seconds)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_sample_is_what_the_figures_grew_by(watched: Watched) -> None:
    """A second, of all functions together; and what is the case just then."""
    for seconds in (0.02, 0.02, 0.02, 4.0):
        watched.figures.invoked("f", 200, seconds)
    watched.figures.invoked("g", 500, 0.02)
    watched.passes()
    watched.passes()
    first, second = watched.hour.samples()
    assert first == {
        "at": "2023-11-14T22:13:20.000000Z",
        "waiting": 3,
        "running": 2,
        "rate": 0.5,
        "errors": 0.1,
        "p50": pytest.approx(0.019375),
        "p99": pytest.approx(4.875),
    }
    assert (second["rate"], second["p50"], second["p99"]) == (0, None, None)
    watched.hour.stop()
    assert watched.clock.getDelayedCalls() == []


def test_no_quantile_is_known_beyond_the_last_class(watched: Watched) -> None:
    """It is told as the bound of that."""
    watched.figures.invoked("f", 200, 100.0)
    watched.passes()
    assert watched.hour.samples()[-1]["p50"] == 10.0


def test_a_function_is_told_by_its_last_five_minutes(watched: Watched) -> None:
    """What was before that counts no more; who was not called is not told of."""
    watched.figures.invoked("f", 200, 0.2)
    watched.figures.invoked("f", 429, 0.2)
    watched.passes(100)
    assert watched.hour.paces() == {
        "f": {
            "rate": 0.02,
            "errors": 0.01,
            "p50": pytest.approx(0.175),
            "p99": pytest.approx(0.2485),
        }
    }
    for _ in range(32):
        watched.passes()
    assert watched.hour.paces() == {}


def test_so_many_are_kept(watched: Watched) -> None:
    """And all are counted."""
    for _ in range(MOST_SAMPLES + 5):
        watched.passes()
    assert len(watched.hour.samples()) == MOST_SAMPLES
    assert watched.hour.count == MOST_SAMPLES + 5


def test_a_queue_that_is_away_leaves_a_gap(watched: Watched) -> None:
    """Whether it says so or says nothing; the rest is told."""
    watched.waiting = fail(QueueUnavailable("away"))
    watched.passes()
    watched.waiting = Deferred()
    watched.passes()
    watched.passes(2)
    assert [each["waiting"] for each in watched.hour.samples()] == [None, None]
