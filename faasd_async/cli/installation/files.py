"""The files of an installation: where each goes, and what is in it.

What is shipped stands in ``etc`` of the source tree, and is copied into the package when that is
built.
"""

from __future__ import annotations

from pathlib import Path

UNITS = "/etc/systemd/system"
SERVICE = f"{UNITS}/faasd-async.service"
SOCKET = f"{UNITS}/faasd-async.socket"
DROP_INS = f"{UNITS}/faasd-async.service.d"
PASSWORD_DROP_IN = f"{DROP_INS}/10-password.conf"

CONFIGURATION_DIRECTORY = "/etc/faasd-async"
CONFIGURATION = f"{CONFIGURATION_DIRECTORY}/faasd-async.toml"
SECRETS = f"{CONFIGURATION_DIRECTORY}/secrets"

#: Of a service with a user of its own systemd keeps the state in the second one, and makes the
#: first a link to it.
STATE_DIRECTORIES = ("/var/lib/faasd-async", "/var/lib/private/faasd-async")

#: Where the unit as it is shipped has the daemon.
_SHIPPED_PREFIX = "/opt/faasd-async"

#: Where systemd puts what LoadCredential= names.
_CREDENTIALS = "/run/credentials/faasd-async.service"


def service(prefix: str) -> str:
    """The unit.

    :param prefix: the virtual environment that the daemon is in.
    """
    return _shipped("systemd/faasd-async.service").replace(_SHIPPED_PREFIX, prefix)


def socket() -> str:
    """Its socket."""
    return _shipped("systemd/faasd-async.socket")


def password_drop_in(*names: str) -> str:
    """What gives the service its user name and password; it may not read them where they lie."""
    lines = (f"LoadCredential={name}:{SECRETS}/{name}" for name in names)
    return "\n".join(("# By faasd-async install.", "[Service]", *lines, ""))


def configuration(*, demo: bool) -> str:
    """The reference configuration, with authentication on.

    :param demo: with the functions of the demo.
    """
    text = _shipped("faasd-async.toml")
    for key, value in (("basic_auth", "true"), ("secret_mount_path", f'"{_CREDENTIALS}"')):
        before, found, after = text.partition(f"\n#{key} = ")
        assert found, f"the reference configuration does not show {key}"
        _, end, rest = after.partition("\n")
        text = f"{before}\n{key} = {value}{end}{rest}"
    return text + ("\n\n" + _demo_functions() if demo else "")


def _demo_functions() -> str:
    text = _shipped("demo.toml")
    return text[text.index("# Big letters.") :]


def _shipped(name: str) -> str:
    package = Path(__file__).parents[2]
    for directory in (package, package.parent):
        path = directory / "etc" / name
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise FileNotFoundError(f"etc/{name} did not come along with the package")
