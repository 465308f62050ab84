"""The operator's user name and password, from the files that OpenFaaS keeps them in."""

from __future__ import annotations

import os
from binascii import b2a_base64

from faasd_async.errors import ConfigurationError
from faasd_async.settings.credentials import Credentials
from faasd_async.settings.mistakes import quoted
from faasd_async.settings.model import GatewaySettings, ProviderSettings
from faasd_async.settings.secrets import Secret

USER_FILE = "basic-auth-user"
PASSWORD_FILE = "basic-auth-password"  # noqa: S105 - its name


def read_credentials(gateway: GatewaySettings) -> Credentials | None:
    """Read both files, the white space around what is in them left out.

    :return: ``None`` if there is no authentication.
    :raises ConfigurationError: one of them is missing or empty.
    """
    if not gateway.basic_auth:
        return None
    return Credentials(*_read_both(gateway.secret_mount_path))


def read_authorization(provider: ProviderSettings, gateway: GatewaySettings) -> Secret | None:
    """What another provider is told in ``Authorization``; likewise.

    :return: ``None`` if it is told nothing.
    """
    directory = provider.secret_mount_path
    if directory is None and gateway.basic_auth:
        directory = gateway.secret_mount_path
    if provider.url is None or directory is None:
        return None
    said = b":".join(_read_both(directory))
    return Secret(b"Basic " + b2a_base64(said, newline=False))


def _read_both(directory: str) -> tuple[bytes, bytes]:
    user = _read(directory, USER_FILE)
    if b":" in user:
        path = os.path.join(directory, USER_FILE)
        raise ConfigurationError(f"{path}: found a name with a colon; allowed: one without")
    return user, _read(directory, PASSWORD_FILE)


def _read(directory: str, name: str) -> bytes:
    path = os.path.join(directory, name)
    try:
        with open(path, "rb") as file:
            content = file.read().strip()
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be read: {error.strerror}; there have to be the files"
            f" {USER_FILE} and {PASSWORD_FILE} in secret_mount_path, {quoted(directory)}"
        ) from None
    if not content:
        what = "user name" if name == USER_FILE else "password"
        raise ConfigurationError(f"{path}: found nothing; allowed: a {what}")
    return content
