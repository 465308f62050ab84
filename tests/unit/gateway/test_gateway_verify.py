"""Functions whose requests are signed: who is let in, and who is told no, through either door."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from front_door import NOW_NS, Failures, FrontDoor
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from faasd_async.gateway import verification
from faasd_async.gateway.refusal import Refusal
from faasd_async.gateway.signatures import check
from faasd_async.gateway.verification import Verification
from faasd_async.settings import Secret, VerifySettings

KEY, NEXT = b"k" * 24, b"n" * 24
NOW = NOW_NS // 10**9
BODY = b'{"hello": "w\xc3\xb6rld"}'

VALUES = st.binary(max_size=60) | st.sampled_from([b"t=1,v1=", b"v1,=", b"sha256=", b"1"])

Fields = tuple[str, ...]
Sign = Callable[..., Fields]


def mac(key: bytes, *pieces: bytes, digest: str = "sha256") -> str:
    return hmac.new(key, b"".join(pieces), digest).hexdigest()


def github(body: bytes = BODY, key: bytes = KEY, at: int = NOW) -> Fields:
    return (f"X-Hub-Signature-256: sha256={mac(key, body)}",)


def stripe(body: bytes = BODY, key: bytes = KEY, at: int = NOW) -> Fields:
    return (f"Stripe-Signature: t={at},v1={mac(key, b'%d.' % at, body)},v0=00",)


def slack(body: bytes = BODY, key: bytes = KEY, at: int = NOW) -> Fields:
    signature = mac(key, b"v0:%d:" % at, body)
    return (f"X-Slack-Request-Timestamp: {at}", f"X-Slack-Signature: v0={signature}")


def standard_webhooks(body: bytes = BODY, key: bytes = KEY, at: int = NOW) -> Fields:
    name = f"msg_{len(body)}"
    signed = Webhook("whsec_" + b64encode(key).decode()).sign(
        name, datetime.fromtimestamp(at, UTC), body.decode()
    )
    return (f"webhook-id: {name}", f"webhook-timestamp: {at}", f"webhook-signature: {signed}")


def plain_hmac(body: bytes = BODY, key: bytes = KEY, at: int = NOW) -> Fields:
    """As ``faas-cli invoke --sign X-Signed`` does."""
    return (f"X-Signed: sha1={mac(key, body, digest='sha1')}",)


SCHEMES: dict[str, Sign] = {
    "github": github,
    "stripe": stripe,
    "slack": slack,
    "standard-webhooks": standard_webhooks,
    "hmac": plain_hmac,
}
TIMED = ("stripe", "slack", "standard-webhooks")


def verify(
    scheme: str, tolerance: float = 300.0, *, keys: tuple[bytes, ...] = (KEY,)
) -> VerifySettings:
    return VerifySettings(
        scheme=scheme,  # type: ignore[arg-type]
        secrets=tuple(map(Secret, keys)),
        header="X-Signed" if scheme == "hmac" else None,
        tolerance_seconds=tolerance,
    )


@pytest.fixture(params=[True, False], ids=["short cut", "routes"])
def door(request: pytest.FixtureRequest, failures: Failures) -> Iterator[FrontDoor]:
    """The gateway, by one way or the other."""
    door = FrontDoor(bytewise=False, shortcut=request.param)
    yield door
    for client in door.clients:
        client.leaves()


@pytest.fixture(params=["async-function", "function"])
def route(request: pytest.FixtureRequest) -> str:
    return f"/{request.param}/signed"


def ask(door: FrontDoor, route: str, fields: Fields, body: bytes = BODY) -> int:
    """Call; a function that is reached answers 200."""
    client = door.ask("POST", route, *fields, body=body)
    for run in door.functions["signed"].runs:
        if not run.reply.called:
            run.answers(200)
    answer = client.answer()
    if answer.status == 401:
        assert answer.header("WWW-Authenticate") == b"Signature"
        for secret in (KEY, NEXT):
            assert secret not in client.received
    return answer.status


def reached(door: FrontDoor) -> int:
    return len(door.functions["signed"].runs) + len(door.store.requests)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_signature_that_is_right(door: FrontDoor, route: str, scheme: str) -> None:
    """It opens the door, and goes on to the function as it came."""
    door.deploy("signed", verify=verify(scheme))
    assert ask(door, route, SCHEMES[scheme]()) in (200, 202)
    runs = door.functions["signed"].runs
    headers = (runs[0].invocation if runs else door.store.requests[0]).headers
    for line in SCHEMES[scheme]():
        name, _, value = line.partition(": ")
        if not name.startswith("webhook-id"):
            assert (name.encode(), value.encode()) in headers


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("forgery", ["another key", "another body", "no signature"])
def test_a_forged_signature(
    door: FrontDoor, route: str, scheme: str, forgery: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is reached by it; without the check somebody would be."""
    sign = SCHEMES[scheme]
    fields = {
        "another key": sign(key=NEXT),
        "another body": sign(body=BODY + b" "),
        "no signature": (),
    }[forgery]
    door.deploy("signed", verify=verify(scheme))
    assert ask(door, route, fields) == 401
    assert reached(door) == 0
    door.deploy("signed")
    assert ask(door, route, fields) in (200, 202)


@pytest.mark.parametrize("scheme", TIMED)
@pytest.mark.parametrize("age", [301, 86400, -301])
def test_a_stale_signature(door: FrontDoor, route: str, scheme: str, age: int) -> None:
    """One that is too old, or from a time to come, opens nothing; with more tolerance it would."""
    door.deploy("signed", verify=verify(scheme))
    assert ask(door, route, SCHEMES[scheme](at=NOW - age)) == 401
    assert reached(door) == 0
    assert ask(door, route, SCHEMES[scheme](at=NOW - (299 if age > 0 else -299))) in (200, 202)
    door.deploy("signed", verify=verify(scheme, 90_000.0))
    assert ask(door, route, SCHEMES[scheme](at=NOW - age)) in (200, 202)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_replayed_signature(door: FrontDoor, route: str, scheme: str) -> None:
    """It is good once, for as long as it would be good; without memory it would be good again."""
    door.deploy("signed", verify=verify(scheme))
    fields = SCHEMES[scheme]()
    statuses = [ask(door, route, fields) for _ in range(3)]
    assert statuses[1:] == [401, 401]
    assert reached(door) == 1
    assert ask(door, route, SCHEMES[scheme](body=b"{}"), b"{}") in (200, 202)
    forgetful = Verification(lambda: NOW_NS)
    for _ in range(2):
        arrived = [(n.encode(), v.encode()) for n, _, v in (f.partition(": ") for f in fields)]
        forgetful.take("signed", verify(scheme), arrived, BODY)
        forgetful._taken.clear()


@pytest.mark.parametrize("scheme", ["standard-webhooks", "stripe"])
def test_a_replay_that_leaves_out_a_signature(door: FrontDoor, route: str, scheme: str) -> None:
    """Of several signatures of one request each is used up with the others, in either door."""
    door.deploy("signed", verify=verify(scheme, keys=(KEY, NEXT)))
    one, two = SCHEMES[scheme](), SCHEMES[scheme](key=NEXT)
    value = two[-1].partition(": ")[2]
    more = " " + value if scheme == "standard-webhooks" else "," + value.split(",")[1]
    both = (*one[:-1], one[-1] + more)
    assert ask(door, route, both) in (200, 202)
    assert ask(door, route, one) == 401
    assert ask(door, "/function/signed", two) == 401
    assert ask(door, "/async-function/signed", two) == 401


def test_signing_by_hand_says_the_same_twice(door: FrontDoor, route: str) -> None:
    """Without a tolerance ``hmac`` takes it each time."""
    door.deploy("signed", verify=verify("hmac", 0.0))
    assert [ask(door, route, plain_hmac()) in (200, 202) for _ in range(2)] == [True, True]


@pytest.mark.parametrize("key", [KEY, NEXT])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_either_of_two_secrets(door: FrontDoor, scheme: str, key: bytes) -> None:
    """While a sender changes from one to the next."""
    door.deploy("signed", verify=verify(scheme, keys=(NEXT, KEY)))
    assert ask(door, "/function/signed", SCHEMES[scheme](key=key)) == 200


def test_what_did_not_come_to_anything_may_be_sent_again(door: FrontDoor) -> None:
    """A call that was refused, or whose function failed, has not used its signature up."""
    door.deploy("signed", verify=verify("github"))
    door.full = "no room"
    assert ask(door, "/async-function/signed", github()) == 507
    door.full = None
    assert ask(door, "/async-function/signed", github()) == 202
    client = door.ask("POST", "/function/signed", *github(b"1"), body=b"1")
    door.functions["signed"].runs[-1].answers(500)
    assert client.answer().status == 500
    assert ask(door, "/function/signed", github(b"1"), b"1") == 200
    assert ask(door, "/function/signed", github(b"1"), b"1") == 401


def test_preferring_an_asynchronous_call_needs_a_signature_too(door: FrontDoor) -> None:
    """The other route is no way round."""
    door.deploy("signed", verify=verify("github"))
    assert ask(door, "/function/signed", ("Prefer: respond-async",)) == 401
    assert ask(door, "/function/signed", ("Prefer: respond-async", *github())) == 202
    assert door.ask("GET", "/function/signed").answer().status == 401
    assert door.ask("GET", "/function/signed.openfaas-fn/x").answer().status == 401


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_field_that_stands_there_twice(door: FrontDoor, scheme: str) -> None:
    """Nobody can say which of them counts."""
    door.deploy("signed", verify=verify(scheme))
    fields = SCHEMES[scheme]()
    assert ask(door, "/function/signed", (*fields, fields[-1])) == 401


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten first; what is too old by itself goes in any case."""
    monkeypatch.setattr(verification, "MOST_REMEMBERED", 3)
    now = [NOW_NS]
    looking = Verification(lambda: now[0])

    def take(number: int) -> bool:
        body = b"%d" % number
        fields = [(b"X-Signed", mac(KEY, body).encode())]
        try:
            looking.take("f", verify("hmac"), fields, body)
        except Refusal:
            return False
        return True

    assert all(take(number) for number in range(4))
    assert [len(each) for each in looking._taken.values()] == [3]
    assert [take(3), take(0)] == [False, True]
    now[0] += 301 * 10**9
    assert take(9)
    assert [len(each) for each in looking._taken.values()] == [1]


@given(st.sampled_from(list(SCHEMES)), st.lists(VALUES, max_size=4))
def test_any_field_is_read(scheme: str, values: list[bytes]) -> None:
    """Without an exception, whatever stands in it; and it is no signature."""
    names = (
        *(b"x-hub-signature-256", b"stripe-signature", b"x-slack-signature", b"X-Signed"),
        *(b"webhook-signature", b"x-slack-request-timestamp", b"webhook-id", b"webhook-timestamp"),
    )
    for value in values:
        assert check(verify(scheme), [(name, value) for name in names], BODY) is None


def test_digests_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the function that is made for it, and with each secret."""
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def note(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return compare(one, other)

    monkeypatch.setattr("faasd_async.gateway.signatures.hmac.compare_digest", note)
    fields = [(b"X-Signed", mac(KEY, BODY).encode())]
    assert check(verify("hmac", keys=(KEY, NEXT)), fields, BODY)
    wanted = [hmac.new(key, BODY, hashlib.sha256).digest() for key in (KEY, NEXT)]
    assert compared == wanted
