"""Replies out of bytes, however they are cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from faasd_async.http.errors import BadReply, BrokenOff
from faasd_async.http.reader import HEAD_BYTES, MAX_FIELDS, MAX_INTERIM, ReplyReader


@dataclass(frozen=True)
class Case:
    """A reply, and what is to be read from it.

    :ivar ends: it is the end of the connection that ends it.
    """

    wire: bytes
    status: int = 200
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    keep_alive: bool = True
    ends: bool = False
    head_only: bool = False


CHUNKED = (b"Transfer-Encoding", b"chunked")
CASES = {
    "content-length": Case(
        b"HTTP/1.1 200 OK\r\nx-a: 1\r\nX-B: 2 \t\r\nx-a:\r\nContent-Length: 5\r\n\r\nhello",
        fields=[(b"x-a", b"1"), (b"X-B", b"2"), (b"x-a", b""), (b"Content-Length", b"5")],
        body=b"hello",
    ),
    "empty": Case(
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        status=404,
        fields=[(b"Content-Length", b"0")],
    ),
    "no reason": Case(
        b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx",
        fields=[(b"Content-Length", b"1")],
        body=b"x",
    ),
    "chunked": Case(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'3\r\nabc\r\n1;ext="x"\r\nd\r\n0\r\n\r\n',
        fields=[CHUNKED],
        body=b"abcd",
    ),
    "trailers": Case(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nab\r\n0\r\nX-Trailer: 1\r\nX-Empty:\r\n\r\n",
        fields=[CHUNKED],
        body=b"ab",
    ),
    "until the end": Case(
        b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nall of it",
        fields=[(b"A", b"b")],
        body=b"all of it",
        keep_alive=False,
        ends=True,
    ),
    "1.0": Case(
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        fields=[(b"Content-Length", b"2")],
        body=b"ok",
        keep_alive=False,
    ),
    "1.0, kept": Case(
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        fields=[(b"Connection", b"keep-alive"), (b"Content-Length", b"2")],
        body=b"ok",
    ),
    "close": Case(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        fields=[(b"Connection", b"close"), (b"Content-Length", b"2")],
        body=b"ok",
        keep_alive=False,
    ),
    "204": Case(b"HTTP/1.1 204 No Content\r\n\r\n", status=204),
    "304": Case(
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
        status=304,
        fields=[(b"Content-Length", b"7")],
    ),
    "head": Case(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        fields=[(b"Content-Length", b"5")],
        head_only=True,
    ),
    "head, chunked": Case(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        fields=[CHUNKED],
        head_only=True,
    ),
    "head, no length": Case(
        b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n",
        fields=[(b"A", b"b")],
        keep_alive=False,
        head_only=True,
    ),
    "interim": Case(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        fields=[(b"Content-Length", b"2")],
        body=b"ok",
    ),
}


def read(reader: ReplyReader, *parts: bytes) -> bytes:
    body = b""
    for part in parts:
        reader.feed(part)
        body += b"".join(reader.take_pieces())
    return body


def expecting(case: Case) -> ReplyReader:
    reader = ReplyReader()
    reader.expect(head_only=case.head_only)
    return reader


def check(case: Case, reader: ReplyReader, body: bytes) -> None:
    assert reader.complete is not case.ends
    if case.ends:
        reader.end()
    assert reader.complete
    assert (reader.status, reader.fields, body) == (case.status, case.fields, case.body)
    assert reader.keep_alive is case.keep_alive


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_cut(case: Case) -> None:
    """A reply reads the same wherever it is cut in two, and byte by byte."""
    for cut in range(len(case.wire) + 1):
        reader = expecting(case)
        parts = [part for part in (case.wire[:cut], case.wire[cut:]) if part]
        check(case, reader, read(reader, *parts))
    reader = expecting(case)
    check(case, reader, read(reader, *(bytes((byte,)) for byte in case.wire)))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_no_reply_ends_early(case: Case) -> None:
    """A reply is complete with its last byte and not before it, and a broken one is told."""
    for cut in range(len(case.wire)):
        reader = expecting(case)
        if cut:
            reader.feed(case.wire[:cut])
        assert not reader.complete
        if not (case.ends and reader.status):
            with pytest.raises(BrokenOff):
                reader.end()


@pytest.mark.parametrize("first", [case for case in CASES.values() if case.keep_alive])
def test_one_after_the_other(first: Case) -> None:
    """Nothing of a reply is left to the next one on its connection: no trailer, no state."""
    reader = expecting(first)
    check(first, reader, read(reader, first.wire))
    for second in CASES.values():
        reader.expect(head_only=second.head_only)
        assert not reader.begun
        check(second, reader, read(reader, second.wire))
        if not second.keep_alive:
            reader = expecting(first)


@pytest.mark.parametrize("surplus", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"\0"])
@pytest.mark.parametrize("case", [case for case in CASES.values() if case.keep_alive])
def test_surplus(case: Case, surplus: bytes) -> None:
    """What follows a reply belongs to nobody: the reply counts, its connection serves no other."""
    reader = expecting(case)
    assert read(reader, case.wire + surplus) == case.body
    assert reader.complete
    assert (reader.status, reader.fields) == (case.status, case.fields)
    assert not reader.keep_alive


def test_surplus_that_ends_like_a_head() -> None:
    """A server that sends the body of what was asked for with HEAD is not trusted again."""
    reader = ReplyReader()
    reader.expect(head_only=True)
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx\r\n\r\n")
    assert reader.complete
    assert not reader.keep_alive


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 1000 X\r\n\r\n",
        b"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 104 X\r\nContent-Length: 2\r\n\r\nok" + OK + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        OK + b"A: x\r\n y\r\nContent-Length: 0\r\n\r\n",
        OK + b"A : x\r\nContent-Length: 0\r\n\r\n",
        OK + b": x\r\nContent-Length: 0\r\n\r\n",
        OK + b"A: x\0y\r\nContent-Length: 0\r\n\r\n",
        OK + b"A: x\ry\r\nContent-Length: 0\r\n\r\n",
        OK + b"A: x\ny: z\r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 1, 1\r\n\r\nx",
        OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        OK + b"Content-Length: 99999999999999999999\r\n\r\n",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxy",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\nx\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    ],
)
@pytest.mark.parametrize("head_only", [False, True])
def test_no_reply_at_all(wire: bytes, head_only: bool) -> None:
    """Garbage, ambiguous lengths and what nobody asked for are refused, however they come."""
    if head_only and wire.startswith(OK + b"Transfer-Encoding: chunked\r\n\r\n"):
        return  # the head is good, and there is no more of it
    for parts in ([wire], [bytes((byte,)) for byte in wire]):
        reader = ReplyReader()
        reader.expect(head_only=head_only)
        with pytest.raises(BadReply):
            read(reader, *parts)
        assert not reader.complete


def test_what_came_before_the_garbage_stays() -> None:
    """Pieces in front of a bad chunk can still be taken."""
    reader = ReplyReader()
    with pytest.raises(BadReply):
        reader.feed(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n")
    assert (reader.status, reader.take_pieces()) == (200, [b"ok"])


@pytest.mark.parametrize("size", [1, 1000, 16 * 1024, 2**20])
@pytest.mark.parametrize(
    ("beginning", "filling"),
    [
        (OK + b"X: ", b"x"),
        (OK + b"X", b"x"),
        (OK, b"A: b\r\n"),
        (b"HTTP/1.1 200 ", b"x"),
        (b"", b"\r\n"),
        (b"HTTP/1.1 103 X\r\nLink: ", b"x"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;ext=", b"x"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"x"),
    ],
)
def test_heads_and_trailers_are_bounded(beginning: bytes, filling: bytes, size: int) -> None:
    """What has no end and is no body is refused, in whatever pieces it comes."""
    reader = ReplyReader()
    read(reader, beginning)
    piece = filling if size == 1 else (filling * size)[:size]
    pieces = [piece] * (2 * HEAD_BYTES // len(piece) + 1)
    with pytest.raises(BadReply):
        read(reader, *pieces)


def test_head_at_the_bound() -> None:
    """A head of 64 KiB is read, one that is longer and ends in the same piece is not."""
    for more, fits in ((-100, True), (100, False)):
        wire = OK + b"X: " + b"x" * (HEAD_BYTES + more) + b"\r\nContent-Length: 2\r\n\r\nok"
        reader = ReplyReader()
        if fits:
            assert read(reader, wire[:1000], wire[1000:]) == b"ok"
            continue
        with pytest.raises(BadReply, match="a head of more than 65536 bytes"):
            read(reader, wire[:1000], wire[1000:])


def test_bounds_are_not_the_body_s() -> None:
    """Heads and chunk sizes of a long body together may be as long as they like."""
    reader = ReplyReader()
    reader.feed(OK + b"X: " + b"x" * 60000 + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    size = 0
    for _ in range(3):
        for part in (b"1;" + b"x" * 30000 + b"\r\n", b"x\r\n"):
            size += len(read(reader, part))
    assert (size, reader.complete) == (3, False)


@pytest.mark.parametrize(("count", "fits"), [(MAX_FIELDS, True), (MAX_FIELDS + 1, False)])
def test_count_of_fields(count: int, fits: bool) -> None:
    """So many fields, and not one more."""
    wire = OK + b"A: b\r\n" * (count - 1) + b"Content-Length: 0\r\n\r\n"
    reader = ReplyReader()
    if fits:
        reader.feed(wire)
        assert len(reader.fields) == count
    else:
        with pytest.raises(BadReply, match=f"more than {MAX_FIELDS} header fields"):
            reader.feed(wire)


@pytest.mark.parametrize(("count", "fits"), [(MAX_INTERIM, True), (MAX_INTERIM + 1, False)])
def test_count_of_interim_replies(count: int, fits: bool) -> None:
    """So many interim replies, and not one more."""
    wire = b"HTTP/1.1 100 Continue\r\n\r\n" * count + OK + b"Content-Length: 0\r\n\r\n"
    reader = ReplyReader()
    if fits:
        reader.feed(wire)
        assert reader.status == 200
    else:
        with pytest.raises(BadReply, match=f"more than {MAX_INTERIM} interim replies"):
            reader.feed(wire)


CUTS = st.lists(st.integers(min_value=0, max_value=400), max_size=6)
NAMED = sorted(CASES)


@given(st.sampled_from(NAMED), CUTS)
def test_any_cuts(name: str, cuts: list[int]) -> None:
    """A reply reads the same in any pieces."""
    case = CASES[name]
    edges = [0, *sorted(min(cut, len(case.wire)) for cut in cuts), len(case.wire)]
    parts = [case.wire[a:b] for a, b in pairwise(edges) if a < b]
    reader = expecting(case)
    check(case, reader, read(reader, *parts))


TOKENS = st.sampled_from(
    (
        b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 C\r\n", b"HTTP/1.0 204 N\r\n", b"\r\n", b"\r", b"\n",
        b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
        b"A: b", b"3\r\nabc\r\n", b"0\r\n", b"abc", b" ", b":", b"\0",
    )
)  # fmt: skip


@given(st.lists(TOKENS | st.binary(max_size=5), max_size=14), CUTS, st.booleans())
@example([b"HTTP/1.1 200 OK\r\n", b"Content-Length: 3\r\n", b"\r\n", b"abcabc"], [], False)
def test_garbage(parts: list[bytes], cuts: list[int], head_only: bool) -> None:
    """Whatever comes is a reply or an error of ours, the same however it is cut; no field has a
    line break in it, and nothing is complete twice."""
    wire = b"".join(parts)

    def outcome(pieces: list[bytes]) -> tuple[object, ...]:
        reader = ReplyReader()
        reader.expect(head_only=head_only)
        body, fault = b"", False
        for piece in pieces:
            if reader.complete:
                break  # what comes later is the connection's affair
            try:
                reader.feed(piece)
            except BadReply:
                fault = True
            body += b"".join(reader.take_pieces())
            if fault:
                break
        for name, value in reader.fields:
            assert not set(name + value) & set(b"\r\n\0")
        return reader.status, reader.fields, body, reader.complete, fault

    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    cut = [wire[a:b] for a, b in pairwise(edges) if a < b]
    assert outcome([wire] if wire else []) == outcome(cut)
