"""Proxy and authorities of what goes out; secrets, and where they stand."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from faasd_async.settings import ProxySettings, Secret, Settings, VerifySettings

Load = Callable[..., Settings]
Mistakes = Callable[..., list[str]]

KEY = bytes(range(24))
WHSEC = "whsec_" + b64encode(KEY).decode()
OTHER = "whsec_" + b64encode(KEY[::-1]).decode()
FUNCTION = "[functions.f]\ncommand = 'cat'\n"


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTPS_PROXY": "http://p:3128"}, ProxySettings(host="p", port=3128)),
        ({"https_proxy": "p:3128/"}, ProxySettings(host="p", port=3128)),
        ({"HTTPS_PROXY": "http://a", "https_proxy": "http://b"}, ProxySettings(host="a", port=80)),
        (
            {"HTTPS_PROXY": "http://m%65:p%40w@p:1", "NO_PROXY": "a.test, 10.0.0.0/8,,"},
            ProxySettings(
                host="p",
                port=1,
                authorization=Secret(b"Basic " + b64encode(b"me:p@w")),
                except_for=("a.test", "10.0.0.0/8"),
            ),
        ),
    ],
)
def test_a_proxy(load_text: Load, environment: dict[str, str], proxy: ProxySettings) -> None:
    """It stands in the environment, as it does for other programs."""
    assert load_text("", environment).proxy == proxy


@pytest.mark.parametrize(
    "url", ["https://me:hush@p", "socks5://hush", "http://:1", "http://hush:x"]
)
def test_a_proxy_that_cannot_be_used(mistakes: Mistakes, url: str) -> None:
    """The start says so, and shows nothing of it."""
    [line] = mistakes("", {"HTTPS_PROXY": url})
    assert "HTTPS_PROXY" in line
    assert "hush" not in line


@pytest.mark.parametrize(
    "content", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_a_file_of_no_certificates(mistakes: Mistakes, tmp_path: Path, content: str) -> None:
    """The start names key and file."""
    (tmp_path / "ca.pem").write_text(content)
    [line] = mistakes("[callback]\nca_file = 'ca.pem'\n")
    assert line.startswith('faas.toml: [callback] ca_file: found "ca.pem", which holds none')
    [line] = mistakes("[callback]\nca_file = 'nowhere.pem'\n")
    assert "No such file" in line


def test_secrets_in_place_and_in_a_file(load_text: Load, tmp_path: Path) -> None:
    """A file has one on a line; comments and empty lines are none."""
    (tmp_path / "s").write_text(f"# the next one\n{WHSEC}\n\n{OTHER}\n")
    both = (Secret(KEY), Secret(KEY[::-1]))
    for toml in (f"signing_secrets = ['{WHSEC}', '{OTHER}']", "signing_secret_file = 's'"):
        assert load_text(f"[callback]\n{toml}\n").callback.signing_secrets == both


def test_whose_secrets_count(load_text: Load) -> None:
    """A function's over the defaults' over those of all callbacks; an empty list is none."""
    toml = f"[callback]\nsigning_secrets = ['{WHSEC}']\n{FUNCTION}"
    assert load_text(toml).functions["f"].signing_secrets == (Secret(KEY),)
    own = load_text(toml + f"signing_secrets = '{OTHER}'\n").functions["f"]
    assert own.signing_secrets == (Secret(KEY[::-1]),)
    assert load_text(toml + "signing_secrets = []\n").functions["f"].signing_secrets == ()
    toml = f"[defaults]\nsigning_secrets = ['{OTHER}']\n" + toml
    assert load_text(toml).functions["f"].signing_secrets == (Secret(KEY[::-1]),)


@pytest.mark.parametrize(
    ("toml", "found"),
    [
        ("signing_secrets = ['hushhush']", "that does not begin"),
        ("signing_secrets = ['whsec_hush!hush']", "no base64"),
        ("signing_secrets = ['whsec_aHVzaA==']", "a secret of 4 bytes"),
        ("signing_secrets = 7", "something else"),
        (f"signing_secrets = {[WHSEC] * 9}", "9 secrets"),
        ("signing_secret_file = 'nowhere'", "cannot be read"),
        ("signing_secret_file = 'empty'", "holds none"),
        (f"signing_secrets = ['{WHSEC}']\nsigning_secret_file = 'good'", "found beside"),
    ],
)
def test_secrets_that_cannot_be_used(
    mistakes: Mistakes, tmp_path: Path, toml: str, found: str
) -> None:
    """The start names the key, and shows nothing of them."""
    (tmp_path / "empty").write_text("# none\n")
    (tmp_path / "good").write_text(WHSEC)
    line = mistakes(f"[callback]\n{toml}\n")[0]
    assert line.startswith("faas.toml: [callback] signing_secret")
    assert found in line
    assert "hush" not in line
    assert WHSEC not in line


def test_a_secret_shows_nothing(load_text: Load) -> None:
    """Neither it nor the settings it is in."""
    verify = "verify = { scheme = 'github', secret = 'hush hush' }"
    settings = load_text(f"[callback]\nsigning_secrets = ['{WHSEC}']\n{FUNCTION}{verify}")
    for shown in (repr(settings), str(settings)):
        assert "hush" not in shown
        assert repr(KEY)[2:-1] not in shown
        assert "<secret>" in shown


@pytest.mark.parametrize(
    ("scheme", "tolerance"),
    [("github", 86400.0), ("stripe", 300.0), ("slack", 300.0), ("standard-webhooks", 300.0)],
)
def test_how_requests_are_signed(load_text: Load, scheme: str, tolerance: float) -> None:
    """Each scheme has its tolerance."""
    toml = f"{FUNCTION}verify = {{ scheme = '{scheme}', secret = '{WHSEC}' }}"
    key = KEY if scheme == "standard-webhooks" else WHSEC.encode()
    assert load_text(toml).functions["f"].verify == VerifySettings(
        scheme=scheme,  # type: ignore[arg-type]
        secrets=(Secret(key),),
        tolerance_seconds=tolerance,
    )


@pytest.mark.parametrize(
    ("verify", "found"),
    [
        ("{ scheme = 'md5', secret = 's' }", 'verify.scheme: found "md5"'),
        ("{ secret = 's' }", "verify: found without a scheme"),
        ("{ scheme = 'github' }", "verify: found without a secret"),
        ("{}", "verify: found without a scheme"),
        ("{ scheme = 'github', secret = '' }", "verify.secret: found an empty one"),
        ("{ scheme = 'github', secret = [] }", "verify.secret: found no secret"),
        ("{ scheme = 'hmac', secret = 's' }", "verify: found without a header"),
        ("{ scheme = 'hmac', secret = 's', header = 'a b' }", "verify.header: found"),
        ("{ scheme = 'slack', secret = 's', header = 'a' }", "verify.header: found here"),
        ("{ scheme = 'slack', secret = 's', tolerance = '0s' }", "verify.tolerance: found"),
        ("{ scheme = 'slack', secret = 's', tolerance = '200h' }", "verify.tolerance: found"),
        ("{ scheme = 'slack', secret = 's', secrets = 'x' }", "verify.secrets: unknown key"),
        ("{ scheme = 'standard-webhooks', secret = 'plain' }", "verify.secret: found a secret"),
        ("'github'", "verify: found"),
    ],
)
def test_a_signature_that_protects_nothing(mistakes: Mistakes, verify: str, found: str) -> None:
    """The start names what is missing or wrong."""
    assert found in "\n".join(mistakes(f"{FUNCTION}verify = {verify}"))


def test_no_signature_for_all(mistakes: Mistakes) -> None:
    """Each function has its own sender."""
    [line] = mistakes("[defaults]\nverify = { scheme = 'github', secret = 's' }\n")
    assert "only in a function's own table" in line
