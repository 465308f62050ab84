"""What the tests of the settings share."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from faasd_async.errors import ConfigurationError
from faasd_async.settings import Settings, load

Load = Callable[..., Settings]
Mistakes = Callable[..., list[str]]


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """``load_text(toml, environment)``: the settings of a file ``faas.toml`` in ``tmp_path``."""

    def load_it(toml: str, environment: Mapping[str, str] | None = None) -> Settings:
        path = tmp_path / "faas.toml"
        path.write_text(toml)
        return load(str(path), environment or {})

    return load_it


@pytest.fixture
def mistakes(load_text: Load, tmp_path: Path) -> Mistakes:
    """``mistakes(toml, environment)``: the lines of the error, the file's directory cut off."""

    def collect(toml: str, environment: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            load_text(toml, environment)
        return str(caught.value).replace(f"{tmp_path}/", "").split("\n")

    return collect
