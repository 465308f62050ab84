"""Readers of what others write, given anything at all: each reads it, or refuses it in its own way.

Here are those whose own tests have no such trial. The readers of HTTP (``test_two_doors.py``,
``test_http_reader.py``), of NATS (``test_wire_parser.py``, ``test_wire_headers.py``), of OpenFaaS'
messages, of routes, moments, durations, cron, URLs, preferences, signatures and of what is stored
have theirs beside them.
"""

from __future__ import annotations

import json
import re
import tempfile
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from faasd_async.backup.archive import ArchiveWriter, verify
from faasd_async.backup.errors import BackupError
from faasd_async.backup.restoring import read_beginning, read_moved
from faasd_async.call import http_form
from faasd_async.call.openfaas.message import OpenFaasMessage, UnreadableMessage
from faasd_async.call.openfaas.url import GoUrl
from faasd_async.call.retry_after import asked_seconds
from faasd_async.cli.address import daemon_url
from faasd_async.cli.events import EventReader
from faasd_async.cli.fields import FIELD
from faasd_async.errors import ConfigurationError
from faasd_async.functions.deployment import FunctionDeployment
from faasd_async.gateway.attempts import read_max_attempts
from faasd_async.gateway.operator import Operators
from faasd_async.gateway.peers import Trusted
from faasd_async.gateway.query import Query
from faasd_async.gateway.refusal import Refusal
from faasd_async.gateway.system.edits import read_edits
from faasd_async.gateway.system.log_lines import LogLines, _tail
from faasd_async.gateway.system.orders import Namespace, decoded
from faasd_async.gateway.timing import read_timing
from faasd_async.gateway.written import line_of
from faasd_async.lines import Lines
from faasd_async.nats.address import BadServerAddress, ServerAddress
from faasd_async.nats.jetstream.publishing import read_ack
from faasd_async.nats.nkey import (
    BadCredentials,
    NKey,
    read_credentials_file,
    read_nkey_file,
)
from faasd_async.nats.server.log import parse_line
from faasd_async.nats.stan import messages
from faasd_async.nats.stan.errors import Unintelligible
from faasd_async.nats.wire import Message, ProtocolError
from faasd_async.nats.wire.info import ServerInfo
from faasd_async.provider.listed import ListReader
from faasd_async.queue.jetstream.listing import _read_places
from faasd_async.queue.listing import BadPlace
from faasd_async.runtime.container.errors import EngineError
from faasd_async.runtime.container.frames import Frames
from faasd_async.runtime.container.logins import logins_in
from faasd_async.runtime.process.notes import _decoded as read_note
from faasd_async.settings import load
from faasd_async.settings.credentials import Credentials
from faasd_async.settings.mistakes import Mistakes
from faasd_async.settings.openfaas.stack import read_stack

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
BYTES = st.binary(max_size=60)
TEXT = st.text(max_size=40)
#: As a request's query or field brings it: any byte may be in it.
VALUE = BYTES | st.from_regex(rb"[-+0-9:TZhms. ]{0,30}", fullmatch=True)


def document(*names: str) -> st.SearchStrategy[bytes]:
    """JSON, with fields of these names more often than not; or something like it."""
    fields = st.dictionaries(st.sampled_from(names) | st.text(max_size=5), JSON, max_size=5)
    return fields.map(lambda found: json.dumps(found).encode()) | JSON.map(
        lambda found: json.dumps(found).encode()
    ) | BYTES  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """
    :ivar read: reads one input.
    :ivar given: makes some.
    :ivar refuses: how it says that it does not understand.
    """

    read: Callable[[Any], object]
    given: st.SearchStrategy[Any]
    refuses: tuple[type[Exception], ...] = ()


def query_of(value: bytes) -> None:
    asked = Query({b"name": [value]})
    asked.text("name")
    asked.number("name", 1, 0, 100)


def lines_of(pieces: list[bytes]) -> None:
    """Whatever the pieces are, the lines hold what was written and none is too long."""
    lines = Lines(longest_bytes=8)
    found = [line for piece in pieces for line in lines.feed(piece)] + lines.finish()
    assert all(len(line) <= 8 for line in found)
    kept = b"".join(pieces).replace(b"\n", b"").replace(b"\r", b"")
    assert b"".join(found).replace(b"\r", b"") == kept


def frames_of(pieces: list[bytes]) -> None:
    told = bytearray()
    frames = Frames(lambda stream, content: told.extend(content))
    for piece in pieces:
        frames.feed(piece)
    assert len(told) <= sum(map(len, pieces))


def since(value: bytes) -> None:
    reader = LogLines(None, None, Namespace("ns"), lambda: 10**18)  # type: ignore[arg-type]
    reader._since_ns(value.decode("utf-8", "surrogateescape"))


SHEET = st.fixed_dictionaries(
    {"name": TEXT | st.just("f")},
    optional={
        "labels": st.dictionaries(TEXT, TEXT, max_size=3) | JSON,
        "annotations": st.dictionaries(
            st.sampled_from(["com.faasd-async.timeout", "topic", "schedule"]) | TEXT, TEXT | JSON
        ),
        "envVars": st.dictionaries(st.sampled_from(["exec_timeout", "max_inflight"]), TEXT),
        "replicas": JSON,
    },
)
BARE = load(None, {})
PROVIDED = replace(BARE, provider=replace(BARE.provider, url="http://provider:8081"))


def provided(sheets: list[dict[str, Any]]) -> None:
    """What cannot be used is told of, and keeps nothing else from being used."""
    reader = ListReader(PROVIDED)
    functions, notices = reader.read({"openfaas-fn": [*sheets, {"name": "sound"}]})
    assert "sound" in functions
    assert [line for line in notices if not line_of(line)] == []


READERS = {
    **{
        f"NATS Streaming's {kind.DESCRIPTOR.name}": Reader(
            lambda raw, kind=kind: messages.read(kind, raw), BYTES, (Unintelligible,)
        )
        for kind in (messages.PubMsg, messages.MsgProto, messages.ConnectResponse, messages.PubAck)
    },
    "NATS' INFO": Reader(
        ServerInfo.from_json,
        document("max_payload", "headers", "nonce", "connect_urls", "version", "tls_required"),
        (ProtocolError,),
    ),
    "an NKEY": Reader(NKey.from_seed, TEXT, (BadCredentials,)),
    "a server's address": Reader(
        ServerAddress.parse, TEXT | TEXT.map("nats://{}".format), (BadServerAddress,)
    ),
    "OpenFaaS' message": Reader(
        OpenFaasMessage.read,
        document("Header", "Host", "Body", "Method", "Path", "Function", "CallbackUrl"),
        (UnreadableMessage,),
    ),
    "Go's URL": Reader(GoUrl.read, JSON, (ValueError,)),
    "a stored request": Reader(
        http_form.read,
        BYTES | BYTES.map(b"POST / HTTP/1.1\r\n".__add__),
        (http_form.UnreadableForm,),
    ),
    "Retry-After": Reader(lambda raw: asked_seconds(503, raw, 1.8e9), VALUE),
    "X-Delay, X-Not-Before and X-Expires": Reader(
        lambda said: read_timing(said, 1_800_000_000 * 10**9),
        st.dictionaries(st.sampled_from([b"x-delay", b"x-not-before", b"x-expires"]), VALUE),
        (Refusal,),
    ),
    "X-Max-Attempts": Reader(
        lambda raw: read_max_attempts({b"x-max-attempts": raw}), VALUE, (Refusal,)
    ),
    "a replay's changes": Reader(
        lambda raw: read_edits(raw, lambda url: None),
        document("headers", "callback_url"),
        (Refusal,),
    ),
    "a password": Reader(
        lambda said: Operators(Credentials(b"admin", b"s3cret")).say([(b"authorization", said)]),
        VALUE | VALUE.map(b"Basic ".__add__) | BYTES.map(lambda raw: b"Basic " + b64encode(raw)),
    ),
    "where an order comes from": Reader(
        lambda said: Operators().admit("127.0.0.1", [*said.items()]),
        st.dictionaries(
            st.sampled_from([b"host", b"origin", b"x-forwarded-host", b"sec-fetch-site"]),
            VALUE | VALUE.map(b"http://".__add__) | VALUE.map(b"[::1]:".__add__),
        ),
        (Refusal,),
    ),
    "a place in a list of calls": Reader(
        _read_places, TEXT | TEXT.map("1-2-".__add__), (BadPlace,)
    ),
    "what a provider lists": Reader(provided, st.lists(SHEET, max_size=3)),
    "JetStream's acknowledgement": Reader(
        lambda raw: read_ack(Message(b"s", b"1", b"", b"", raw)),
        document("stream", "seq", "duplicate") | document("error").map(b'{"error":'.__add__),
    ),
    "a line of nats-server's log": Reader(
        parse_line, BYTES | BYTES.map(b"[1] 2026/11/24 15:00:00.000000 [ERR] ".__add__)
    ),
    "events of a daemon": Reader(
        lambda pieces: [EventReader().feed(piece) for piece in pieces], st.lists(BYTES, max_size=6)
    ),
    "a daemon's URL": Reader(daemon_url, TEXT | TEXT.map("http://{}".format), (click.UsageError,)),
    "a header field as it is typed": Reader(
        lambda typed: FIELD.convert(typed, None, None), TEXT, (click.BadParameter,)
    ),
    "a backup's first member": Reader(
        read_beginning, document("version", "begun_ns", "ended_before", "format"), (BackupError,)
    ),
    "a backup's message": Reader(
        read_moved, BYTES | BYTES.map(b"faas.later.q.f.x.0 12\n".__add__), (BackupError,)
    ),
    "a query": Reader(query_of, VALUE, (Refusal,)),
    "since": Reader(since, VALUE, (Refusal,)),
    "tail": Reader(lambda raw: _tail(raw.decode("latin-1")), VALUE, (Refusal,)),
    "a namespace": Reader(Namespace("ns").expect, TEXT, (Refusal,)),
    "an order": Reader(
        lambda raw: decoded(raw, FunctionDeployment),
        document("service", "image", "envVars", "labels", "secrets", "limits"),
        (Refusal,),
    ),
    "a peer's address": Reader(Trusted(("10.0.0.0/8",)).holds, TEXT),
    "a log's lines": Reader(lines_of, st.lists(BYTES, max_size=6)),
    "a container's frames": Reader(frames_of, st.lists(BYTES, max_size=6)),
    "a process's note": Reader(
        read_note, BYTES | st.from_regex(rb"[0-9a-f]{4} [0-9]{1,8} [0-9]{1,8}", fullmatch=True)
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_anything_is_read_or_refused(name: str) -> None:
    """Nothing else comes of it; and why it is refused can be told to whoever sent it."""
    reader = READERS[name]

    # Within, for pytest-twisted wraps a test that hypothesis runs once for each parameter.
    @settings(deadline=None)
    @given(reader.given)
    def trial(written: Any) -> None:
        try:
            reader.read(written)
        except reader.refuses as refusal:
            line_of(str(refusal))

    trial()


ETC = Path(__file__).parents[2] / "etc" / "faasd-async.toml"
SECTION = re.compile(r"\[([a-z.]+)\]$")
KEY = re.compile(r"#([a-z_]+) = (.*)$")


def keys_by_section() -> dict[str, list[tuple[str, str]]]:
    """The keys of the reference configuration, with the values that it shows."""
    section, found = "", {"": []}
    for line in ETC.read_text("utf-8").splitlines():
        if header := SECTION.match(line):
            section = header[1]
            found[section] = []
        elif key := KEY.match(line):
            found[section].append((key[1], key[2]))
    found["functions.a"] = [*found["defaults"], ("command", '"cat"'), ("url", '"http://h"')]
    found["functions.a"] += [("schedule", '"@daily"'), ("verify", '{ scheme = "hmac" }')]
    return found


KEYS = keys_by_section()
SHOWN = [value for keys in KEYS.values() for _, value in keys]
VALUES = (
    st.sampled_from(SHOWN)
    | st.integers().map(str)
    | st.floats(allow_nan=True).map(repr)
    | st.sampled_from(["true", "false", "[]", "{}", '""', "[1, 'a', []]", "1979-05-27", "{a = 1}"])
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12).map(json.dumps)
)


@st.composite
def files(draw: st.DrawFn) -> str:
    """A file of real keys, in their tables, with values that may be another's or nobody's."""
    lines = []
    for section, keys in KEYS.items():
        if section:
            lines.append(f"[{section}]")
        for key, shown in draw(
            st.lists(st.sampled_from(keys), max_size=4, unique_by=lambda k: k[0])
        ):
            lines.append(f"{key} = {draw(st.just(shown) | VALUES)}")
    return "\n".join(lines)


def loads_or_refuses(content: bytes, environment: dict[str, str]) -> None:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(content)
        file.flush()
        try:
            load(file.name, environment)
        except ConfigurationError as reason:
            mistakes = str(reason).splitlines()
        else:
            return
    named = (file.name, "environment")
    assert [line for line in mistakes if not line.startswith(named)] == []


@settings(deadline=None, max_examples=60)
@given(files())
def test_any_file_of_settings(text: str) -> None:
    """It is taken, or refused with the file's name and the mistakes in it."""
    loads_or_refuses(text.encode(), {})


@settings(deadline=None)
@given(BYTES)
def test_anything_in_place_of_settings(content: bytes) -> None:
    """It is no TOML, or has keys that nobody knows."""
    loads_or_refuses(content, {})


VARIABLES = st.sampled_from(
    [
        *("read_timeout", "upstream_timeout", "ack_wait", "max_inflight", "basic_auth"),
        *("write_debug", "function_namespace", "secret_mount_path"),
        *("faas_nats_address", "faas_nats_port", "HTTPS_PROXY", "NO_PROXY", "STATE_DIRECTORY"),
    ]
)


@settings(deadline=None)
@given(st.dictionaries(VARIABLES, st.text(st.characters(exclude_characters="\0"), max_size=20)))
def test_any_environment(environment: dict[str, str]) -> None:
    """Likewise; whatever is in a variable, its name is told."""
    external = b"[nats]\nembedded = false\nurls = ['nats://h:1']\n"
    loads_or_refuses(external, environment)


def stack(path: str) -> None:
    mistakes = Mistakes()
    read_stack(path, {"A": "b"}, mistakes)
    mistakes.raise_if_any()


YAML = st.recursive(
    st.sampled_from(["x", "'a'", "1", "~", "${A}", "${B:-c}", "*a", "&a x", "!!binary Zg==", "- b"])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda found: f"[{', '.join(found)}]")
        | st.dictionaries(
            st.sampled_from(
                [
                    *("functions", "provider", "gateway", "configuration", "f", "image", "lang"),
                    *("environment", "environment_file", "annotations", "labels", "limits"),
                    *("secrets", "constraints", "memory", "requests", "fprocess", "<<"),
                ]
            ),
            inner,
            max_size=4,
        ).map(lambda found: "{" + ", ".join(f"{key}: {each}" for key, each in found.items()) + "}")
    ),
    max_leaves=12,
).map(lambda found: f"functions: {{f: {found}}}".encode())


def backup(*contents: bytes) -> bytes:
    """A whole one, as it lies on a disk."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "backup.tar"
        with ArchiveWriter(path) as archive:
            for name, content in zip(("backup.json", "state/secrets/a"), contents, strict=False):
                archive.add(name, content)
            archive.finish()
        return path.read_bytes()


SOUND = backup(b'{"version": "1", "begun_ns": 0, "ended_before": 0}', b"secret")


@st.composite
def backups(draw: st.DrawFn) -> bytes:
    """One that somebody has changed, or cut."""
    content = bytearray(SOUND)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, 2048))
        content[at : at + 1] = draw(st.binary(max_size=12))
    return bytes(content[: draw(st.just(len(content)) | st.integers(0, len(content)))])


#: What is read from files, of whoever wrote them.
FILES = {
    "a stack.yml": Reader(stack, YAML | BYTES, (ConfigurationError,)),
    "a backup": Reader(lambda path: verify(Path(path)), backups() | BYTES, (BackupError,)),
    "a seed": Reader(read_nkey_file, BYTES | BYTES.map(b"SUA".__add__), (BadCredentials,)),
    "credentials": Reader(
        read_credentials_file,
        BYTES.map(b"-----BEGIN NATS USER JWT-----\nx\n------END NATS USER JWT------\n".__add__),
        (BadCredentials,),
    ),
    "logins": Reader(
        lambda path: logins_in(path)("registry.test/image"),
        document("auths")
        | JSON.map(lambda found: json.dumps({"auths": {"registry.test": found}}).encode())
        | TEXT.map(lambda auth: json.dumps({"auths": {"registry.test": {"auth": auth}}}).encode()),
        (EngineError,),
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_any_content_of_a_file(name: str) -> None:
    """It is taken, or refused in words."""
    reader = FILES[name]

    @settings(deadline=None)
    @given(reader.given)
    def trial(content: bytes) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            try:
                reader.read(file.name)
            except reader.refuses as refusal:
                line_of(str(refusal))

    trial()
