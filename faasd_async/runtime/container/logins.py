"""Logins to registries, out of the file in which ``docker login`` keeps them.

It is read anew for each image, so that a login counts at once. What a credential helper keeps is
not in it.
"""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from faasd_async.runtime.container.errors import EngineError

#: Given an image, what ``X-Registry-Auth`` says when it is pulled, if anything.
LoginFor = Callable[[str], str | None]

_HUB = "docker.io"

#: What Docker's own registry is called in that file.
_NAMES_OF_HUB = ("https://index.docker.io/v1/", "index.docker.io", "docker.io")


class _Entry(msgspec.Struct):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _File(msgspec.Struct):
    auths: dict[str, _Entry] = {}


def nobody(image: str) -> None:
    """There is no login."""


def logins_in(path: str | None) -> LoginFor:
    """:param path: of the file; ``None``: there is none."""
    return nobody if path is None else partial(_login, Path(path))


def _login(path: Path, image: str) -> str | None:
    """
    :raises EngineError: the file cannot be read. What stands in it is not told.
    """
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as reason:
        raise EngineError(f"{path} cannot be read: {reason.strerror}") from None
    except msgspec.MsgspecError:
        raise EngineError(f"{path} is no file of docker login's") from None
    for name in _names_of(registry_of(image)):
        if name in file.auths:
            return _written(path, name, file.auths[name])
    return None


def registry_of(image: str) -> str:
    """The host that an image is pulled from."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else _HUB


def _names_of(registry: str) -> tuple[str, ...]:
    if registry == _HUB:
        return _NAMES_OF_HUB
    return registry, f"https://{registry}", f"https://{registry}/v1/", f"https://{registry}/v2/"


def _written(path: Path, name: str, entry: _Entry) -> str:
    username, password = entry.username, entry.password
    if entry.auth:
        try:
            username, _, password = b64decode(entry.auth, validate=True).decode().partition(":")
        except ValueError:
            raise EngineError(f"{path}: the login of {name} is no base64") from None
    said = {"username": username, "password": password, "serveraddress": name}
    if entry.identitytoken:
        said = {"identitytoken": entry.identitytoken, "serveraddress": name}
    return urlsafe_b64encode(msgspec.json.encode(said)).decode()
