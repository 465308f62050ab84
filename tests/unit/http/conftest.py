"""Fixtures of the HTTP client's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from memory_host import Setting


@pytest.fixture
def setting() -> Iterator[Setting]:
    setting = Setting()
    yield setting
    setting.pool.close()
    for each in setting.host.peers:
        each.hang_up()
    while setting.host.connecting:
        setting.host.refuse()
    assert len(setting.pool) == 0
    assert len(setting.wheel) == 0
    assert not setting.clock.getDelayedCalls()
