"""The demo's functions, run as the daemon runs them."""

import subprocess
import sys

import pytest


def run(name: str, body: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run one to its end, with ``body`` on its standard input."""
    return subprocess.run(
        [sys.executable, "-m", f"faasd_async.demo.{name}"],
        input=body,
        capture_output=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize("body", [b"", b"hello\n", bytes(range(256)) * 1024])
def test_echo_is_exact(body: bytes) -> None:
    """The answer is the body, byte for byte."""
    done = run("echo", body)
    assert (done.returncode, done.stdout, done.stderr) == (0, body, b"")


def test_figlet_draws() -> None:
    """The body is drawn in big letters, a trailing newline being no part of it."""
    done = run("figlet", b"Hi\n")
    assert done.returncode == 0
    assert [line.rstrip() for line in done.stdout.decode().splitlines() if line.strip()] == [
        " _   _ _",
        "| | | (_)",
        "| |_| | |",
        "|  _  | |",
        "|_| |_|_|",
    ]


def test_figlet_takes_bytes_that_are_no_text() -> None:
    """A body that is not UTF-8 is no error."""
    assert run("figlet", b"\xffA").returncode == 0


def test_sleep_says_how_long() -> None:
    """The answer comes after as many seconds as the body says."""
    done = run("sleep", b"0.01\n")
    assert (done.returncode, done.stdout) == (0, b"slept for 0.01 s\n")


@pytest.mark.parametrize("body", [b"long", b"-1", b"inf", b"nan"])
def test_sleep_refuses_what_is_no_number_of_seconds(body: bytes) -> None:
    """A wish that cannot be met fails with the reason."""
    done = run("sleep", body)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == f"no number of seconds: {body.decode()!r}\n".encode()


def test_fail_fails() -> None:
    """It says so on standard error, answers nothing, and exits with 1."""
    done = run("fail", b"x")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"this function always fails\n")
