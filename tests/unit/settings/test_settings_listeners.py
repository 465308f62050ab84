"""Where to listen: what stands in an endpoint string, and who meets whom."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from faasd_async.errors import ConfigurationError
from faasd_async.settings import Settings, load
from faasd_async.settings.endpoints import FORMS
from faasd_async.settings.places import Place

Load = Callable[..., Settings]
Mistakes = Callable[..., list[str]]

TCP = FORMS["tcp"]
SYSTEMD = FORMS["systemd"]


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp:80", "tcp:80:interface=127.0.0.1", "tcp:port=80", "tcp6:80", "unix:/run/x:mode=660",
        "systemd:domain=INET:index=0", "systemd:domain=UNIX:name=http", "systemd:INET6:0",
        "systemd:name=http:domain=INET", "haproxy:tcp:80", "haproxy:systemd:domain=INET:index=0",
    ],
)  # fmt: skip
def test_an_endpoint_is_taken_as_it_is(endpoint: str, load_text: Load) -> None:
    """And nothing is opened: these ports need privileges, and systemd has passed nothing."""
    settings = load_text(f'[gateway]\nlisten = ["{endpoint}"]')
    assert settings.gateway.listen == (endpoint,)


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ("tcp:abc", f'found "tcp:abc"; allowed: {TCP}'),
        ("tcp:80:foo=1", f'found "tcp:80:foo=1", and tcp has no foo; allowed: {TCP}'),
        ("tcp:80:backlog=x", f'found "tcp:80:backlog=x"; allowed: {TCP}'),
        ("tcp:65536", f'found "tcp:65536"; allowed: {TCP}, PORT from 0 to 65535'),
        ("tcp:80:::1", f'found "tcp:80:::1"; allowed: {TCP}'),
        ("haproxy:tcp:x", f'found "haproxy:tcp:x"; allowed: {TCP}'),
        ("unix:/x:mode=9", f'found "unix:/x:mode=9"; allowed: {FORMS["unix"]}'),
        ("systemd:domain=INET", f'found "systemd:domain=INET"; allowed: {SYSTEMD}'),
        ("systemd:index=0", f'found "systemd:index=0"; allowed: {SYSTEMD}'),
        ("systemd:domain=ODD:index=0", f'found "systemd:domain=ODD:index=0"; allowed: {SYSTEMD}'),
        (
            "systemd:domain=INET:index=0:name=a",
            f'found "systemd:domain=INET:index=0:name=a"; allowed: {SYSTEMD}',
        ),
    ],
)
def test_what_is_wrong_with_an_endpoint(endpoint: str, told: str, mistakes: Mistakes) -> None:
    """What was found, and how one of its kind is written."""
    assert mistakes(f'[gateway]\nlisten = ["{endpoint}"]') == [
        f"faas.toml: [gateway] listen: {told}"
    ]


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key with its certificate, and another key."""
    directory = tmp_path_factory.mktemp("pems")
    name = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=h -days 2 -keyout"
    for line in (f"{name} key.pem -out cert.pem", f"{name} other.pem -out unused.pem"):
        subprocess.run(line.split(), cwd=directory, check=True, capture_output=True)
    (directory / "junk.pem").write_text("no key")
    return directory


def test_an_encrypted_port(pems: Path, load_text: Load) -> None:
    """Its files are read."""
    load_text(f'[gateway]\nlisten = ["ssl:443:privateKey={pems}/key.pem:certKey={pems}/cert.pem"]')


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("privateKey={}/none.pem", "{}/none.pem cannot be read: No such file or directory"),
        ("privateKey={}/junk.pem", "its files hold no key and certificate that fit together"),
        (
            "privateKey={}/other.pem:certKey={}/cert.pem",
            "its files hold no key and certificate that fit together",
        ),
    ],
)
def test_an_encrypted_port_without_its_files(
    keys: str, told: str, pems: Path, mistakes: Mistakes
) -> None:
    """Which file, and why."""
    endpoint = f"ssl:443:{keys.replace('{}', str(pems))}"
    (line,) = mistakes(f'[gateway]\nlisten = ["{endpoint}"]')
    assert f", but {told.replace('{}', str(pems))}; allowed: {FORMS['ssl']}" in line


EVERYWHERE, LOOPBACK, OTHER = Place(80), Place(80, "127.0.0.1"), Place(80, "192.0.2.1")
EVERYWHERE_6, LOOPBACK_6 = Place(80, "::"), Place(80, "::1")
APART = {
    frozenset(pair)
    for pair in (
        (LOOPBACK, OTHER), (LOOPBACK_6, EVERYWHERE), (LOOPBACK_6, LOOPBACK), (LOOPBACK_6, OTHER),
    )
}  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    list(itertools.combinations((EVERYWHERE, LOOPBACK, OTHER, EVERYWHERE_6, LOOPBACK_6), 2)),
)
def test_who_meets_whom_on_a_port(one: Place, other: Place) -> None:
    """As Linux has it: an address is within everywhere, and everywhere of IPv6 within all."""
    assert one.meets(other) is (frozenset((one, other)) not in APART)
    assert other.meets(one) is one.meets(other)
    assert not one.meets(other._replace(port=81))


def test_a_free_port_meets_nobody() -> None:
    """Port 0 is another one each time."""
    assert not Place(0).meets(Place(0))


HAS_IT = "listens already; allowed: a port of its own"


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        (
            '[gateway]\nlisten = ["tcp:9", "tcp:9:interface=127.0.0.1"]',
            '[gateway] listen: found "tcp:9:interface=127.0.0.1", where [gateway] listen',
        ),
        (
            '[gateway]\nlisten = ["unix:/x", "unix:/y/../x:mode=600"]',
            '[gateway] listen: found "unix:/y/../x:mode=600", where [gateway] listen',
        ),
        (
            '[gateway]\nmetrics_listen = ["tcp:8080"]',
            '[gateway] metrics_listen: found "tcp:8080", where [gateway] listen',
        ),
        (
            '[gateway]\nlisten = ["tcp:8082"]',
            '[gateway] metrics_listen: found "tcp:8082:interface=127.0.0.1", where [gateway]'
            " listen",
        ),
        (
            '[functions.a]\ncommand = "a"\nmode = "http"\nport = 8082',
            "[functions.a] port: found 8082, where [gateway] metrics_listen",
        ),
        (
            '[gateway]\nlisten = ["systemd:domain=INET:index=0", "systemd:domain=INET:index=0"]',
            '[gateway] listen: found "systemd:domain=INET:index=0", where [gateway] listen',
        ),
    ],
)
def test_nothing_is_listened_on_twice(toml: str, told: str, mistakes: Mistakes) -> None:
    """Neither by two doors nor by a door and a function."""
    assert mistakes(toml) == [f"faas.toml: {told} {HAS_IT}"]


def test_nor_by_the_command_line() -> None:
    """It is the one that is named."""
    with pytest.raises(ConfigurationError) as caught:
        load(None, {}, listen=["tcp:9", "tcp:9", "tcp:x"])
    assert str(caught.value) == (
        f'--listen: found "tcp:x"; allowed: {TCP}\n--listen: found "tcp:9", where --listen {HAS_IT}'
    )
