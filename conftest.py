# SPDX-License-Identifier: BSD-3-Clause
"""In CI a skipped test that tests/allowed_skips.txt does not list is a failure."""

from __future__ import annotations

import pytest

from tests.ci import skips

_skipped: set[str] = set()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.add(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _skipped.add(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if skips.strict() and exitstatus == 0 and skips.unexpected(_skipped):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if skips.strict():
        for name in skips.unexpected(_skipped):
            terminalreporter.write_line(f"skipped in CI, and not in tests/allowed_skips.txt: {name}", red=True)
