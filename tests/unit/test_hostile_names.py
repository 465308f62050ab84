"""Names that would be more than names, where they become subjects of the broker and files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from faasd_async.call.ids import CallKey, TokenTooLong
from faasd_async.functions.errors import NotUsable
from faasd_async.functions.secrets import SecretStore
from faasd_async.queue.jetstream import subjects
from faasd_async.settings import values

SOMEBODYS = CallKey("7f9c24e8-3b1d-4c5a-9f0e-2d6b8a1c4e77", "0")


def takes(like: str, subject: str) -> bool:
    """Whether a filter of NATS takes a subject."""
    wanted, found = like.split("."), subject.split(".")
    for place, token in enumerate(wanted):
        if token == ">":
            return len(found) > place
        if place >= len(found) or token not in ("*", found[place]):
            return False
    return len(wanted) == len(found)


LIES = {
    subjects.OUTCOMES: subjects.about_subject("outcome", "f", SOMEBODYS),
    subjects.CALLS: subjects.queued_subject("call", "default", "f", SOMEBODYS),
    subjects.CALLBACKS: subjects.about_subject("callback", "f", SOMEBODYS),
}


@pytest.mark.parametrize("call_id", ["*", ">"])
@pytest.mark.parametrize("stream", LIES)
def test_an_id_that_is_a_wildcard(
    stream: str, call_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the calls of others it finds none, to be shown or cancelled; written as it is it would
    find them."""
    assert takes(subjects.traces_like(stream, SOMEBODYS.call_id), LIES[stream])
    assert not takes(subjects.traces_like(stream, call_id), LIES[stream])
    monkeypatch.setattr(subjects, "encode_token", lambda name: name)
    assert takes(subjects.traces_like(stream, call_id), LIES[stream])


@pytest.mark.parametrize("call_id", ["a.b", "a b\r\nPUB x 0", "7f9c\nUNSUB 1"])
def test_an_id_that_is_a_command(call_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays one token of a subject; written as it is it would be more, or end the line."""
    plain = subjects.about_subject("outcome", "f", SOMEBODYS)
    subject = subjects.about_subject("outcome", "f", CallKey(call_id, "0"))
    assert subject.count(".") == plain.count(".")
    assert subject.isprintable()
    assert " " not in subject
    assert subjects.read_about_subject(subject) == ("f", CallKey(call_id, "0"))
    monkeypatch.setattr(subjects, "encode_token", lambda name: name)
    written = subjects.about_subject("outcome", "f", CallKey(call_id, "0"))
    assert written.count(".") > plain.count(".") or not written.isprintable()


def test_an_id_without_end() -> None:
    """It is refused before there is a subject of it."""
    with pytest.raises(TokenTooLong):
        subjects.about_subject("outcome", "f", CallKey("%" * 100, "0"))


@pytest.mark.parametrize("name", ["../escaped", "../../escaped", "../given-secrets/escaped"])
def test_a_secret_that_would_lie_elsewhere(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused, and nothing is written; without the check it would be, beside the others."""
    state = tmp_path / "deep" / "state"
    state.mkdir(parents=True)

    def at_once(change: Callable[[], None]) -> Deferred[None]:
        change()
        return succeed(None)

    store = SecretStore(state, at_once)
    store.prepare()

    def put() -> None:
        Deferred.fromCoroutine(store.put(name, b"v", new=True)).addErrback(failures.append)

    failures: list[Any] = []
    put()
    assert failures[0].check(NotUsable)
    assert list(tmp_path.rglob("escaped")) == []
    monkeypatch.setattr("faasd_async.functions.secrets.file_name", values.any_text)
    put()
    [escaped] = tmp_path.rglob("escaped")
    assert escaped.parent != state / "secrets"
