"""``auth``: who may call a function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from faasd_async.settings import AuthSettings, Settings
from faasd_async.settings.credentials import Credentials

Load = Callable[..., Settings]
Mistakes = Callable[..., list[str]]

FUNCTION = "[functions.a]\nurl = 'http://h'\n"
WITH_PASSWORD = "[gateway]\nbasic_auth = true\n"
ANNA, BEN = Credentials(b"anna", b"a"), Credentials(b"ben", b"b")


def test_what_can_be_said(load_text: Load, tmp_path: Path) -> None:
    """A word, a secret, some, or a file of them; a function's own counts over the defaults."""
    (tmp_path / "callers").write_text("# ours\nanna:a\nben:b\n")
    functions = load_text(
        f"""
        {WITH_PASSWORD}
        [defaults]
        auth = "basic"
        [functions.silent]
        url = "http://h"
        [functions.open]
        url = "http://h"
        auth = "none"
        [functions.one]
        url = "http://h"
        auth = {{ secret = "anna:a" }}
        [functions.two]
        url = "http://h"
        auth = {{ secret_file = "callers" }}
        """
    ).functions
    assert {name: each.auth for name, each in functions.items()} == {
        "silent": AuthSettings(),
        "open": None,
        "one": AuthSettings(credentials=(ANNA,)),
        "two": AuthSettings(credentials=(ANNA, BEN)),
    }


@pytest.mark.parametrize(
    ("auth", "line"),
    [
        (
            "'basic'",
            'auth: found "basic", and there is no password; allowed: with basic_auth = true in'
            " [gateway], or with a secret of its own",
        ),
        ("'digest'", 'auth: found "digest"; allowed: "basic", "none", or a table with secret or'),
        ("{}", "auth: found without a secret; allowed: with secret or secret_file"),
        ("{ secret = [] }", "auth: found without a secret; allowed: with secret or secret_file"),
        ("{ secret = 'anna' }", 'auth.secret: found something else; allowed: "name:password"'),
        ("{ secret = ':a' }", 'auth.secret: found something else; allowed: "name:password"'),
    ],
)
def test_mistakes(auth: str, line: str, mistakes: Mistakes) -> None:
    """No secret is shown; a function is not left open by one."""
    assert mistakes(f"{FUNCTION}auth = {auth}")[0].startswith(f"faas.toml: [functions.a] {line}")


def test_defaults_without_a_password(mistakes: Mistakes) -> None:
    """Are told of once, and where they stand."""
    [line] = mistakes(f"[defaults]\nauth = 'basic'\n{FUNCTION}")
    assert line.startswith('faas.toml: [defaults] auth: found "basic", and there is no password')


def test_credentials_are_compared_and_not_shown() -> None:
    """Settings that have not changed replace nothing."""
    assert Credentials(b"anna", b"a") == ANNA
    assert len({Credentials(b"anna", b"a"), ANNA, BEN}) == 2
    assert b"anna" not in repr(AuthSettings(credentials=(ANNA,))).encode()
