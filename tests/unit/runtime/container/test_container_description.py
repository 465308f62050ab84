"""What an engine is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from faasd_async.runtime.container.description import describe, digest, with_secrets
from faasd_async.settings import ContainerSettings, FunctionSettings

PLAIN = FunctionSettings(name="web", image="img", max_inflight=1, max_body_bytes=1)


def container(**settings: Any) -> FunctionSettings:
    return replace(PLAIN, container=ContainerSettings(**settings))


def test_a_plain_one() -> None:
    """It has no limits but those of files and processes, which every engine can give, and is
    published on a free port of loopback."""
    assert describe(PLAIN) == {
        "Image": "img",
        "Env": [],
        "Labels": {},
        "ExposedPorts": {"8080/tcp": {}},
        "HostConfig": {
            "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "ReadonlyRootfs": False,
            "RestartPolicy": {"Name": "no"},
            "Ulimits": [
                {"Name": "nofile", "Soft": 1024, "Hard": 1024},
                {"Name": "nproc", "Soft": 1000, "Hard": 1000},
            ],
        },
    }


def test_limits() -> None:
    """Memory is without swap, and processors are in billionths."""
    host = describe(container(memory_bytes=2**25, cpus=0.25))["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (2**25, 2**25, 250_000_000)


def test_a_read_only_one_can_write_to_tmp() -> None:
    host = describe(container(read_only=True))["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert set(host["Tmpfs"]) == {"/tmp"}


def test_variables() -> None:
    """What the watchdog is to run is one of them."""
    settings = container(environment={"B": "2=3", "A": "1"}, fprocess="cat -n", port=80)
    described = describe(settings)
    assert described["Env"] == ["A=1", "B=2=3", "fprocess=cat -n"]
    assert described["ExposedPorts"] == {"80/tcp": {}}


def test_secrets_are_mounted_read_only() -> None:
    """The rest stays as it is."""
    described = describe(PLAIN)
    [bind] = with_secrets(described, "/state/c")["HostConfig"]["Binds"]
    assert bind == "/state/c:/var/openfaas/secrets:ro,z"
    assert "Binds" not in described["HostConfig"]


@pytest.mark.parametrize(
    ("settings", "secrets"),
    [
        (container(memory_bytes=1), {"a": b"1"}),
        (replace(PLAIN, image="other"), {"a": b"1"}),
        (replace(PLAIN, labels={"a": "b"}), {"a": b"1"}),
        (PLAIN, {"a": b"2"}),
        (PLAIN, {"b": b"1"}),
        (PLAIN, {"a": b"", "b": b"1"}),
        (PLAIN, {}),
    ],
)
def test_another_container_has_another_digest(
    settings: FunctionSettings, secrets: dict[str, bytes]
) -> None:
    """One that differs in anything is not taken over."""
    assert digest(describe(settings), secrets) != digest(describe(PLAIN), {"a": b"1"})


def test_what_does_not_concern_the_container_makes_no_other() -> None:
    """A daemon with another time-out goes on with the container that there is."""
    other = replace(container(zero_after_seconds=5.0), timeout_seconds=3.0, max_inflight=9)
    assert digest(describe(other), {}) == digest(describe(PLAIN), {})
