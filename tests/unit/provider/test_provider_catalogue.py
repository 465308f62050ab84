"""What is known of another provider's functions, and who waits to know it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from faasd_async.provider.catalogue import FRESH_SECONDS, MOST_WAITING, Catalogue
from faasd_async.provider.errors import ProviderAway, ProviderRefused
from faasd_async.provider.listed import ListReader
from faasd_async.provider.remembered import Remembered
from faasd_async.settings import FunctionSettings, load

REFRESH_SECONDS = 10.0


class PaperProvider:
    """Answers when the test says so.

    :ivar asked: those questions for functions that are not answered yet.
    """

    def __init__(self) -> None:
        self.asked: list[Deferred[bytes]] = []
        self.is_closed = False

    async def ask(self, method: str, path: str, query: object = (), body: bytes = b"") -> bytes:
        if path == "namespaces":
            raise ProviderRefused(404, "not found")
        assert (method, path, query) == ("GET", "functions", [("namespace", "openfaas-fn")])
        answer: Deferred[bytes] = Deferred()
        self.asked.append(answer)
        return await answer

    async def follow(self, *_: object) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        self.is_closed = True

    def answer(self, *names: str, **parts: Any) -> None:
        self.asked.pop(0).callback(json.dumps([{"name": n, **parts} for n in names]).encode())

    def fail(self) -> None:
        self.asked.pop(0).errback(ProviderAway("it is away"))


class Kept:
    """A catalogue on a clock."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.provider = PaperProvider()
        self.deployed: list[list[str]] = []
        self.path = path
        settings = load(None, {"functions_provider_url": "http://other:8081"})
        self.catalogue = Catalogue(
            self.clock,
            self.provider,
            ListReader(settings),
            Remembered(path / "list", "http://other:8081", lambda do: succeed(do())),
            deploy=self._deploy,
            namespace="openfaas-fn",
            refresh_seconds=REFRESH_SECONDS,
        )

    async def _deploy(self, functions: Mapping[str, FunctionSettings]) -> None:
        self.deployed.append(sorted(functions))

    def begin(self, *names: str) -> None:
        started = self.catalogue.start()
        self.provider.answer(*names)
        assert started.called


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_it_is_asked_again_and_again(kept: Kept) -> None:
    """What has changed is deployed, and only that."""
    kept.begin("a")
    for names in (("a",), ("a", "b"), ()):
        kept.clock.advance(REFRESH_SECONDS)
        kept.provider.answer(*names)
    assert kept.deployed == [["a"], ["a", "b"], []]


def test_many_wait_for_one_answer(kept: Kept) -> None:
    """Who asks while an answer is under way waits for the next, all together."""
    kept.begin("a")
    first = kept.catalogue.when_fresh()
    others = [kept.catalogue.when_fresh() for _ in range(10)]
    kept.provider.answer("a")
    assert first.called
    assert not any(each.called for each in others)
    assert len(kept.provider.asked) == 1
    kept.provider.answer("a", "b")
    assert all(each.called for each in others)
    assert kept.provider.asked == []


def test_what_is_fresh_is_not_asked_for_again(kept: Kept) -> None:
    """However often it is to be shown."""
    kept.begin("a")
    assert kept.catalogue.when_about_fresh().called
    kept.clock.advance(FRESH_SECONDS)
    assert not kept.catalogue.when_about_fresh().called


def test_a_function_of_a_moment_ago_is_found(kept: Kept) -> None:
    """Right after an answer without it, too: who calls it waits until there may be another."""
    kept.begin("a")
    looking = kept.catalogue.when_looked_for()
    assert not looking.called
    kept.clock.advance(FRESH_SECONDS)
    kept.provider.answer("a", "b")
    assert looking.called
    assert kept.deployed == [["a"], ["a", "b"]]


def test_the_provider_is_not_flooded(kept: Kept) -> None:
    """However many functions are called that nobody knows, it is asked once in so much time, and
    no sooner while it does not answer; an operator who has one deployed waits for nobody."""
    kept.begin("a")
    looking: list[Deferred[None]] = []
    for second in range(1, 6):
        for _ in range(8):
            looking += [kept.catalogue.when_looked_for() for _ in range(50)]
            kept.clock.advance(FRESH_SECONDS / 8)
        assert (len(kept.provider.asked), len(looking)) == (1, second * 400)
        kept.provider.fail()
        for each in looking:
            if each.called:
                each.addErrback(lambda _: None)
    kept.catalogue.when_looked_for()
    assert kept.provider.asked == []
    kept.catalogue.when_fresh()
    assert len(kept.provider.asked) == 1
    kept.provider.answer("a")
    looking += [kept.catalogue.when_looked_for() for _ in range(MOST_WAITING)]
    assert isinstance(_failed(kept.catalogue.when_looked_for()), ProviderAway)
    assert not kept.catalogue.when_fresh().called
    assert len(kept.provider.asked) == 1


def test_a_provider_that_is_away_changes_nothing(kept: Kept) -> None:
    """It is told of once, who waits hears of it, and it is asked again."""
    kept.begin("a")
    for _ in range(2):
        waiting = kept.catalogue.when_fresh()
        kept.provider.fail()
        assert isinstance(_failed(waiting), ProviderAway)
    assert [each["name"] for each in kept.catalogue.sheets["openfaas-fn"]] == ["a"]
    kept.clock.advance(REFRESH_SECONDS)
    kept.provider.answer("b")
    assert kept.deployed == [["a"], ["b"]]


def test_who_waits_is_counted(kept: Kept) -> None:
    """Beyond a bound nobody waits."""
    kept.begin("a")
    waiting = [kept.catalogue.when_fresh() for _ in range(MOST_WAITING + 1)]
    assert not any(each.called for each in waiting)
    assert isinstance(_failed(kept.catalogue.when_fresh()), ProviderAway)
    stopping = Deferred.fromCoroutine(kept.catalogue.stop())
    assert stopping.called
    for each in waiting:
        assert isinstance(_failed(each), ProviderAway)
    assert kept.clock.getDelayedCalls() == []
    assert kept.provider.is_closed


def test_what_was_known_is_there_at_the_start(kept: Kept, tmp_path: Path) -> None:
    """Unless it was another provider's."""
    kept.begin("a")
    again = Kept(tmp_path)
    again.catalogue.start()
    assert again.deployed == [["a"]]
    other = Remembered(tmp_path / "list", "http://another", lambda do: succeed(do()))
    assert other.read() == {}


def test_a_list_that_is_none_counts_as_no_answer(kept: Kept) -> None:
    """What was known holds."""
    kept.begin("a")
    waiting = kept.catalogue.when_fresh()
    kept.provider.asked.pop().callback(b'{"name": "a"}')
    assert isinstance(_failed(waiting), ProviderAway)
    assert kept.deployed == [["a"]]


def _failed(waiting: Deferred[Any]) -> BaseException:
    failure: BaseException = SynchronousTestCase().failureResultOf(waiting).value
    return failure
