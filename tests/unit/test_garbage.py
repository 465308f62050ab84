"""How often garbage is looked for."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from faasd_async.garbage import Scales

PROGRAM = """\
import gc
from faasd_async.garbage import Scales, look_less_often

kept = [[number] for number in range(1000)]
look_less_often()
assert gc.isenabled()
assert gc.get_freeze_count() > 1000, "what there was is looked at no more"

class Ring:
    freed = 0
    def __init__(self):
        self.me = self
    def __del__(self):
        Ring.freed += 1

passed = []
gc.callbacks.append(lambda phase, info: passed.append(phase))
pile = [[] for _ in range(10_000)]
assert not passed, "ten thousand objects are no reason to look"
for _ in range(50_000):
    Ring()
assert Ring.freed > 25_000, "rings are found all the same"
"""


def test_garbage_is_looked_for_less_often() -> None:
    """Seldom, not never; in a process of its own, for it is one collector for all."""
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)


def test_large_bodies_are_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Garbage is looked for once many MiB have come in large pieces; light bodies, however
    many, are nothing to it."""
    looked: list[bool] = []
    monkeypatch.setattr(gc, "collect", lambda: looked.append(True))
    scales = Scales()
    for _ in range(10_000):
        scales.weigh(100_000)
    assert looked == []
    for _ in range(9):
        scales.weigh(4 * 1024 * 1024)
    assert looked == [True]
