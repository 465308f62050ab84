"""Finding calls in this process's memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from twisted.internet.defer import Deferred, succeed

from faasd_async.call.ending import DeadCallback, DeadLetter, Ending, Letter, callback_url_of
from faasd_async.call.history import History
from faasd_async.call.ids import CallKey
from faasd_async.call.known import CallbackKnown, CallName, Grip, Known, buried
from faasd_async.call.posting import Posting
from faasd_async.call.request import (
    NOT_TRIED,
    CallbackName,
    CallbackRequest,
    Outcome,
    QueueRequest,
)
from faasd_async.queue.interface import Hands
from faasd_async.queue.memory.pigeonhole import Pigeonhole


@dataclass(frozen=True, slots=True)
class Memories:
    """All that is remembered.

    :ivar endings: with the call that ended, as it was then.
    :ivar histories: each with the generation of its call.
    :ivar letters: the dead ones.
    """

    calls: Pigeonhole[QueueRequest]
    callbacks: Pigeonhole[CallbackRequest]
    endings: Mapping[tuple[str, CallKey], tuple[QueueRequest, Ending]]
    histories: Mapping[tuple[str, CallKey], tuple[int, History]]
    postings: Mapping[CallbackName, Posting]
    letters: Callable[[], Iterator[Letter]]


class MemoryLookup:
    """See :class:`~faasd_async.queue.interface.Lookup`."""

    def __init__(self, memories: Memories) -> None:
        self._memories = memories

    def find(self, call_id: str, accept: str | None = None) -> Deferred[Known | None]:
        known = [
            self._tell(name)
            for name in dict.fromkeys(self._names())
            if name.key.call_id == call_id and accept in (None, name.key.accept)
        ]
        if not known:
            return succeed(None)
        newest = max(known, key=lambda each: (each.accepted_ns, each.name))
        others = tuple(sorted(each.name for each in known if each is not newest))
        return succeed(replace(newest, others=others))

    def _names(self) -> Iterator[CallName]:
        memories = self._memories
        for entry in memories.calls:
            yield CallName(entry.parcel.function, entry.parcel.key)
        for about in (*memories.endings, *memories.histories):
            yield CallName(*about)
        for callback in (*(each.parcel.name for each in memories.callbacks), *memories.postings):
            yield CallName(callback.function, callback.key)
        for letter in memories.letters():
            yield CallName(letter.function, letter.key)

    def _tell(self, name: CallName) -> Known:
        memories = self._memories
        waiting = [entry for entry in memories.calls if name == _name_of(entry.parcel)]
        request = waiting[0].parcel if waiting else None
        ended, ending = self._ended(name, request)
        about = request or ended
        generation = 0 if about is None else about.generation
        noted_in, history = memories.histories.get(name, (0, NOT_TRIED))
        if ending is not None:
            history = ending.history
        elif request is not None and (
            noted_in < generation or len(history.attempts) < len(request.history.attempts)
        ):
            history = request.history
        place = "later" if waiting and waiting[0].put_off else "queue" if waiting else None
        return Known(
            name=name,
            queue="" if about is None else about.queue,
            accepted_ns=0 if about is None else about.start_time_ns,
            place=None if ending is not None else place,  # type: ignore[arg-type]
            request=request,
            history=history,
            not_before_ns=history.not_before_ns or _put_off_until_ns(request, place),
            ending=ending,
            callback=self._callback(name, about, ending),
            traceparent=b"" if about is None else about.traceparent,
        )

    def _ended(
        self, name: CallName, request: QueueRequest | None
    ) -> tuple[QueueRequest | None, Ending | None]:
        ended, ending = self._memories.endings.get(name, (None, None))
        if ended is not None and (request is None or ended.generation >= request.generation):
            return ended, ending
        for letter in self._memories.letters() if request is None else ():
            if isinstance(letter, DeadLetter) and name == (letter.function, letter.key):
                outcome = Outcome(letter.status, (), b"", 0.0, letter.error)
                history, state = letter.request.history, buried(letter.reason)
                return letter.request, Ending(
                    state, outcome, history, letter.ended_ns, letter.reason, "buried"
                )
        return None, None

    def _callback(
        self, name: CallName, about: QueueRequest | None, ending: Ending | None
    ) -> CallbackKnown | None:
        waiting = {each.parcel.name for each in self._memories.callbacks}
        postings = self._memories.postings
        concerned = [each for each in {*waiting, *postings} if name == (each.function, each.key)]
        if concerned:
            newest = max(concerned)
            posting = postings.get(newest, Posting())
            return CallbackKnown("waiting" if newest in waiting else posting.state, posting)
        for letter in self._memories.letters():
            if isinstance(letter, DeadCallback) and name == (letter.function, letter.key):
                posting = Posting("given_up", letter.tries, 0, letter.status, letter.error)
                return CallbackKnown("given_up", posting)
        if about is None:
            return None
        if ending is None:
            asked = about.callback is not None or about.on_failure is not None
            return CallbackKnown("pending") if asked else None
        owed = callback_url_of(about, ending) is not None
        return CallbackKnown("forgotten") if owed else None


def _put_off_until_ns(request: QueueRequest | None, place: str | None) -> int:
    return request.not_before_ns if request is not None and place == "later" else 0


def _name_of(request: QueueRequest) -> CallName:
    return CallName(request.function, request.key)


class MemoryPeers:
    """See :class:`~faasd_async.queue.interface.Peers`: there are none."""

    def __init__(self) -> None:
        self.hands: Hands | None = None

    def ask(self, key: CallKey) -> Deferred[Grip | None]:
        return succeed(None if self.hands is None else self.hands.grip(key))

    def abort(self, key: CallKey) -> None:
        if self.hands is not None:
            self.hands.abort(key)

    def moved(self, key: CallKey) -> None:
        """There is nobody to be told."""

    def hear(
        self, name: CallName, ended: Callable[[], None], moved: Callable[[], None]
    ) -> Callable[[], None]:
        return lambda: None
