"""Header fields as they travel: pairs of bytes, in the order and case they came in.

Which of them end at the next hop is told by RFC 9110 §7.6.1: the names below, and every name a
``Connection`` field lists.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

#: Field lines as ``(name, value)``; names keep their case and are compared without it.
Headers = Sequence[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"proxy-connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)

#: What frames a message on one connection; each sender writes its own.
FRAMING = frozenset((b"content-length", b"expect"))

_NEVER_ON = HOP_BY_HOP | FRAMING


def end_to_end(headers: Headers, *, without: Collection[bytes] = ()) -> list[tuple[bytes, bytes]]:
    """Keep what is meant for the far end.

    :param without: further lower-case names to leave out.
    """
    kept, listed = [], b""
    for field in headers:
        lowered = field[0].lower()
        if lowered in _NEVER_ON:
            if lowered == b"connection":
                listed += b"," + field[1]
        elif lowered not in without:
            kept.append(field)
    # Mostly it is "keep-alive", which ends here anyway.
    named = _tokens_in(listed) - _NEVER_ON if listed else None
    if named:
        return [field for field in kept if field[0].lower() not in named]
    return kept


def named_by_connection(headers: Headers) -> set[bytes]:
    """The lower-case names that ``Connection`` fields declare hop-by-hop."""
    lists = [value for name, value in headers if name.lower() == b"connection"]
    return _tokens_in(b",".join(lists)) if lists else set()


def _tokens_in(listed: bytes) -> set[bytes]:
    tokens = {token.strip().lower() for token in listed.split(b",")}
    tokens.discard(b"")
    return tokens


def first(headers: Headers, name: bytes) -> bytes | None:
    """The first value of a field, or ``None``; *name* is lower-case."""
    for each, value in headers:
        if each.lower() == name:
            return value
    return None


def by_name(headers: Headers) -> dict[bytes, bytes]:
    """The first value of each field, by its lower-case name."""
    return {name.lower(): value for name, value in reversed(headers)}


def replaced(headers: Iterable[tuple[bytes, bytes]], fields: Headers) -> list[tuple[bytes, bytes]]:
    """*headers* with *fields* put at the end and nothing else left under their names."""
    names = {name.lower() for name, _ in fields}
    return [*((name, value) for name, value in headers if name.lower() not in names), *fields]
