"""What was recorded on the wire is there to be held against."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent

RECORDINGS = sorted(path.name for path in (TESTS / "recorded").iterdir() if path.suffix != ".md")


@pytest.mark.parametrize("recording", RECORDINGS)
def test_each_recording_is_read_by_a_test(recording: str) -> None:
    """By its name, in a test or what a test stands on."""
    readers = [path for path in TESTS.rglob("*.py") if f'"{recording}"' in path.read_text("utf-8")]
    assert readers


def test_each_recording_is_described() -> None:
    """In the list beside them."""
    described = (TESTS / "recorded" / "README.md").read_text("utf-8")
    missing = [
        name for name in RECORDINGS if name not in described and not name.startswith("callback-")
    ]
    assert missing == []
