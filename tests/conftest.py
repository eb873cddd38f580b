"""Fixtures shared by all tests, and the rule that nothing is skipped in silence."""

from __future__ import annotations

import os

import pytest

pytest_plugins = [
    "tests.fixtures.aws",
    "tests.fixtures.control_plane",
    "tests.fixtures.operator",
    "tests.fixtures.remediation_stage",
    "tests.fixtures.quarantined",
    "tests.fixtures.shared_operator",
]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the very end what this machine could not run; with CI=true that is a failure (see below)."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.section("NOT RUN ON THIS MACHINE", sep="!", red=True, bold=True)
        for report in skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            terminalreporter.write_line(f"{report.nodeid}: {reason}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With CI=true a skipped test fails the run: CI's machine has to be able to run everything."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter and reporter.stats.get("skipped") and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
