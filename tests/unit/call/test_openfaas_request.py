"""Our calls as OpenFaaS' messages, and theirs as our calls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from faasd_async.call import callback_url, http_form
from faasd_async.call.headers import first
from faasd_async.call.ids import CallKey
from faasd_async.call.openfaas.message import OpenFaasMessage, UnreadableMessage
from faasd_async.call.openfaas.request import Place, read_request, write_request
from faasd_async.call.request import QueueRequest

RECORDED = Path(__file__).parents[2] / "recorded"
WHOLE = (RECORDED / "queue-request-variants.jsonl").read_bytes().splitlines()[:-1]
PLACE = Place("faas-request", 7, 1_700_000_000_000_000_000)

OURS = QueueRequest(
    function="echo",
    queue="default",
    key=CallKey("04534a54-a58f-4bb4-a887-70126f8789ac", "0"),
    start_time_ns=1_795_485_537_682_173_779,
    target=b"/some/path?x=1&y=2",
    headers=[
        (b"Accept", b"*/*"),
        (b"X-Call-Id", b"04534a54-a58f-4bb4-a887-70126f8789ac"),
        (b"X-Start-Time", b"1795485537682173779"),
        (b"X-Forwarded-Host", b"127.0.0.1:8080"),
    ],
    body=b"hello",
)


def read(written: bytes, place: Place = PLACE) -> QueueRequest:
    request, trouble = read_request(written, place, queue="default", namespace="openfaas-fn")
    assert trouble is None
    return request


def message(**fields: object) -> bytes:
    return json.dumps({"Method": "POST", "Function": "echo", **fields}).encode()


def path_for_go(target: bytes) -> str:
    return OpenFaasMessage.read(write_request(replace(OURS, target=target))).path


@pytest.mark.parametrize("written", WHOLE)
def test_every_recorded_message_is_a_call(written: bytes) -> None:
    """Function, body and header fields are those that the gateway stored."""
    fields = json.loads(written)
    request, _ = read_request(written, PLACE, queue="default", namespace="openfaas-fn")
    assert request.function == fields["Function"]
    assert (request.body == b"") == ("Body" not in fields)
    assert request.key.call_id == fields["Header"]["X-Call-Id"][0]
    assert str(request.start_time_ns) == fields["Header"]["X-Start-Time"][-1]
    for name, values in fields["Header"].items():
        if name not in ("Content-Length", "X-Start-Time"):
            found = [v.decode() for n, v in request.headers if n == name.encode()]
            assert found == values


@pytest.mark.parametrize(
    ("number", "target"),
    [
        (0, b"/some/path?x=1&y=2"),
        (1, b"/"),
        (2, b"/"),
        (3, b"/a/b/c%20d?q=%20z"),
    ],
)
def test_a_decoded_path_is_encoded_again(number: int, target: bytes) -> None:
    """The function sees the path that the caller had written."""
    request, _ = read_request(WHOLE[number], PLACE, queue="default", namespace="openfaas-fn")
    assert request.target == target


def test_a_password_comes_from_the_header() -> None:
    """``CallbackUrl`` has lost it."""
    request = read(WHOLE[0])
    assert request.callback is not None
    assert (request.callback.username, request.callback.password) == ("user", "pw")


def test_a_callback_url_without_its_header_is_put_together() -> None:
    """Escapes in its path included."""
    fields = json.loads(WHOLE[8])
    del fields["Header"]["X-Callback-Url"]
    request = read(json.dumps(fields).encode())
    assert request.callback == callback_url.parse(b"http://127.0.0.1:9999/a%2Fb/c")


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (5, "it must be an absolute http:// or https:// URL"),
        (6, "it holds a space or a control character"),
        (7, "it must be an absolute http:// or https:// URL"),
    ],
)
def test_a_callback_url_that_is_none_does_not_stop_the_call(number: int, why: str) -> None:
    """OpenFaaS' gateway accepts any; the call runs, and what is wrong is told."""
    request, trouble = read_request(WHOLE[number], PLACE, queue="default", namespace="openfaas-fn")
    assert request.callback is None
    assert trouble == why


def test_the_namespace_is_taken_off() -> None:
    """``echo.openfaas-fn`` is ``echo``; another namespace is part of the name."""
    assert read(message(Function="echo.openfaas-fn")).function == "echo"
    assert read(message(Function="echo.other")).function == "echo.other"


def test_the_host_is_forwarded() -> None:
    """As our own gateway does, unless a proxy has said another."""
    assert first(read(message(Host="a:1")).headers, b"x-forwarded-host") == b"a:1"
    proxied = message(Host="a:1", Header={"X-Forwarded-Host": ["b"]})
    assert first(read(proxied).headers, b"x-forwarded-host") == b"b"


def test_one_start_time_is_left() -> None:
    """The last: what stands before it is the caller's."""
    (request,) = [read(each) for each in WHOLE if b'"X-Start-Time":["1",' in each]
    values = [value for name, value in request.headers if name == b"X-Start-Time"]
    assert values == [b"1795485537766464267"]
    assert request.start_time_ns == 1795485537766464267


def test_the_same_id_twice_is_two_calls() -> None:
    """Where the message lies tells them apart, and a redelivery is no other call."""
    written = message(Header={"X-Call-Id": ["my-own-id"]})
    once, again = read(written), read(written)
    other = read(written, PLACE._replace(sequence=8))
    anew = read(written, PLACE._replace(timestamp_ns=1))
    assert once.key == again.key
    assert {once.key.call_id, other.key.call_id} == {"my-own-id"}
    assert len({once.key, other.key, anew.key}) == 3


def test_a_message_without_an_id_is_given_one() -> None:
    """The same at each delivery."""
    assert read(message()).key == read(message()).key
    assert read(message()).key != read(message(), PLACE._replace(sequence=8)).key


def test_an_id_that_is_too_long_does_not_stop_the_call() -> None:
    """It runs under another one."""
    request = read(message(Header={"X-Call-Id": ["i" * 200]}))
    assert request.key == read(message()).key
    assert first(request.headers, b"x-call-id") == request.key.call_id.encode()


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/", ""),
        (b"/some/path", "/some/path"),
        (b"/a%20b", "/a b"),
        (b"/caf%C3%A9", "/café"),
        (b"/a%2Fb", "/a%2Fb"),
        (b"/100%25", "/100%25"),
        (b"/a%3Fb", "/a%3Fb"),
        (b"/a%23b", "/a%23b"),
        (b"/a%0Ab", "/a%0Ab"),
        (b"/%ff", "/%ff"),
        (b"/a!b", "/a!b"),
        (b"/100%", "/100%25"),
    ],
)
def test_the_path_is_one_that_a_queue_worker_can_hand_on(target: bytes, path: str) -> None:
    """Decoded, as OpenFaaS' gateway would write it, only if its queue-worker makes the same path of
    it again; else as it was written, which it hands on."""
    assert path_for_go(target) == path


@pytest.mark.parametrize(
    "request_",
    [
        OURS,
        replace(OURS, target=b"/"),
        replace(OURS, target=b"/a%2Fb//c%ff?x=%zz"),
        replace(OURS, target=b"/100%25"),
        replace(OURS, target=b"/100%"),
        replace(OURS, target=b"/a?"),
        replace(OURS, target=b"/\xff?\xff"),
        replace(OURS, body=b""),
        replace(OURS, body=bytes(range(256))),
        replace(OURS, key=CallKey(OURS.key.call_id, "9f8e7d6c5b4a3928")),
        replace(OURS, headers=[(b"X-Latin", b"caf\xe9"), *OURS.headers]),
        replace(OURS, headers=[(b"A", b"1"), (b"A", b"2"), *OURS.headers]),
        replace(
            OURS,
            callback=callback_url.parse(b"http://u:p@h:1/x?y=z"),
            headers=[(b"X-Callback-Url", b"http://u:p@h:1/x?y=z"), *OURS.headers],
        ),
    ],
)
def test_what_we_write_we_read_again(request_: QueueRequest) -> None:
    """The order and the case of header names aside, nothing is lost."""
    again = read(write_request(request_))
    assert sorted((n.lower(), v) for n, v in again.headers) == sorted(
        (n.lower(), v) for n, v in request_.headers
    )
    assert replace(again, headers=()) == replace(request_, headers=())


@given(st.binary().map(lambda raw: b"/" + bytes(b for b in raw if b > 32 and b not in b"#\x7f")))
def test_no_target_is_lost(target: bytes) -> None:
    """Whatever a caller wrote."""
    assert read(write_request(replace(OURS, target=target))).target == target


def test_an_ordinary_call_is_what_openfaas_would_write() -> None:
    """But for one field at the end, which its decoder does not know."""
    written = write_request(OURS)
    assert written == (
        b'{"Header":{"Accept":["*/*"],"Content-Length":["5"],"X-Call-Id":'
        b'["04534a54-a58f-4bb4-a887-70126f8789ac"],"X-Forwarded-Host":["127.0.0.1:8080"],'
        b'"X-Start-Time":["1795485537682173779"]},"Host":"127.0.0.1:8080","Body":"aGVsbG8=",'
        b'"Method":"POST","Path":"/some/path","QueryString":"x=1\\u0026y=2","Function":"echo",'
        b'"FaasdAsync":{"Accept":"0"}}'
    )


@pytest.mark.parametrize(
    "written",
    [
        message(Function=""),
        message(Function="a b"),
        message(Function="f" * 200),
        message(Header={"A": ["b\r\nHost: evil"]}),
        message(Header={"A\nB": ["c"]}),
        message(QueryString="a b"),
        message(QueryString="a\r\nb"),
        message(FaasdAsync={"Head": "!"}),
        message(FaasdAsync={"Head": "YQ=="}),
        message(FaasdAsync={"Accept": "a" * 200}),
    ],
)
def test_what_can_be_no_call_is_refused(written: bytes) -> None:
    """Nothing that somebody put into the channel breaks out of a header's line."""
    with pytest.raises(UnreadableMessage):
        read(written)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
_FIELDS = ("Header", "Host", "Body", "Path", "QueryString", "CallbackUrl", "FaasdAsync")


@given(
    st.dictionaries(st.sampled_from(_FIELDS), _JSON),
    st.dictionaries(st.text(), st.lists(st.text())),
)
def test_whatever_somebody_publishes_is_a_call_or_refused(
    fields: dict[str, object], header: dict[str, list[str]]
) -> None:
    """And a call that is read can be stored and sent: nothing in it breaks out of its line."""
    written = message(**({"Header": header} | fields))
    try:
        request, _ = read_request(written, PLACE, queue="default", namespace="openfaas-fn")
    except UnreadableMessage:
        return
    stored = http_form.write(request.target, request.headers, request.body)
    assert http_form.read(stored) == (request.target, list(request.headers), request.body)
