"""Deployments of images, as OpenFaaS' clients send them."""

from __future__ import annotations

import pytest

from faasd_async.errors import ConfigurationError
from faasd_async.settings.openfaas.deployment import FunctionDeployment, Resources
from faasd_async.settings.openfaas.limits import cpus, memory_bytes
from faasd_async.settings.openfaas.table import table_of


@pytest.mark.parametrize(
    ("text", "size"),
    [("128Mi", 128 * 2**20), ("128m", 128 * 2**20), ("1.5Gi", 3 * 2**29), ("64M", 64_000_000)],
)
def test_memory(text: str, size: int) -> None:
    """Kubernetes' units and Docker's."""
    assert memory_bytes(text) == size


@pytest.mark.parametrize(("text", "count"), [("100m", 0.1), ("2", 2.0), ("0.5", 0.5)])
def test_processors(text: str, count: float) -> None:
    """Whole, in parts, and in thousandths."""
    assert cpus(text) == count


@pytest.mark.parametrize("text", ["", "Mi", "12 Mi", "12Xi", "-1", "1e9", "٣Mi"])
def test_no_limit(text: str) -> None:
    """The text says what was found."""
    for read in (memory_bytes, cpus):
        with pytest.raises(ConfigurationError, match="found"):
            read(text)


def test_what_an_image_has() -> None:
    """Each field in the file's own words."""
    deployment = FunctionDeployment(
        service="f",
        image="registry/f:1",
        env_process="cat",
        env_vars={"A": "b"},
        limits=Resources(memory="64Mi", cpu="250m"),
        read_only_root_filesystem=True,
    )
    assert table_of(deployment) == {
        "image": "registry/f:1",
        "environment": {"A": "b"},
        "read_only": True,
        "fprocess": "cat",
        "memory": 64 * 2**20,
        "cpus": 0.25,
        "labels": {},
        "annotations": {},
    }
