"""What ran: every invocation that was begun, noted by processes that no trial kills.

Time is told in *lives*: the first ends with the first kill (or power cut), and so on. A call may
run again only in a later life than the one it ran in before, and only if it was in flight when
that one ended. It is in flight from the moment its function is called until its end is on disk; as
it holds a token for as long, no more calls can be in flight than ``max_inflight`` allows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred


@dataclass(eq=False)
class Run:
    """One invocation.

    :ivar life: how many kills there had been when it began.
    :ivar attempt: what the daemon said it was: 1 for a first one.
    :ivar began: when, on the reactor's clock, in seconds.
    :ivar status: what was answered, once it was.
    """

    call_id: str
    life: int
    attempt: int
    began: float
    status: int | None = None


@dataclass(frozen=True)
class Count:
    """What became of accepted calls.

    :ivar in_flight: invocations that had not answered when their life ended, over all of them.
    :ivar lost: accepted calls that never ran.
    :ivar again: calls that ran more than once.
    :ivar unexcused: those of them that ran twice within one life.
    :ivar most_again: the most that one life left to the next to be run again.
    """

    accepted: int
    in_flight: int
    lost: int
    again: int
    unexcused: int
    most_again: int


class Invocations:
    """The notes.

    :ivar runs: by call id, in the order in which they began.
    """

    def __init__(self, reactor: Any, patience_seconds: float) -> None:
        self._reactor = reactor
        self._patience_seconds = patience_seconds
        self.runs: dict[str, list[Run]] = defaultdict(list)
        self.begun = 0
        self.life = 0
        self.left_in_flight: list[set[str]] = []
        self._unanswered: set[Run] = set()
        self._missing: list[tuple[set[str], Deferred[None]]] = []
        self._counts: list[tuple[int, Deferred[None]]] = []

    def begin(self, call_id: str, attempt: int, ended_life: int | None = None) -> Run:
        """Note an invocation.

        :param ended_life: the life of whoever made it, if that has ended: what it sent before its
            death may be read after it.
        """
        if ended_life is None:
            run = Run(call_id, self.life, attempt, self._reactor.seconds())
            self._unanswered.add(run)
        else:
            run = Run(call_id, ended_life, attempt, self._reactor.seconds())
            self.left_in_flight[ended_life].add(call_id)
        self.runs[call_id].append(run)
        self.begun += 1
        for sought in list(self._missing):
            sought[0].discard(call_id)
            if not sought[0]:
                self._missing.remove(sought)
                if not sought[1].called:
                    sought[1].callback(None)
        for entry in list(self._counts):
            if self.begun >= entry[0]:
                self._counts.remove(entry)
                if not entry[1].called:
                    entry[1].callback(None)
        return run

    def end(self, run: Run, status: int) -> None:
        run.status = status
        self._unanswered.discard(run)

    def end_life(self) -> int:
        """Something was killed just now.

        :return: which life that was.
        """
        self.life += 1
        self.left_in_flight.append({run.call_id for run in self._unanswered})
        self._unanswered.clear()
        return self.life - 1

    @property
    def unanswered(self) -> int:
        return len(self._unanswered)

    def when_run(self, call_ids: Iterable[str]) -> Deferred[None]:
        """Fires when each of these calls has run; after a long time without, it fires, too."""
        waiter: Deferred[None] = Deferred()
        missing = set(call_ids) - self.runs.keys()
        if not missing:
            waiter.callback(None)
            return waiter
        self._missing.append((missing, waiter))
        waiter.addTimeout(self._patience_seconds, self._reactor, lambda *_: None)
        return waiter

    def when_begun(self, count: int) -> Deferred[None]:
        """Fires when so many invocations were begun in all."""
        waiter: Deferred[None] = Deferred()
        if self.begun >= count:
            waiter.callback(None)
            return waiter
        self._counts.append((count, waiter))
        return waiter.addTimeout(self._patience_seconds, self._reactor)

    def count(self, accepted: Collection[str]) -> Count:
        again = [runs for runs in self.runs.values() if len(runs) > 1]
        lives = [[run.life for run in runs] for runs in again]
        left = Counter(before for each in lives for before in each[:-1])
        return Count(
            accepted=len(accepted),
            in_flight=sum(map(len, self.left_in_flight)),
            lost=len(set(accepted) - self.runs.keys()),
            again=len(again),
            unexcused=sum(len(set(each)) < len(each) for each in lives),
            most_again=max(left.values(), default=0),
        )

    def slowest_return(self, life: int, since: float) -> float:
        """How long after *since* the last of the calls that the life before *life* left in flight
        ran again: 0 if none did."""
        left = self.left_in_flight[life - 1]
        returns = [
            run.began - since for call_id in left for run in self.runs[call_id] if run.life == life
        ]
        return max(returns, default=0.0)
