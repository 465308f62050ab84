"""Signatures of callbacks, verified by Standard Webhooks' own library."""

from __future__ import annotations

import time
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError
from twisted.internet.defer import Deferred

from faasd_async.call.callback_url import parse
from faasd_async.call.headers import first
from faasd_async.call.ids import CallKey
from faasd_async.call.request import CallbackRequest
from faasd_async.callback.sending import Try
from faasd_async.callback.signing import Signing, sign
from faasd_async.settings import Secret

OLD, NEW = Secret(bytes(range(24))), Secret(bytes(range(64)))


class Sent:
    """Notes what is sent, and says that it was taken."""

    def __init__(self, *secrets: Secret, age_seconds: float = 0.0) -> None:
        self.callbacks: list[CallbackRequest] = []
        self.now = time.time() - age_seconds
        self._signing = Signing(self, lambda function: secrets, lambda: self.now)

    async def send(self, callback: CallbackRequest) -> Try:
        self.callbacks.append(callback)
        return Try(200, 0.0)

    def post(self, body: bytes = b"the answer", *fields: tuple[bytes, bytes]) -> CallbackRequest:
        headers = [(b"Webhook-Id", b"msg_1_0_0"), *fields]
        callback = CallbackRequest("f", CallKey("1", "0"), parse(b"http://h/"), headers, body)
        tries: list[Try] = []
        Deferred.fromCoroutine(self._send(callback)).addCallback(tries.append)
        assert tries == [Try(200, 0.0)]
        return self.callbacks[-1]

    async def _send(self, callback: CallbackRequest) -> Try:
        return await self._signing.send(callback)


def check(secret: Secret, callback: CallbackRequest) -> None:
    """As a receiver does."""
    webhook = Webhook("whsec_" + b64encode(secret.value).decode())
    fields: dict[str, Any] = {k.decode(): v.decode() for k, v in callback.headers}
    webhook.verify(callback.body, fields, json_parse=False)


@given(st.text(max_size=200).map(str.encode))
def test_a_receiver_can_check_it(body: bytes) -> None:
    """Whatever the body."""
    check(NEW, Sent(NEW).post(body))


def test_a_large_body() -> None:
    """All of it is signed."""
    large = b"x" * 8_000_000
    callback = Sent(NEW).post(large)
    check(NEW, callback)
    shorter = CallbackRequest("f", callback.key, callback.url, callback.headers, large[:-1])
    with pytest.raises(WebhookVerificationError):
        check(NEW, shorter)


def test_a_body_in_pieces() -> None:
    """It is signed as the whole."""
    whole = sign(NEW.value, b"i", b"1", (b"one two",))
    assert sign(NEW.value, b"i", b"1", (b"one", b"", b" two")) == whole


def test_two_secrets_while_one_takes_the_place_of_the_other() -> None:
    """Either will do, and no third one."""
    callback = Sent(NEW, OLD).post()
    assert (first(callback.headers, b"webhook-signature") or b"").count(b" ") == 1
    check(NEW, callback)
    check(OLD, callback)
    with pytest.raises(WebhookVerificationError):
        check(Secret(b"x" * 24), callback)


def test_each_try_has_its_time() -> None:
    """One that is made hours later is as fresh as the first, under the same id."""
    sent = Sent(NEW, age_seconds=7200)
    with pytest.raises(WebhookVerificationError):
        check(NEW, sent.post())
    sent.now = time.time()
    check(NEW, sent.post())
    assert len({first(each.headers, b"webhook-id") for each in sent.callbacks}) == 1


def test_without_a_secret_there_is_no_signature() -> None:
    """It is sent as it is."""
    sent = Sent()
    assert first(sent.post().headers, b"webhook-signature") is None
    assert first(sent.post().headers, b"webhook-timestamp") is None


def test_a_signature_is_the_only_one() -> None:
    """What else stands there is taken away."""
    callback = Sent(NEW).post(
        b"x", (b"webhook-signature", b"v1,forged"), (b"Webhook-timestamp", b"1")
    )
    names = [name.lower() for name, _ in callback.headers]
    assert names.count(b"webhook-signature") == names.count(b"webhook-timestamp") == 1
    check(NEW, callback)
