"""OpenFaaS' JSON, against what its own gateway wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faasd_async.call.openfaas.go import canonical_name, json_string
from faasd_async.call.openfaas.message import OpenFaasMessage, UnreadableMessage
from faasd_async.call.openfaas.url import GoUrl

RECORDED = Path(__file__).parents[2] / "recorded"
VARIANTS = (RECORDED / "queue-request-variants.jsonl").read_bytes().splitlines()
#: The recorder cut the last one off.
WHOLE = [*VARIANTS[:-1], (RECORDED / "queue-request.json").read_bytes().strip()]
LARGE = VARIANTS[-1]


@pytest.mark.parametrize("written", WHOLE)
def test_what_the_gateway_wrote_is_written_again(written: bytes) -> None:
    """Read and written, each recorded message is the same, byte for byte."""
    assert OpenFaasMessage.read(written).write() == written


def test_the_largest_message_is_written_as_recorded() -> None:
    """A body of 256,000 bytes: as far as the recorder kept it."""
    head = json.loads(LARGE[: LARGE.index(b',"Body"')] + b"}")
    message = OpenFaasMessage(
        function="echo", header=head["Header"], host=head["Host"], body=bytes(256_000)
    )
    assert message.write().startswith(LARGE)
    assert len(LARGE) > 500


@pytest.mark.parametrize("written", WHOLE)
def test_a_callback_url_is_taken_apart_as_recorded(written: bytes) -> None:
    """``X-Callback-Url`` beside ``CallbackUrl`` shows what Go makes of a URL."""
    message = OpenFaasMessage.read(written)
    (text,) = message.header.get("X-Callback-Url", ("",))
    assert message.callback_url == (GoUrl.of(text.encode()) if text else None)


def test_the_recorded_callback_urls_are_of_many_kinds() -> None:
    """The test before this one would be worth little otherwise."""
    found = [OpenFaasMessage.read(written).callback_url for written in WHOLE]
    assert len({url for url in found if url is not None}) >= 6


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("<b>&", '"\\u003cb\\u003e\\u0026"'),
        ('"\\', '"\\"\\\\"'),
        ("\n\r\t\b\f\x1f\x7f", '"\\n\\r\\t\\u0008\\u000c\\u001f\x7f"'),
        ("é\u2028\u2029", '"é\\u2028\\u2029"'),
        ("\udcff", '"\\ufffd"'),
    ],
)
def test_strings_are_escaped_as_by_go(text: str, written: str) -> None:
    """Neither more nor less than Go's encoder escapes."""
    assert json_string(text) == written


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("x-call-id", "X-Call-Id"),
        ("ETAG", "Etag"),
        ("dnt", "Dnt"),
        ("x--y", "X--Y"),
        ("has space", "has space"),
    ],
)
def test_header_names_are_in_go_s_case(name: str, canonical: str) -> None:
    """A capital at the start and after each hyphen; what is no name stays."""
    assert canonical_name(name) == canonical


def test_what_is_empty_is_left_out() -> None:
    """Except for the method and the function."""
    assert OpenFaasMessage(function="echo").write() == b'{"Method":"POST","Function":"echo"}'


def test_fields_that_others_use_are_kept() -> None:
    """Annotations, labels, environment and the queue's name stand where OpenFaaS has them."""
    written = (
        b'{"Method":"POST","Function":"echo","QueueName":"slow","Annotations":{"a":"b"},'
        b'"Labels":{"c":"d"},"Environment":{"e":"f"}}'
    )
    assert OpenFaasMessage.read(written).write() == written


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"nonsense",
        b"[]",
        b"\xff",
        b'{"Function":1}',
        b'{"Function":"f","Header":[]}',
        b'{"Function":"f","Header":{"A":"b"}}',
        b'{"Function":"f","Header":{"A":[1]}}',
        b'{"Function":"f","Body":"!"}',
        b'{"Function":"f","Annotations":{"a":1}}',
        b'{"Function":"f","CallbackUrl":"http://x/"}',
        b'{"Function":"f","CallbackUrl":{"Host":1}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_message_is_refused(written: bytes) -> None:
    """Whatever lies in the channel, reading it ends in one kind of error."""
    with pytest.raises(UnreadableMessage):
        OpenFaasMessage.read(written)


def test_null_is_nothing() -> None:
    """Go writes ``null`` for maps and lists that were never made."""
    written = b'{"Function":"f","Header":null,"Body":null,"Annotations":null,"CallbackUrl":null}'
    assert OpenFaasMessage.read(written) == OpenFaasMessage(function="f", method="")
