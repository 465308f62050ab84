"""What functions find in their environment."""

from __future__ import annotations

import pwd

from faasd_async.runtime.interface import Invocation
from faasd_async.runtime.process.environment import lasting, of_invocation


def call(
    target: bytes = b"/", headers: tuple[tuple[bytes, bytes], ...] = (), body: bytes = b""
) -> Invocation:
    return Invocation("figlet", "the-call", b"PUT", target, headers, body)


def test_only_what_is_listed_is_inherited() -> None:
    """Of the daemon's environment a function sees what programs need to run, and no more."""
    harmless = {"PATH": "/bin", "HOME": "/h", "LANG": "C", "TMPDIR": "/t"}
    daemon = harmless | dict.fromkeys(
        (
            "LISTEN_FDS",
            "LISTEN_PID",
            "LISTEN_FDNAMES",
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
            "WATCHDOG_PID",
            "CREDENTIALS_DIRECTORY",
            "INVOCATION_ID",
            "JOURNAL_STREAM",
            "STATE_DIRECTORY",
            "PYTHONPATH",
            "LD_PRELOAD",
            "AWS_SECRET_ACCESS_KEY",
            "HTTPS_PROXY",
            "USER",
        ),
        "x",
    )
    expected = {name.encode(): value.encode() for name, value in harmless.items()}
    assert lasting(daemon, {}) == expected


def test_configured_variables_win() -> None:
    """What the operator says for this function replaces what is inherited."""
    assert lasting({"PATH": "/bin", "TZ": "UTC"}, {"TZ": "Mars", "B": "ä"}) == {
        b"PATH": b"/bin",
        b"TZ": b"Mars",
        b"B": "ä".encode(),
    }


def test_another_user_has_a_home_of_its_own() -> None:
    """A function that runs as somebody else is told so, and not where the daemon is at home."""
    root = pwd.getpwuid(0)
    assert lasting({"PATH": "/bin", "HOME": "/h"}, {}, root) == {
        b"PATH": b"/bin",
        b"HOME": root.pw_dir.encode(),
        b"USER": b"root",
        b"LOGNAME": b"root",
    }


def test_there_is_always_a_path() -> None:
    """A daemon without PATH still finds programs."""
    assert lasting({}, {})[b"PATH"] == b"/usr/local/bin:/usr/bin:/bin"


def test_request_line() -> None:
    """Method, path and query are told as they came."""
    variables = of_invocation(call(b"/a%2Fb//c?x=1?y", body=b"1234"))
    assert variables == {
        b"Http_Method": b"PUT",
        b"Http_Path": b"/a%2Fb//c",
        b"Http_Query": b"x=1?y",
        b"Http_Content_Length": b"4",
    }


def test_no_query() -> None:
    """A target without a query has no variable for it."""
    assert b"Http_Query" not in of_invocation(call(b"/a"))


def test_headers() -> None:
    """Names get one form, whatever their case; the first of several fields counts."""
    variables = of_invocation(
        call(headers=((b"x-CALL-id", b"1"), (b"X-Call-Id", b"2"), (b"Host", b"h")))
    )
    assert variables[b"Http_X_Call_Id"] == b"1"
    assert variables[b"Http_Host"] == b"h"


def test_withheld_headers() -> None:
    """No variable for a field that would redirect the function's own requests, lie about the
    body, or pass for another one."""
    variables = of_invocation(
        call(
            headers=(
                (b"Proxy", b"http://evil"),
                (b"Content-Length", b"99"),
                (b"Transfer-Encoding", b"chunked"),
                (b"X_Call_Id", b"evil"),
                (b"X-Call-Id", b"good"),
                (b"A=B", b"c"),
            )
        )
    )
    assert variables == {
        b"Http_Method": b"PUT",
        b"Http_Path": b"/",
        b"Http_Content_Length": b"0",
        b"Http_X_Call_Id": b"good",
    }


def test_nul_bytes_are_left_out() -> None:
    """A value cannot hold NUL, and the others still arrive."""
    variables = of_invocation(call(headers=((b"A", b"a\0b"),)))
    assert variables[b"Http_A"] == b"ab"
