"""Who may call a function whose requests are signed: both doors ask here.

A signature is taken once. Which were taken is remembered in memory, for as long as one could come
again: a restart forgets them, and other daemons do not know. A call that was not taken in the end,
or that failed, has used no signature up: its sender may try again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from faasd_async.call.body import Body, is_stored
from faasd_async.call.headers import Headers
from faasd_async.gateway.arrival import Arrival
from faasd_async.gateway.refusal import Fields, Refusal
from faasd_async.gateway.signatures import check
from faasd_async.settings import VerifySettings

Told = TypeVar("Told")

#: Of so many signatures of a function is remembered that they were taken; then the oldest goes.
MOST_REMEMBERED = 20_000

#: So much of a digest tells one from another.
_DIGEST_BYTES = 16

#: A status (:rfc:`9110`, section 15.5.2) that comes with how it could be done better.
_CHALLENGE: Fields = ((b"WWW-Authenticate", b"Signature"),)


class Taken(NamedTuple):
    """A signature that was taken."""

    function: str
    digest: bytes


class Verification:
    """Looks at signatures.

    :param now_ns: the wall clock, Unix nanoseconds.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._taken: dict[str, OrderedDict[bytes, float]] = {}

    def take(
        self, function: str, verify: VerifySettings, headers: Headers, body: Body
    ) -> Taken | None:
        """Take a signature.

        :return: what to :meth:`forget` if the call is not taken after all; ``None``: nothing was
            noted.
        :raises Refusal: 401; 413, it lies in the store, where nobody looks at it.
        """
        if is_stored(body):
            raise Refusal(413, "a signed request of this size cannot be looked at")
        assert isinstance(body, bytes)
        signed = check(verify, headers, body)
        if signed is None:
            raise _refused("the request is not signed as this function asks for")
        now, tolerance = self._now_ns() / 1e9, verify.tolerance_seconds
        if signed.timestamp is not None and abs(now - signed.timestamp) > tolerance:
            raise _refused("the signature of the request is too old, or from a time to come")
        if not tolerance:
            return None
        # One from a time to come stays good for longer.
        until = max(now, signed.timestamp or 0.0) + tolerance
        return self._note(Taken(function, signed.digest[:_DIGEST_BYTES]), now, until)

    def admit(
        self,
        function: str,
        verify: VerifySettings,
        arrival: Arrival,
        answered: Callable[[Told], None],
    ) -> Callable[[Told], None]:
        """Take the signature of an asynchronous call.

        :return: *answered*, which first forgets the signature if the answer is a refusal.
        :raises Refusal: 401.
        """
        taken = self.take(function, verify, arrival.headers, arrival.body)
        if taken is None:
            return answered

        def tell(answer: Told) -> None:
            if isinstance(answer, Refusal):
                self.forget(taken)
            answered(answer)

        return tell

    def _note(self, taken: Taken, now: float, until: float) -> Taken:
        remembered = self._taken.setdefault(taken.function, OrderedDict())
        if remembered.get(taken.digest, 0.0) > now:
            raise _refused("the signature of the request was used before")
        while remembered and (
            next(iter(remembered.values())) <= now or len(remembered) >= MOST_REMEMBERED
        ):
            remembered.popitem(last=False)
        remembered.pop(taken.digest, None)
        remembered[taken.digest] = until
        return taken

    def forget(self, taken: Taken) -> None:
        """It may be used again, for the call did not come to anything."""
        remembered = self._taken.get(taken.function)
        if remembered is not None:
            remembered.pop(taken.digest, None)
            if not remembered:
                del self._taken[taken.function]


def _refused(why: str) -> Refusal:
    return Refusal(401, why, _CHALLENGE)
