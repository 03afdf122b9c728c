"""Report a skip of the plugin at the test, not at the plugin's own line."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from ..unpatched import os

_HERE = os.path.dirname(os.path.abspath(__file__))
_NAME = "ipc-skip-location"


def report_skips_at_tests(config: pytest.Config) -> None:
    """Register the hook once. Only runs that may skip for a reason of this plugin have it."""
    if not config.pluginmanager.has_plugin(_NAME):
        config.pluginmanager.register(_SkipLocation(), _NAME)


class _SkipLocation:
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.skipped and isinstance(report.longrepr, tuple) and os.path.dirname(report.longrepr[0]) == _HERE:
            path, line, _ = item.location
            report.longrepr = (path, (line or 0) + 1, report.longrepr[2])
        return report
