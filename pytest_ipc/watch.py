"""What the plugin does about custody in a run: sweep at its start, name what a dead worker left, take SIGTERM for an interrupt."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest


class CustodyWatch:
    """The plugin object of the controller, or of a run without workers."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._left_by: dict[str, list[str]] = {}

    def pytest_sessionstart(self) -> None:
        """Sweep what runs before this one have left. Without a ledger in the home, it costs the look."""
        from .custody.home import HomeError, home_path

        home = home_path()
        try:
            if not any(name.endswith(".ledger") for name in os.listdir(home)):
                return
        except OSError:
            return
        from .custody.sweep import sweep

        try:
            done = sweep()
        except HomeError as error:
            self._told = [f"ipc: {error.strerror}: {error.filename}"]
            return
        self._told = [f"ipc: removed {line}" for line in done.removed]
        self._told += [f"ipc: left {line}" for line in (*done.left, *done.refused)]

    def pytest_report_header(self) -> list[str]:
        lines = list(self._told)
        try:
            os.close(os.pidfd_open(os.getpid()))
        except (OSError, AttributeError) as error:
            lines.append(
                f"ipc: no pidfd_open here ({getattr(error, 'strerror', error)}): the reaper asks 20 times a second"
            )
        return lines

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A worker has gone. If it died, its ledgers are swept here and now, so that its crash report can tell."""
        if not error:
            return
        from .custody.home import HomeError
        from .custody.sweep import sweep_worker

        try:
            done = sweep_worker(node.workerinput["testrunuid"], node.workerinput["workerid"])
        except HomeError as problem:
            self._left_by[node.workerinput["workerid"]] = [str(problem)]
            return
        self._left_by[node.workerinput["workerid"]] = done.removed + [f"{line} (left)" for line in done.left]

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, report: pytest.TestReport) -> None:
        """The crash report names what had to be removed after the worker."""
        for lines in self._left_by.values():
            if lines:
                report.sections.append(("left behind, and removed", "\n".join(lines)))
        self._left_by.clear()


class OrderlyStop:
    """SIGTERM as an interrupt from the keyboard: fixtures are torn down, what ran is reported."""

    def __init__(self) -> None:
        self._before = signal.signal(signal.SIGTERM, self._interrupt)

    def _interrupt(self, _signo: int, _frame: object) -> None:
        raise KeyboardInterrupt("SIGTERM")

    def pytest_unconfigure(self) -> None:
        signal.signal(signal.SIGTERM, self._before)
