"""At the end of a run: the number of injected and detected faults."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    injected = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if report.when == "call" and "test_fault_is_detected" in report.nodeid
    ]
    if injected:
        detected = sum(report.passed for report in injected)
        terminalreporter.line(f"{detected} of {len(injected)} faults were detected by every clause that names them")
