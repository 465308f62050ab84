"""The signals an operator sends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from faasd_async.daemon import signals

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Reactor:
    """Keeps what it is to do in its next turn."""

    def __init__(self) -> None:
        self.turn: list[Callable[[], None]] = []

    def callFromThread(self, action: Callable[[], None]) -> None:  # noqa: N802
        self.turn.append(action)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, action in before.items():
        signal.signal(number, action)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(signal.SIGTERM, "stop"), (signal.SIGINT, "stop"), (signal.SIGHUP, "reload")],
)
def test_a_signal_is_heard_in_a_reactor_turn(number: signal.Signals, expected: str) -> None:
    """Not in the middle of whatever the process is doing."""
    reactor, done = Reactor(), []
    signals.install(
        reactor,  # type: ignore[arg-type]
        lambda: done.append("stop"),
        lambda: done.append("reload"),
    )
    os.kill(os.getpid(), number)
    assert done == []
    (action,) = reactor.turn
    action()
    assert done == [expected]
