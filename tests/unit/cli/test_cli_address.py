"""Where a daemon is, as people type it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from faasd_async.cli.address import daemon_url
from faasd_async.cli.main import cli


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8080",
        "https://box.example/faas",
        "http://[::1]:8080",
        "http://my_box",
    ],
)
def test_a_url(text: str) -> None:
    """It is taken, with a slash at its end or without."""
    assert daemon_url(text) == text
    assert daemon_url(text + "/") == text


@pytest.mark.parametrize(
    "text",
    [
        "foo",
        "127.0.0.1:8080",
        "ftp://x",
        "http://",
        "http://[::1",
        "http://[x:y]",
        "http://a b",
        "http://box:0",
        "http://box:99999",
        "http://box:port",
        "http://box?a=b",
        "http://b\u00fcx",
        "http://box/\n",
        "http://box/a b",
    ],
)
def test_no_url(text: str) -> None:
    """A sentence, and 2."""
    done = CliRunner().invoke(cli, ["--url", text, "status"])
    assert done.exit_code == 2
    assert f"--url: found {text!r}; allowed: http://HOST:PORT" in done.stderr


def test_a_password_in_a_url() -> None:
    """It is not shown, and where it belongs is told."""
    done = CliRunner().invoke(cli, ["--url", "http://admin:canary@box:8080", "status"])
    assert done.exit_code == 2
    assert "--credentials" in done.stderr
    assert "canary" not in done.output
