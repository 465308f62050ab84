"""The roster while disks fail, programs are missing and orders cross each other."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import LogEvent, capturedLogs

from faasd_async.errors import NotHandedOver, StartError
from faasd_async.functions.deployment import FORMAT, Record
from faasd_async.functions.errors import Kept, NotStored, NotUsable, NotYet, Unknown
from faasd_async.functions.reading import DeploymentReader
from faasd_async.functions.roster import MOST_DEPLOYED, Roster
from faasd_async.functions.secrets import SecretStore
from faasd_async.functions.store import DeploymentStore
from faasd_async.runtime.deployments import Deployments
from faasd_async.runtime.interface import Invocation, Reply
from faasd_async.settings import FunctionSettings, load
from faasd_async.settings.openfaas.deployment import FunctionDeployment
from faasd_async.settings.openfaas.table import COMMAND


class Bench:
    """A runtime that starts as a test says."""

    def __init__(self, settings: FunctionSettings) -> None:
        self.settings = settings
        self.started: Callable[[], Deferred[None]] = lambda: succeed(None)
        self.starts = self.stops = 0

    def start(self) -> Deferred[None]:
        self.starts += 1
        return self.started()

    def stop(self) -> Deferred[None]:
        self.stops += 1
        return succeed(None)

    def invoke(self, invocation: Invocation, timeout_seconds: float) -> Deferred[Reply]:
        answer: Any = f"{self.settings.name} ran"
        return succeed(answer)

    def when_over(self) -> Deferred[None]:
        return succeed(None)


class House:
    """A roster over a directory.

    :ivar disk: fails with this, if it is to.
    :ivar writes: of changes that wait for the disk, if they are to: each is called to go on.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.disk: OSError | None = None
        self.slow = False
        self.writes: list[Callable[[], None]] = []
        self.benches: dict[str, list[Bench]] = {}
        self.prepare: Callable[[Bench], object] = lambda bench: None
        self.now_ns = 1_000
        config = directory / "faas.toml"
        config.write_text("[gateway]\ndeploy = ['command', 'url']\n")
        self.settings = load(str(config), {})
        self.new()

    def new(self) -> None:
        """As after a restart."""
        self.deployments = Deployments(self._make)
        self.secrets = SecretStore(self.directory, self._elsewhere)
        self.roster = Roster(
            self.deployments,
            DeploymentStore(self.directory / "functions", self._elsewhere),
            self.secrets,
            DeploymentReader(self.settings),
            now_ns=lambda: self.now_ns,
        )

    def _make(self, settings: FunctionSettings) -> Bench:
        bench = Bench(settings)
        self.benches.setdefault(settings.name, []).append(bench)
        self.prepare(bench)
        return bench

    def _elsewhere(self, change: Callable[[], None]) -> Deferred[None]:
        if self.disk is not None:
            return fail(self.disk)
        done: Deferred[None] = Deferred()

        def go_on() -> None:
            change()
            done.callback(None)

        if self.slow:
            self.writes.append(go_on)
        else:
            go_on()
        return done

    def starts(self, *file: FunctionSettings) -> None:
        done(self.roster.deploy_file({each.name: each for each in file}))

    def put(self, name: str, command: str = "cat", **parts: Any) -> Deferred[None]:
        given = FunctionDeployment(name, annotations={COMMAND: command}, **parts)
        return Deferred.fromCoroutine(self.roster.put(given, new=True))

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in (self.directory / "functions").iterdir())

    def words(self, name: str) -> tuple[str, ...]:
        command = self.deployments[name].settings.command
        assert command is not None
        return command.words


def done(action: Any) -> Any:
    """What came of it, which has to be there by now."""
    deferred = action if isinstance(action, Deferred) else Deferred.fromCoroutine(action)
    results: list[Any] = []
    failures: list[Any] = []
    deferred.addCallbacks(results.append, failures.append)
    if failures:
        failures[0].raiseException()
    (result,) = results
    return result


def of_file(name: str) -> FunctionSettings:
    return FunctionSettings(name=name, url="http://h", max_inflight=2, max_body_bytes=1)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    with capturedLogs() as captured:
        yield captured


def test_what_cannot_be_written_does_not_run_either(house: House) -> None:
    """Whoever is told no finds everything as it was: a new one gone, an old one back."""
    house.starts()
    done(house.put("a", "cat"))
    house.disk = OSError(errno.ENOSPC, "No space left on device")
    for name in ("a", "b"):
        with pytest.raises(NotStored, match="No space left"):
            done(house.put(name, "echo"))
    with pytest.raises(NotStored):
        done(house.roster.remove("a"))
    with pytest.raises(NotStored):
        done(house.roster.scale("a", 3))
    assert list(house.deployments) == ["a"]
    assert house.words("a") == ("cat",)
    (entry,) = house.roster
    assert (entry.replicas, entry.available) == (1, 1)
    house.disk = None
    assert house.files == ["a.json"]
    house.new()
    house.starts()
    assert house.words("a") == ("cat",)


def test_it_is_written_before_anybody_is_told(house: House) -> None:
    """And it runs before that, so that nothing is written that could not run."""
    house.starts()
    house.slow = True
    put = house.put("a")
    assert list(house.deployments) == ["a"]
    assert not put.called
    house.writes.pop()()
    assert put.called
    assert house.files == ["a.json"]


def test_what_cannot_start_is_not_written(house: House) -> None:
    """The version before it stays, running and written."""
    house.starts()
    done(house.put("a", "cat"))
    house.prepare = lambda bench: setattr(bench, "started", lambda: fail(StartError("no")))
    for name in ("a", "b"):
        with pytest.raises(NotUsable, match=f"{name} cannot be started: no"):
            done(house.put(name, "echo"))
    assert house.files == ["a.json"]
    assert list(house.deployments) == ["a"]
    assert house.words("a") == ("cat",)
    assert house.benches["a"][0].stops == 0


def test_orders_are_carried_out_one_after_the_other(house: House) -> None:
    """A reading of the file waits, too, and none undoes another."""
    house.starts()
    house.slow = True
    first, second = house.put("a"), house.put("b")
    read = Deferred.fromCoroutine(house.roster.deploy_file({"f": of_file("f")}))
    assert sorted(house.deployments) == ["a"]
    house.writes.pop()()
    assert first.called
    assert not second.called
    house.writes.pop()()
    assert second.called
    assert read.called
    assert sorted(house.deployments) == ["a", "b", "f"]


def test_the_files_own_are_kept(house: House) -> None:
    """Whatever is ordered about them, scaling excepted."""
    house.starts(of_file("f"))
    with pytest.raises(Kept):
        done(house.put("f"))
    with pytest.raises(Kept):
        done(house.roster.remove("f"))
    done(house.roster.scale("f", 3))
    assert house.deployments["f"].settings.max_inflight == 6
    assert house.files == []


def test_before_the_start_nothing_is_ordered(house: House) -> None:
    """Who comes too early may come again."""
    with pytest.raises(NotYet):
        done(house.put("a"))
    with pytest.raises(NotYet):
        done(house.roster.remove("a"))
    with pytest.raises(NotYet):
        done(house.roster.scale("a", 1))
    with pytest.raises(NotYet):
        done(house.secrets.put("key", b"k", new=True))
    assert house.secrets.names == []
    assert list(house.roster) == []


def test_a_daemon_that_stops_deploys_nothing_more(house: House) -> None:
    """What was about to start is stopped, nothing is written, and nobody calls that a bug."""
    house.starts()
    starting: Deferred[None] = Deferred()
    house.prepare = lambda bench: setattr(bench, "started", lambda: starting)
    put = house.put("a")
    done(house.deployments.stop())
    starting.callback(None)
    with pytest.raises(NotUsable, match="stopping"):
        done(put)
    assert [bench.stops for bench in house.benches["a"]] == [1]
    assert list(house.deployments) == []
    assert house.files == []


def test_there_is_a_bound(house: House) -> None:
    """A new one beyond it is refused; what is there may be changed."""
    house.starts()
    done(house.put("a"))
    record = house.roster.find("a").record
    assert record is not None
    records = {f"f{n}": record for n in range(MOST_DEPLOYED - 1)}
    house.roster._records = {"a": record, **records}
    with pytest.raises(NotUsable, match="deployed already"):
        done(house.put("b"))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b'{"format": 1}', "cannot be read"),
        (msgspec.json.encode({"format": FORMAT + 1, "other": 1}), "newer faasd-async"),
    ],
)
def test_a_record_that_is_not_understood_stops_the_start(
    house: House, content: bytes, why: str
) -> None:
    """Its file is named: to go on without it would lose it in silence."""
    house.starts()
    path = house.directory / "functions" / "a.json"
    path.write_bytes(content)
    house.new()
    with pytest.raises(StartError, match=why) as caught:
        house.starts()
    assert str(path) in str(caught.value)


def test_a_half_written_record_is_none(house: House) -> None:
    """What a crash left of a write counts for nothing."""
    house.starts()
    done(house.put("a"))
    (house.directory / "functions" / ".a.json.new").write_bytes(b"{")
    house.new()
    house.starts()
    assert list(house.deployments) == ["a"]


@pytest.mark.parametrize("name", ["a..", "a.", "-", "a.json"])
def test_odd_names_stay_in_their_directory(house: House, name: str) -> None:
    """A name is no path, neither of a deployment nor of secrets."""
    house.starts()
    done(house.secrets.put("key", b"k", new=True))
    before = {
        path for path in house.directory.parent.rglob("*") if house.directory.name in str(path)
    }
    done(house.put(name, secrets=["key"]))
    given = Path(house.secrets.directory_of(name))
    assert (given / "key").read_bytes() == b"k"
    assert given.parent == house.directory / "given-secrets"
    house.new()
    house.starts()
    assert list(house.deployments) == [name]
    done(house.roster.remove(name))
    house.new()
    house.starts()
    after = {
        path for path in house.directory.parent.rglob("*") if house.directory.name in str(path)
    }
    assert after == before


# -- replicas


INVOCATION = Invocation("a", "id", b"POST", b"/", (), b"")


def test_the_first_call_wakes_a_function_and_those_that_come_meanwhile_wait(house: House) -> None:
    """It is started once, and from then on called as if it had never slept."""
    house.starts()
    done(house.put("a"))
    done(house.roster.scale("a", 0))
    assert [bench.starts for bench in house.benches["a"]] == [1, 0]
    assert house.benches["a"][0].stops == 1
    asleep, starting = house.benches["a"][1], Deferred[None]()
    asleep.started = lambda: starting
    deployment = house.deployments["a"]
    first, second = (deployment.invoke(INVOCATION, 1.0) for _ in range(2))
    second.addErrback(lambda _: None)
    assert not first.called
    second.cancel()
    starting.callback(None)
    assert done(first) == "a ran"
    assert asleep.starts == 1
    assert deployment.runtime is asleep
    (entry,) = house.roster
    assert (entry.replicas, entry.available) == (1, 1)
    # What is deployed besides does not put it to sleep again.
    done(house.put("b"))
    assert house.deployments["a"] is deployment
    done(house.roster.scale("a", 0))
    assert house.deployments["a"] is not deployment


def test_a_function_that_cannot_be_woken_sleeps_on(house: House) -> None:
    """The call was not handed over, so that it may be tried again, and wakes it then."""
    house.starts()
    done(house.put("a"))
    done(house.roster.scale("a", 0))
    asleep = house.benches["a"][1]
    asleep.started = lambda: fail(StartError("no"))
    with pytest.raises(NotHandedOver, match="a cannot be started: no"):
        done(house.deployments["a"].invoke(INVOCATION, 1.0))
    asleep.started = lambda: succeed(None)
    assert done(house.deployments["a"].invoke(INVOCATION, 1.0)) == "a ran"


def test_a_queued_call_wakes_it_too(house: House) -> None:
    """By the way of those who wait for the whole answer."""
    house.starts()
    done(house.put("a"))
    done(house.roster.scale("a", 0))
    starting = house.benches["a"][1].started = Deferred[None]  # never fires
    house.deployments["a"].invoke_whole(INVOCATION, 1.0, 10, lambda _: None)
    assert starting is not None
    assert house.benches["a"][1].starts == 1


def test_an_image_has_one_container(house: House) -> None:
    """Whoever wants more of them is told what there is instead."""
    house.starts(replace(of_file("a"), url=None, image="a:1"))
    with pytest.raises(NotUsable, match=r"one container here; .* for max_inflight to say"):
        done(house.roster.scale("a", 2))
    done(house.roster.scale("a", 0))
    done(house.roster.scale("a", 1))


# -- what another provider runs


def test_functions_of_another_provider_stand_behind_ours(house: House) -> None:
    """They are deployed, and changed, but none of the roster's; under one name ours count."""
    house.starts(of_file("a"))
    done(house.put("b"))
    provided = {
        name: replace(of_file(name), is_provided=True, replicas=3) for name in ("a", "b", "c")
    }
    done(house.roster.deploy_provided(provided))
    assert [entry.name for entry in house.roster] == ["a", "b"]
    assert "c" not in house.roster
    deployed = {name: each.settings.is_provided for name, each in house.deployments.items()}
    assert deployed == {"a": False, "b": False, "c": True}
    assert house.deployments["c"].settings.max_inflight == 2
    done(house.roster.remove("b"))
    assert house.deployments["b"].settings.is_provided
    house.starts()
    assert house.deployments["a"].settings.is_provided
    done(house.roster.deploy_provided({}))
    assert len(house.deployments) == 0


def test_functions_of_another_provider_that_ours_hide_are_named(house: House) -> None:
    """Once, until there are others of them."""
    house.starts(of_file("b"))
    provided = {name: replace(of_file(name), is_provided=True) for name in ("a", "b", "c")}

    def told() -> list[str]:
        with capturedLogs() as logs:
            done(house.roster.deploy_provided(provided))
        return [each["functions"] for each in logs if "not called" in each["log_format"]]

    assert [told(), told()] == [["b"], []]
    with capturedLogs() as logs:
        done(house.put("a"))
    assert [each["functions"] for each in logs if "functions" in each] == ["a, b"]
    done(house.roster.remove("a"))
    house.starts()
    assert told() == []


def test_what_is_deployed_anew_is_awake(house: House) -> None:
    """Somebody who deploys wants it to run."""
    house.starts()
    done(house.put("a"))
    done(house.roster.scale("a", 0))
    done(house.put("a", "echo"))
    assert house.deployments["a"].available_replicas == 1


def test_a_removed_function_leaves_nothing_behind(house: House) -> None:
    """Another one of its name begins anew."""
    house.starts()
    done(house.put("a"))
    done(house.roster.scale("a", 5))
    done(house.roster.remove("a"))
    assert house.files == []
    with pytest.raises(Unknown):
        house.roster.find("a")
    house.now_ns = 2_000
    done(house.put("a"))
    entry = house.roster.find("a")
    assert (entry.replicas, entry.created_ns) == (1, 2_000)


def test_a_stored_record_holds_all_that_was_said(house: House) -> None:
    """In OpenFaaS' own words, with a format number."""
    house.starts()
    done(house.put("a", labels={"l": "1"}))
    stored = msgspec.json.decode((house.directory / "functions" / "a.json").read_bytes())
    assert stored == {
        "deployment": {"service": "a", "labels": {"l": "1"}, "annotations": {COMMAND: "cat"}},
        "created_ns": 1_000,
        "replicas": 1,
        "format": FORMAT,
    }
    record = msgspec.convert(stored, Record)
    assert replace(record, replicas=1) == house.roster.find("a").record


def test_ignored_annotations_are_told_once(house: House, events: list[LogEvent]) -> None:
    """When it is deployed; not at every other change."""
    house.starts()
    given = FunctionDeployment("a", annotations={COMMAND: "cat", "com.openfaas.queue": "a b"})
    done(house.roster.put(given, new=True))
    done(house.put("b"))
    told = [event for event in events if "com.openfaas.queue" in event.get("notice", "")]
    assert len(told) == 1
    assert house.deployments["a"].settings.queue == "default"
