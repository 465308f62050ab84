"""Orders whose clients leave before they are carried out."""

from __future__ import annotations

import pytest
from front_door import Failures
from twisted.internet.defer import CancelledError, Deferred

from faasd_async.functions.errors import Kept, RosterError
from faasd_async.gateway.refusal import Refusal
from faasd_async.gateway.system.orders import Namespace, carried_out, refusing


def test_an_order_is_carried_out_though_its_client_left(failures: Failures) -> None:
    """It is not broken off in the middle."""
    disk: Deferred[None] = Deferred()
    did: list[str] = []

    async def order() -> None:
        did.append("begun")
        await disk
        did.append("done")

    told = carried_out(order())
    told.cancel()
    reasons: list[type[BaseException]] = []
    told.addErrback(lambda failure: reasons.append(failure.type))
    assert did == ["begun"]
    disk.callback(None)
    assert did == ["begun", "done"]
    assert reasons == [CancelledError]


@pytest.mark.parametrize(("reason", "logged"), [(Kept("no"), []), (ValueError("bug"), ["bug"])])
def test_nobody_is_told_why_it_failed_but_bugs_are_logged(
    failures: Failures, reason: Exception, logged: list[str]
) -> None:
    """A client that left asked for what it did not get."""
    disk: Deferred[None] = Deferred()

    async def order() -> None:
        await disk

    told = carried_out(order())
    told.addErrback(lambda _: None)
    told.cancel()
    disk.errback(reason)
    assert [str(each) for each in failures.take()] == logged


def test_who_stays_is_told() -> None:
    """That it was done, or why not."""

    async def good() -> None: ...

    async def bad() -> None:
        raise Kept("why")

    assert carried_out(good()).called
    reasons: list[BaseException] = []
    carried_out(bad()).addErrback(lambda failure: reasons.append(failure.value))
    assert [str(reason) for reason in reasons] == ["why"]


def test_each_reason_has_its_status() -> None:
    """Those of the roster become refusals; others are bugs."""
    with pytest.raises(Refusal) as refused, refusing():
        raise Kept("why")
    assert (refused.value.status, refused.value.text) == (409, "why")
    with pytest.raises(Refusal) as refused, refusing():
        raise RosterError("what")
    assert refused.value.status == 500
    with pytest.raises(ValueError, match="bug"), refusing():
        raise ValueError("bug")


def test_the_namespace() -> None:
    """It may be named, behind a dot or beside; another one is not there."""
    namespace = Namespace("fn")
    assert namespace.bare("a.fn", "fn") == namespace.bare("a") == namespace.bare("a", "") == "a"
    assert namespace.bare("a.other") == "a.other"
    with pytest.raises(Refusal) as refused:
        namespace.bare("a", "other")
    assert refused.value.status == 404
