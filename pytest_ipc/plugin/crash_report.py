"""Custody in a pytest run: sweep at its start, report leftovers of a dead worker, handle SIGTERM as an interrupt."""

from __future__ import annotations

from typing import Any

import pytest

from ..printable import plain
from ..unpatched import os, signal


class CustodyWatch:
    """The plugin object, registered when there are leftovers of earlier runs or of a dead worker to sweep."""

    def __init__(self) -> None:
        self._header: list[str] = []
        self._left_by: dict[str, list[str]] = {}
        self._swept = False

    def sweep(self) -> None:
        """Sweep the leftovers of earlier runs, once."""
        if self._swept:
            return
        self._swept = True
        from ..custody.state_dir import state_dir_path
        from ..custody.sweep import sweep

        try:
            done = sweep()
        except OSError as error:  # usually a StateDirError; a failed sweep must not stop this run
            self._header = [plain(f"ipc: {error.strerror}: {error.filename or state_dir_path()}")]
            return
        self._header = [f"ipc: removed {line}" for line in done.removed]
        self._header += [f"ipc: not removed: {line}" for line in (*done.left, *done.refused)]

    def pytest_report_header(self) -> list[str]:
        return self._header

    def worker_died(self, node: Any) -> None:
        """Sweep the ledgers of a pytest-xdist worker that has died."""
        from ..custody.sweep import sweep_worker

        worker = node.workerinput["workerid"]
        try:
            done = sweep_worker(node.workerinput["testrunuid"], worker)
        except OSError as problem:
            self._left_by[worker] = [plain(problem)]
            return
        self._left_by[worker] = done.removed + [f"{line} (not removed)" for line in (*done.left, *done.refused)]

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, report: pytest.TestReport) -> None:
        """Add the objects that were removed after the worker's death to the crash report."""
        worker = getattr(report, "node", None)
        lines = self._left_by.pop(worker.workerinput["workerid"], []) if worker else []
        if lines:
            report.sections.append(("leaked, and removed", "\n".join(lines)))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the leftovers of workers that died between two tests, for which there is no crash report."""
        for worker, lines in self._left_by.items():
            if lines:
                terminalreporter.section(f"leaked by {worker}, and removed")
                for line in lines:
                    terminalreporter.line(line)


class OrderlyStop:
    """Handle SIGTERM as an interrupt from the keyboard: tear fixtures down and report the tests that ran."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        try:
            self._before = signal.signal(signal.SIGTERM, self._interrupt)
        except ValueError:
            raise pytest.UsageError("ipc_sigterm=interrupt needs pytest to run in the main thread") from None

    def _interrupt(self, _signo: int, _frame: object) -> None:
        if os.getpid() == self._pid:
            raise KeyboardInterrupt("SIGTERM")
        # A forked child has inherited this handler: SIGTERM ends it, as without the option.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)

    def pytest_unconfigure(self) -> None:
        # None: the previous handler was not set by Python and cannot be restored; the default at least ends the
        # process.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if self._before is None else self._before)
