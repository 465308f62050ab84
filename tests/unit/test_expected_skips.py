"""The rule about skips, tried on a small set of tests of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SKIPS = {
    "a mark": "@pytest.mark.skip(reason='no sun')\ndef test_it(): pass\n",
    "the test": "def test_it(): pytest.skip('no sun')\n",
    "its module": "pytest.skip('no sun', allow_module_level=True)\n",
    "a feature": "@pytest.mark.later('no sun')\ndef test_it(): pass\n",
}


@pytest.mark.parametrize(
    ("by", "listed", "ci", "failing"),
    [
        ("a mark", "", "true", True),
        ("the test", "", "true", True),
        ("its module", "", "true", True),
        ("a feature", "", "true", True),
        ("a feature", "test_small.py::test_it\tcomes with no sun\n", "true", False),
        ("a mark", "test_small.py::test_it\tno sun\n", "true", False),
        ("a mark", "test_small.py::test_it\tno moon\n", "true", True),
        ("a mark", "", "", False),
    ],
)
def test_a_skip_that_is_not_listed_fails_the_run_under_ci(
    tmp_path: Path, by: str, listed: str, ci: str, failing: bool
) -> None:
    """Its name and reason are shown in any case."""
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "expected_skips.txt").write_text(listed)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_small.py").write_text(f"import pytest\n{SKIPS[by]}\ndef test_other(): pass\n")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"],
        cwd=tmp_path,
        env={**os.environ, "CI": ci, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    named = "skipped, and not in expected_skips.txt: test_small.py" in run.stdout
    assert (run.returncode != 0) == failing, run.stdout
    assert named == (failing or not listed)
