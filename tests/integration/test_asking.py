"""What is asked of another provider, and what comes instead of an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from neighbour import PASSWORD, Neighbour
from twisted.internet.defer import CancelledError, Deferred
from twisted.web.http import Request
from twisted.web.server import NOT_DONE_YET

from faasd_async.provider import asking
from faasd_async.provider.asking import Asking
from faasd_async.provider.errors import ProviderAway, ProviderError, ProviderRefused
from faasd_async.settings import ProviderSettings


@pytest_twisted.async_yield_fixture
async def neighbour(reactor: Any) -> AsyncIterator[Neighbour]:
    """One that answers."""
    neighbour = Neighbour(reactor)
    neighbour.fake.password = None
    neighbour.come()
    yield neighbour
    await neighbour.go()


@pytest_twisted.async_yield_fixture
async def provider(reactor: Any, neighbour: Neighbour) -> AsyncIterator[Asking]:
    """Asks it, without much patience."""
    settings = ProviderSettings(url=neighbour.url, timeout_seconds=0.2)
    provider = Asking(reactor, settings, None)
    yield provider
    await provider.close()


def never(request: Request, *_: Any) -> int:
    """An answer that does not come."""
    return NOT_DONE_YET


@pytest_twisted.ensureDeferred
async def test_an_answer(neighbour: Neighbour, provider: Asking) -> None:
    """Its body, an empty list however it is written; what is refused says so with the provider's
    own status and words."""
    assert await provider.ask("GET", "namespaces") == b'["openfaas-fn"]'
    neighbour.fake._info = lambda *_: b"null\n"  # type: ignore[method-assign]
    assert await provider.ask("GET", "info") == b"[]"
    with pytest.raises(ProviderRefused, match="not found") as caught:
        await provider.ask("GET", "function/a")
    assert caught.value.status == 404


@pytest_twisted.ensureDeferred
async def test_a_password_that_is_refused(neighbour: Neighbour, provider: Asking) -> None:
    """It is ours, and no answer to whoever has asked."""
    neighbour.fake.password = PASSWORD
    with pytest.raises(ProviderError, match="secret_mount_path") as caught:
        await provider.ask("GET", "namespaces")
    assert caught.value.status == 502


@pytest_twisted.ensureDeferred
async def test_no_answer_in_time(neighbour: Neighbour, provider: Asking) -> None:
    """It is not waited for without end."""
    neighbour.fake._info = never  # type: ignore[method-assign]
    with pytest.raises(ProviderAway, match=r"did not answer within 0\.2 s"):
        await provider.ask("GET", "info")


@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_too_long(
    neighbour: Neighbour, provider: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its length was told or not, it is not gathered."""
    monkeypatch.setattr(asking, "MOST_ANSWER_BYTES", 10)
    with pytest.raises(ProviderAway, match="more than 10 bytes"):
        await provider.ask("GET", "namespaces")
    with pytest.raises(ProviderAway, match="more than 10 bytes"):
        await provider.ask("GET", "logs", [("name", "a"), ("tail", "1")])


@pytest_twisted.ensureDeferred
async def test_whoever_does_not_wait_any_more_lets_go(
    neighbour: Neighbour, provider: Asking
) -> None:
    """Of the provider, too."""
    asked: Deferred[Request] = Deferred()

    def info(request: Request, *_: Any) -> int:
        asked.callback(request)
        return NOT_DONE_YET

    neighbour.fake._info = info  # type: ignore[method-assign, assignment]
    answer = Deferred.fromCoroutine(provider.ask("GET", "info"))
    left = (await asked).notifyFinish()
    answer.cancel()
    with pytest.raises(CancelledError):
        await answer
    assert await left.addErrback(lambda _: True)
