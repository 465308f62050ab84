"""What every test may rely on: skips are named, and none is taken for granted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

EXPECTED_SKIPS = Path(__file__).parent / "expected_skips.txt"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "later(feature): shows a sentence that only a coming feature makes true"
    )
    config.pluginmanager.register(_Skips())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in item.iter_markers("later"):
            item.add_marker(pytest.mark.skip(reason=f"comes with {mark.args[0]}"))


class _Skips:
    """Under CI, a skip that :file:`expected_skips.txt` does not list, test and reason, is a
    failure; so is a whole module that is skipped."""

    def __init__(self) -> None:
        self._unexpected: list[str] = []
        self._expected = {
            line
            for line in EXPECTED_SKIPS.read_text("utf-8").splitlines()
            if line and not line.startswith("#")
        }

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not hasattr(report, "wasxfail"):
            self._look_at(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._look_at(report)

    def _look_at(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            skip = f"{report.nodeid.removeprefix('tests/')}\t{reason}"
            if skip not in self._expected:
                self._unexpected.append(skip)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._unexpected and os.environ.get("CI"):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for skip in self._unexpected:
            terminalreporter.write_line(f"skipped, and not in {EXPECTED_SKIPS.name}: {skip}")
