"""The life of a function that is an image, on an engine on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from paper_engine import IMAGE, IMAGE_ID, PaperEngine
from twisted.internet.defer import Deferred, succeed

from faasd_async.call.body import StoredBody
from faasd_async.errors import NotRunning
from faasd_async.runtime.container import running
from faasd_async.runtime.container.ours import FUNCTION, STATE_DIR
from faasd_async.runtime.container.runtime import ContainerRuntime
from faasd_async.runtime.interface import Answer, Invocation
from faasd_async.runtime.reply import FlowingReply
from faasd_async.runtime.spill import Source
from faasd_async.settings import ContainerSettings, FunctionSettings


class Idle:
    """A connection that nobody needs to slow down."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def abort(self) -> None: ...


class Store:
    """Where answers go that are too large to be gathered; here all."""

    gathered_bytes = 0

    def __init__(self) -> None:
        self.received = b""

    def begin(self, source: Source) -> Store:
        return self

    def write(self, piece: bytes) -> None:
        self.received += piece

    def finish(self) -> Deferred[StoredBody]:
        return succeed(StoredBody("there", len(self.received), ""))

    def abort(self) -> None: ...


SETTINGS = FunctionSettings(name="web", image=IMAGE, max_inflight=1, max_body_bytes=1)
CALL = Invocation("web", "the-call", b"GET", b"/", (), b"")


class House:
    """A function, and the engine that it runs on.

    :ivar answers: whether its containers answer.
    """

    def __init__(self, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paper = PaperEngine()
        self.state_dir = state_dir
        self.answers = True
        self.runtime: ContainerRuntime
        monkeypatch.setattr(running, "answers", lambda *_: succeed(self.answers))

    def start(self, settings: FunctionSettings = SETTINGS, **container: Any) -> None:
        self.runtime = ContainerRuntime(
            self.paper.clock,
            replace(settings, container=ContainerSettings(**container)),
            self.paper.installation(self.state_dir),
            lambda: 1.0,
        )
        self.runtime.start()
        self.paper.flush()

    def call(self) -> Deferred[Any]:
        return self.runtime.invoke(CALL, 1000.0)

    @property
    def connections(self) -> int:
        """How many calls have come as far as a connection to a container."""
        return len(self.paper.clock.tcpClients)

    def stop(self) -> Deferred[None]:
        stopped = self.runtime.stop()
        self.paper.flush()
        return stopped


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """At the end nothing is left of it, and nobody waits for anything."""
    house = House(tmp_path, monkeypatch)
    yield house
    house.paper.refuse = ""
    house.paper.let_go()
    stopped = house.stop()
    house.paper.pass_time(3)
    assert stopped.called
    assert not house.paper.containers
    assert not [each for each in house.paper.clock.getDelayedCalls() if each.time < 900]


def why_not(call: Deferred[Any]) -> str:
    reasons: list[Any] = []
    call.addErrback(reasons.append)
    [reason] = reasons
    assert reason.check(NotRunning)
    assert reason.value.status == 503
    return str(reason.value)


def test_a_call_waits_until_it_is_ready(house: House) -> None:
    """A container that runs is not one that answers."""
    house.answers = False
    house.start()
    call = house.call()
    assert house.paper.running
    assert not house.connections
    house.answers = True
    house.paper.pass_time(2)
    assert house.connections == 1
    assert not call.called
    call.addErrback(lambda _: None)


def test_no_call_waits_for_ever(house: House) -> None:
    """After ``start_timeout`` it is told what it is that lasts."""
    house.answers = False
    house.start(start_timeout_seconds=5.0, ready_path="/well")
    call = house.call()
    house.paper.pass_time(4.9)
    assert not call.called
    house.paper.pass_time(0.2)
    assert why_not(call) == (
        "web was not ready within 5 s: it does not answer GET /well with 2xx yet"
    )


def test_an_image_is_fetched_if_it_is_not_there(house: House) -> None:
    """Of all its tags the one that was meant."""
    house.paper.registry = {"there/img:latest": "def"}
    house.start(replace(SETTINGS, image="there/img"))
    assert "POST /v1.41/images/create?fromImage=there/img:latest" in house.paper.asked
    house.paper.images["there/img"] = "def"
    house.paper.pass_time(1)
    assert len(house.paper.running) == 1


def test_an_image_that_is_always_fetched(house: House) -> None:
    """Also if it is there."""
    house.paper.registry = {IMAGE: "newer"}
    house.start(pull="always")
    assert house.paper.images[IMAGE] == "newer"
    assert len(house.paper.running) == 1


def test_an_image_that_cannot_be_had(house: House) -> None:
    """Calls are told why at once, those that wait and those that come; it is tried again, and
    once there is one all is well."""
    house.paper.images = {}
    house.paper.hold = "/images/create"
    house.start()
    early = house.call()
    assert not early.called
    house.paper.let_go()
    expected = f"web is not there: the image {IMAGE} cannot be pulled: no such image there"
    assert why_not(early) == expected
    assert why_not(house.call()) == expected
    house.paper.registry = {IMAGE: IMAGE_ID}
    house.paper.pass_time(1)
    assert len(house.paper.running) == 1


def test_a_secret_that_is_not_there(house: House) -> None:
    """The function waits for it, and says so; nothing is made before."""
    house.start(replace(SETTINGS, secrets=("key",)))
    assert "the secret key cannot be read" in why_not(house.call())
    assert not house.paper.containers
    (house.state_dir / "secrets").mkdir()
    (house.state_dir / "secrets" / "key").write_text("x")
    house.paper.pass_time(1)
    assert len(house.paper.running) == 1


def test_crashes(house: House) -> None:
    """Each time another container takes its place, after waits that grow; there are never two."""
    house.start()
    waits = []
    for _ in range(4):
        [name] = house.paper.running
        began = house.paper.clock.seconds()
        house.paper.crash(name)
        while name in house.paper.containers or not house.paper.running:
            house.paper.clock.advance(0.01)
            house.paper.flush()
        waits.append(house.paper.clock.seconds() - began)
    assert waits == sorted(waits)
    assert waits[-1] - waits[0] >= 0.6
    assert house.paper.most == 1


def test_a_call_during_a_crash_waits_for_the_next(house: House) -> None:
    """It is not told of it."""
    house.start()
    house.paper.crash(*house.paper.running)
    call = house.call()
    assert not house.connections
    house.paper.pass_time(3)
    assert house.connections == 1
    call.addErrback(lambda _: None)


def test_to_zero_and_back(house: House) -> None:
    """With nobody calling there is no container; a call has one made, and waits for it."""
    house.start(zero_after_seconds=10.0)
    house.paper.pass_time(9)
    assert len(house.paper.running) == 1
    house.paper.pass_time(6)
    assert not house.paper.containers
    house.paper.pass_time(600)
    assert not house.paper.containers
    call = house.call()
    house.paper.flush()
    assert len(house.paper.running) == 1
    assert house.connections == 1
    call.addErrback(lambda _: None)


def test_a_call_that_comes_as_it_goes_to_zero(house: House) -> None:
    """It does not go to the container that ends, but waits for the next."""
    house.start(zero_after_seconds=10.0)
    house.paper.hold = "/stop"
    house.paper.pass_time(12)
    call = house.call()
    assert not house.connections
    house.paper.let_go()
    house.paper.pass_time(3)
    assert len(house.paper.running) == 1
    assert house.connections == 1
    call.addErrback(lambda _: None)


def test_a_call_that_waits_keeps_it(house: House) -> None:
    """A container that takes longer to be ready than it may be idle is let be."""
    house.answers = False
    house.start(zero_after_seconds=1.0)
    call = house.call()
    [name] = house.paper.running
    house.paper.pass_time(20)
    assert house.paper.running == [name]
    call.addErrback(lambda _: None)


@pytest.mark.parametrize(
    "during", ["/json", "/images/create", "/containers/json", "/containers/create", "/start"]
)
def test_stopped_while_it_starts(house: House, during: str) -> None:
    """Wherever it is, nothing is left of the container that was to be."""
    house.paper.images, house.paper.registry = {}, {IMAGE: IMAGE_ID}
    house.paper.hold = during
    house.start()
    stopped = house.stop()
    house.paper.let_go()
    house.paper.pass_time(3)
    assert stopped.called
    assert not house.paper.containers


def test_the_container_cannot_be_stopped(house: House) -> None:
    """It is removed all the same."""
    house.start()
    house.paper.refuse = "/stop"
    stopped = house.stop()
    house.paper.pass_time(3)
    assert stopped.called
    assert not house.paper.containers


def test_what_is_left_of_it_is_removed_later(house: House) -> None:
    """A container that could not be removed when it had ended is, before there is another."""
    house.start()
    [name] = house.paper.running
    house.paper.refuse = "DELETE"
    house.paper.crash(name)
    house.paper.pass_time(3)
    assert set(house.paper.containers) == {name}
    assert "no can do" in why_not(house.call())
    house.paper.refuse = ""
    house.paper.pass_time(10)
    [other] = house.paper.containers
    assert other != name


def test_it_goes_on_with_one_that_was_left_behind(house: House) -> None:
    """Made of the same settings: the daemon that is killed and the next one have but one."""
    house.start()
    [(name, made)] = house.paper.containers.items()
    labels = made.description["Labels"]
    assert (labels[STATE_DIR], labels[FUNCTION]) == (str(house.state_dir), "web")
    killed = house.runtime
    house.start()
    assert set(house.paper.containers) == {name}
    assert house.paper.most == 1
    assert len(made.followed) == 2
    assert b"since=1000" in made.followed[1].uri
    next_one, house.runtime = house.runtime, killed
    house.stop()
    house.runtime = next_one


def test_before_and_after(house: House) -> None:
    """A function that is not started says so."""
    house.start()
    house.stop()
    house.paper.pass_time(3)
    assert why_not(house.call()) == "web is not started"


def test_a_call_that_waits_for_a_container_may_be_answered_at_length(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer goes into the store, as one does that finds the container there."""
    house.answers = False
    house.start()
    reply, store = FlowingReply(200, (), Idle()), Store()
    told: list[Answer | Exception] = []
    monkeypatch.setattr(house.runtime, "invoke", lambda *_: succeed(reply))
    house.runtime.invoke_whole(
        msgspec.structs.replace(CALL, spill=store), 1000.0, 1000, told.append
    )
    reply.feed(b"at length")
    reply.finish()
    assert told == [Answer(200, (), StoredBody("there", 9, ""))]
    assert store.received == b"at length"
    house.stop()
