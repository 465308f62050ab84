"""The operator's password: where it is read, and how it is compared."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from faasd_async.errors import ConfigurationError
from faasd_async.settings import GatewaySettings
from faasd_async.settings.credentials import Credentials
from faasd_async.settings.operator import read_credentials


def basic(text: str) -> bytes:
    return b"Basic " + b64encode(text.encode())


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    (tmp_path / "basic-auth-user").write_text("admin\n")
    (tmp_path / "basic-auth-password").write_text(" s3cret \n")
    return tmp_path


def gateway(secrets: Path) -> GatewaySettings:
    return GatewaySettings(basic_auth=True, secret_mount_path=str(secrets))


def test_the_files_are_read_without_the_space_around_them(secrets: Path) -> None:
    """An editor's last newline is no part of a password."""
    credentials = read_credentials(gateway(secrets))
    assert credentials is not None
    assert credentials.match(basic("admin:s3cret"))
    assert credentials.match(b"Basic YWRtaW46czNjcmV0")


def test_nothing_is_read_without_authentication() -> None:
    """The files need not be there."""
    settings = GatewaySettings(secret_mount_path="/no/such/directory")
    assert read_credentials(settings) is None


@pytest.mark.parametrize("name", ["basic-auth-user", "basic-auth-password"])
@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_file_that_is_missing_or_empty_is_named(
    secrets: Path, name: str, content: str | None
) -> None:
    """Nobody may believe that there is a password where there is none."""
    (secrets / name).unlink()
    if content is not None:
        (secrets / name).write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        read_credentials(gateway(secrets))
    assert str(caught.value).startswith(f"{secrets / name}: ")
    assert "s3cret" not in str(caught.value)


def test_a_name_with_a_colon_could_never_be_said(secrets: Path) -> None:
    """Basic authentication ends the name at the first colon."""
    (secrets / "basic-auth-user").write_text("a:b")
    with pytest.raises(ConfigurationError, match="basic-auth-user: found a name with a colon"):
        read_credentials(gateway(secrets))


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"Basic",
        b"Basic ",
        b"Basic not base64!",
        b"Bearer YWRtaW46czNjcmV0",
        b"YWRtaW46czNjcmV0",
        basic("admin"),
        basic("admin:"),
        basic("admin:s3cre"),
        basic("admin:s3cret "),
        basic("Admin:s3cret"),
        basic(":admin:s3cret"),
    ],
)
def test_what_is_not_them(said: bytes) -> None:
    """Any other name, password or scheme, and nonsense."""
    assert not Credentials(b"admin", b"s3cret").match(said)


def test_a_password_may_have_colons_and_the_scheme_any_case() -> None:
    """As RFC 7617 has it."""
    credentials = Credentials("ä".encode(), b"a:b:")
    assert credentials.match(basic("ä:a:b:").replace(b"Basic", b"bAsIC"))
