"""Callbacks that are calls of this daemon."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from faasd_async.call.callback_url import parse
from faasd_async.call.headers import Headers, first
from faasd_async.call.ids import CallKey
from faasd_async.call.request import CallbackRequest
from faasd_async.call.route import FunctionRoute
from faasd_async.callback.chain import Chain, hops_of
from faasd_async.callback.tried import LOOPED, Try


class House:
    """A chain, and what it does.

    :ivar answer: what the acceptance says.
    """

    def __init__(self, max_hops: int = 3) -> None:
        self.enqueued: list[tuple[FunctionRoute, Headers, bytes]] = []
        self.sent: list[CallbackRequest] = []
        self.answer: tuple[int, str, bytes | None] = (202, "", None)
        self.chain = Chain(
            Clock(),
            self,
            is_own=lambda url: url.host == "here",
            enqueue=self.enqueue,
            max_hops=max_hops,
        )

    def enqueue(
        self, route: FunctionRoute, headers: Headers, body: bytes
    ) -> Deferred[tuple[int, str, bytes | None]]:
        self.enqueued.append((route, headers, body))
        return succeed(self.answer)

    def send(self, callback: CallbackRequest) -> Deferred[Try]:
        self.sent.append(callback)
        return succeed(Try(204, 0.5))

    def tries(self, url: bytes, *headers: tuple[bytes, bytes]) -> Try:
        fields = [(b"X-Call-Id", b"call-1"), (b"Webhook-Id", b"msg_1"), *headers]
        callback = CallbackRequest("f", CallKey("call-1", "0"), parse(url), fields, b"answer")
        found: list[Any] = []
        self.chain.send(callback).addCallback(found.append)
        (tried,) = found
        assert isinstance(tried, Try)
        return tried


def test_a_callback_to_a_function_of_ours_is_a_call() -> None:
    """It goes into the queue, with its ids and its body, path and query."""
    house = House()
    assert house.tries(b"http://here/async-function/next.openfaas-fn/a%2Fb?x=1").status == 202
    ((route, headers, body),) = house.enqueued
    assert route == FunctionRoute(True, "next.openfaas-fn", b"/a%2Fb?x=1")
    assert first(headers, b"x-call-id") == b"call-1"
    assert first(headers, b"webhook-id") == b"msg_1"
    assert (body, hops_of(headers)) == (b"answer", 1)
    assert house.sent == []


@pytest.mark.parametrize(
    "url",
    [
        b"http://there/async-function/next",
        b"http://here/function/next",
        b"http://here/",
        b"http://u:p@here/async-function/next",
    ],
)
def test_other_callbacks_go_out_into_the_world(url: bytes) -> None:
    """To others, to who waits for an answer, and in somebody's name."""
    house = House()
    assert house.tries(url) == Try(204, 0.5)
    assert (len(house.sent), house.enqueued) == (1, [])


def test_a_call_that_is_not_taken_is_tried_again_later() -> None:
    """The status says so, and when."""
    house = House()
    house.answer = (503, "the queue is full", b"10")
    tried = house.tries(b"http://here/async-function/next")
    assert (tried.status, tried.retry_after, tried.delivered) == (503, b"10", False)


@pytest.mark.parametrize(
    ("status", "is_refused"),
    [
        (202, False),
        *((status, True) for status in (400, 403, 405, 413, 422)),
        *((status, False) for status in (401, 404, 408, 425, 429, 501, 503, 504, 507)),
    ],
)
def test_a_refusal_that_stays_one_is_told_from_one_that_may_pass(
    status: int, is_refused: bool
) -> None:
    """What is wrong with the call stays so; a function that is gone may be deployed again."""
    house = House()
    house.answer = (status, "why", None)
    assert house.tries(b"http://here/async-function/next").is_refused == is_refused


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_the_world_says_is_never_for_good(status: int) -> None:
    """Whoever is out there may be mended meanwhile."""
    house = House()
    house.send = lambda callback: succeed(Try(status, 0.5))  # type: ignore[method-assign]
    assert not house.tries(b"http://there/async-function/next").is_refused


@pytest.mark.parametrize(("hops", "status"), [(b"2", 202), (b"3", LOOPED), (b"9999", LOOPED)])
def test_a_chain_has_an_end(hops: bytes, status: int) -> None:
    """What comes behind it is put nowhere."""
    house = House(max_hops=3)
    tried = house.tries(b"http://here/async-function/next", (b"x-call-hops", hops))
    assert tried.status == status
    assert [hops_of(headers) for _, headers, _ in house.enqueued] == [3] * (status == 202)
    assert len([each for _, each, _ in house.enqueued]) == (status == 202)


def test_no_chain_at_all() -> None:
    """With a limit of none."""
    assert House(0).tries(b"http://here/async-function/next").status == LOOPED


@pytest.mark.parametrize("written", [b"", b"-1", b"many", b"1.5", b"99999"])
def test_hops_that_make_no_sense_count_for_nothing(written: bytes) -> None:
    """Somebody else has written them."""
    assert hops_of([(b"X-Call-Hops", written)]) == 0
