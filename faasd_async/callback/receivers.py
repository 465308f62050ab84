"""Who receives callbacks, and how much each may have of the poster at this moment.

A receiver is a scheme, a host and a port. What its callbacks may cost depends on how it has been
answering:

- It is sent a few at a time, always. How many it may *hold* (those that wait for their turn
  included) grows with each answer, as far as it gets done in about a second, and to half of the
  poster at most.
- One that does not answer is held to two; those that have not answered lately share half of the
  poster, all together. So there is room for the others, whatever one of them does.
- One that has not answered several times in a row *rests*: nothing is sent there for a while,
  longer each time, and then a single callback tries whether it is back.

What finds no place goes back to the queue for a while, so that what lies behind it comes to its
turn. Each takes the next place in a line, and so many of a line come again a second: ten thousand
callbacks that wait for one receiver cost a look now and then.

A *quick* receiver keeps nobody waiting but by the number of its callbacks: those are not sent back,
but left in the queue until there is a place, and all come in their order. It must go on answering
for that: one that has stopped is not waited for.

An *answer* is anything an HTTP server says but 429 and 503: a receiver with one bad path is there
for the others.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from faasd_async.call.callback_url import CallbackUrl
from faasd_async.semaphore import Semaphore

#: How many callbacks are sent to one receiver at a time.
SLOTS = 8

#: What one may hold that is not known, or did not answer last.
_FIRST_HOLD = 2

#: No answer so many times in a row: it rests, so long at first and at most.
FAILURES_UNTIL_REST = 5
FIRST_REST_SECONDS = 2.0
LONGEST_REST_SECONDS = 30.0

#: One may hold what it gets done in this time.
_HELD_SECONDS = 1.0

#: How many of the callbacks that were sent back come again a second.
_LINE_PACE = 500.0

#: How long each is away, at least: about as long as an answer takes, or, while nothing is
#: answered, a while; and at most.
_SHORTEST_AWAY_SECONDS = 0.05
_PATIENT_AWAY_SECONDS = 5.0
_LONGEST_AWAY_SECONDS = 600.0

#: Of how many receivers is remembered how they answered.
MOST_KNOWN = 1000

#: How much a quick answer says of how long one takes, and how much a slow one: that it was slow
#: may be our own doing.
_QUICK_WEIGHT = 0.3
_SLOW_WEIGHT = 0.02

#: Who takes an answer this long does not keep up with anybody.
_SLUGGISH_SECONDS = 5.0

#: Who takes an answer this long, on the average, is quick, as long as there was one this lately.
_QUICK_SECONDS = 0.05
_LATELY_SECONDS = 0.5

Where = tuple[str, str, int]


@dataclass(eq=False, slots=True)
class Receiver:
    """One of them; :class:`Receivers` alone changes it.

    :ivar slots: one for each callback that may be under way.
    :ivar held: how many are in hand, waiting or under way.
    :ivar failures: so many in a row were not answered.
    :ivar error: how the last of them failed.
    :ivar answers: whether the last one was answered.
    """

    where: Where
    slots: Semaphore = field(default_factory=lambda: Semaphore(SLOTS))
    held: int = 0
    answers: bool = False
    failures: int = 0
    error: str = ""
    rests: int = 0
    rests_until: float = 0.0
    hold: float = _FIRST_HOLD
    answer_seconds: float = 0.1
    answered_at: float = 0.0
    line_ends: float = 0.0

    def __str__(self) -> str:
        scheme, host, port = self.where
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class Receivers:
    """All that are known.

    :param most_held: how many callbacks the poster may have in hand.
    :param uniform: a random number between two.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        most_held: int,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._clock = clock
        self._most_held = most_held
        self._half = max(most_held // 2, 1)
        self._uniform = uniform
        self._known: OrderedDict[Where, Receiver] = OrderedDict()
        self._holding: set[Receiver] = set()
        self._doubtful = 0

    def find(self, url: CallbackUrl) -> Receiver:
        """Whoever receives callbacks to a URL."""
        where = url.scheme, url.host.lower(), url.port
        receiver = self._known.get(where)
        if receiver is None:
            self._make_room()
            receiver = self._known[where] = Receiver(where)
        else:
            self._known.move_to_end(where)
        return receiver

    def _make_room(self) -> None:
        """Forget those that were not asked for longest, unless they hold something."""
        while len(self._known) >= MOST_KNOWN:
            idle = next((each for each in self._known.values() if not each.held), None)
            if idle is None:
                return  # no more than the poster has in hand
            del self._known[idle.where]

    def why_behind(self, url: CallbackUrl) -> str | None:
        """Why callbacks to a URL pile up faster than they are delivered, in words; ``None`` if
        they do not, as far as is known."""
        receiver = self._known.get((url.scheme, url.host.lower(), url.port))
        if receiver is None:
            return None
        if receiver.failures >= FAILURES_UNTIL_REST:
            return f"{receiver} does not answer ({receiver.error})"
        if receiver.answer_seconds > _SLUGGISH_SECONDS:
            return f"{receiver} takes {receiver.answer_seconds:.0f} s for an answer"
        return None

    # -- a place

    def is_resting(self, receiver: Receiver) -> bool:
        return self._clock.seconds() < receiver.rests_until

    def has_place(self, receiver: Receiver) -> bool:
        """Whether one more callback may be held."""
        if self.is_resting(receiver) or receiver.held >= self._most_held_by(receiver):
            return False
        return receiver.answers or self._doubtful < self._half

    def has_place_for_late(self, receiver: Receiver) -> bool:
        """Likewise, for one that has waited long enough to be tried though its receiver rests: a
        few at a time, in the half of the poster that is there for such receivers."""
        if receiver.failures < FAILURES_UNTIL_REST:
            return self.has_place(receiver)
        return receiver.held < SLOTS and self._doubtful < self._half

    def _most_held_by(self, receiver: Receiver) -> int:
        if receiver.failures >= FAILURES_UNTIL_REST:
            return 1
        return int(min(receiver.hold, self._half))

    def away_seconds(self, receiver: Receiver) -> float:
        """How long a callback that finds no place stays away: it goes to the end of the line."""
        now = self._clock.seconds()
        shortest = _PATIENT_AWAY_SECONDS
        if not receiver.failures:
            shortest = min(max(receiver.answer_seconds, _SHORTEST_AWAY_SECONDS), shortest)
        begins = max(now + shortest, receiver.rests_until, receiver.line_ends)
        receiver.line_ends = begins + 1 / _LINE_PACE
        if receiver.line_ends > now + _LONGEST_AWAY_SECONDS:
            return self._uniform(0.5, 1.0) * _LONGEST_AWAY_SECONDS
        return receiver.line_ends - now

    def room(self) -> int:
        """How many callbacks may come without a quick receiver's being sent back."""
        since = self._clock.seconds() - _LATELY_SECONDS
        return min(
            (
                max(self._most_held_by(each) - each.held, 0)
                for each in self._holding
                if each.answers
                and each.answer_seconds < _QUICK_SECONDS
                and each.answered_at > since
            ),
            default=self._most_held,
        )

    def hold(self, receiver: Receiver) -> None:
        """A callback has been given its place."""
        self._holding.add(receiver)
        receiver.held += 1
        self._doubtful += not receiver.answers

    def let_go(self, receiver: Receiver) -> None:
        """It needs the place no more."""
        receiver.held -= 1
        if not receiver.held:
            self._holding.discard(receiver)
        self._doubtful -= not receiver.answers

    # -- how it answers

    def answered(self, receiver: Receiver, seconds: float) -> None:
        """It has answered a callback, whatever it said."""
        if receiver.rests:
            self._log.info("{receiver} takes callbacks again", receiver=str(receiver))
        self._now_answers(receiver, True)
        receiver.failures = receiver.rests = 0
        receiver.rests_until = 0.0
        receiver.error = ""
        longer_by = seconds - receiver.answer_seconds
        receiver.answer_seconds += longer_by * (_SLOW_WEIGHT if longer_by > 0 else _QUICK_WEIGHT)
        receiver.answered_at = self._clock.seconds()
        fits = SLOTS * max(_HELD_SECONDS / receiver.answer_seconds, 1.0)
        receiver.hold = min(receiver.hold + 1, fits, self._half)

    def failed(self, receiver: Receiver, error: str) -> None:
        """It has not answered one, or asked to be spared."""
        self._now_answers(receiver, False)
        receiver.hold = _FIRST_HOLD
        receiver.failures += 1
        receiver.error = error
        if receiver.failures >= FAILURES_UNTIL_REST and not self.is_resting(receiver):
            self._rest(receiver)

    def _rest(self, receiver: Receiver) -> None:
        longest = min(FIRST_REST_SECONDS * 2.0 ** min(receiver.rests, 30), LONGEST_REST_SECONDS)
        rest_seconds = longest * self._uniform(0.75, 1.0)
        receiver.rests += 1
        receiver.rests_until = self._clock.seconds() + rest_seconds
        tell = self._log.warn if receiver.rests == 1 else self._log.debug
        tell(
            "{receiver} takes no callbacks ({error}): they wait, and one will try again in "
            "{seconds:.1f} s",
            receiver=str(receiver),
            error=receiver.error,
            seconds=rest_seconds,
        )

    def _now_answers(self, receiver: Receiver, answers: bool) -> None:
        if receiver.answers != answers:
            receiver.answers = answers
            self._doubtful += -receiver.held if answers else receiver.held
