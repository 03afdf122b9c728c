"""At the end of a run: how many lies were told and caught."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if report.when == "call" and "test_a_lie_is_caught" in report.nodeid
    ]
    if told:
        caught = sum(report.passed for report in told)
        terminalreporter.line(f"{caught} of {len(told)} lies were caught by every clause that names them")
