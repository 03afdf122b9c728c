"""What the plugin does about custody in a run: sweep at its start, name what a dead worker left, take SIGTERM for an interrupt."""

from __future__ import annotations

from typing import Any

import pytest

from .unpatched import os, signal


class CustodyWatch:
    """The plugin object of the controller, or of a run without workers."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._left_by: dict[str, list[str]] = {}
        self._swept = False

    def pytest_sessionstart(self) -> None:
        """Sweep what runs before this one have left, unless that has been done."""
        if not self._swept:
            self.sweep()

    def sweep(self) -> None:
        """Sweep what runs before this one have left. Without a ledger in the home, it costs the look."""
        self._swept = True
        from .custody.home import home_path

        try:
            home = home_path()
            if not any(name.endswith(".ledger") for name in os.listdir(home)):
                return
        except OSError:
            return
        from .custody.sweep import sweep

        try:
            done = sweep()
        except OSError as error:  # a HomeError, mostly; and nothing that goes wrong with the past may stop this run
            self._told = [f"ipc: {error.strerror}: {error.filename or home}"]
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
        from .custody.sweep import sweep_worker

        worker = node.workerinput["workerid"]
        try:
            done = sweep_worker(node.workerinput["testrunuid"], worker)
        except OSError as problem:
            self._left_by[worker] = [str(problem)]
            return
        self._left_by[worker] = done.removed + [f"{line} (left)" for line in (*done.left, *done.refused)]

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, report: pytest.TestReport) -> None:
        """The crash report names what had to be removed after the worker."""
        worker = getattr(report, "node", None)
        lines = self._left_by.pop(worker.workerinput["workerid"], []) if worker else []
        if lines:
            report.sections.append(("left behind, and removed", "\n".join(lines)))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """What a worker left that died between two tests is in no crash report."""
        for worker, lines in self._left_by.items():
            if lines:
                terminalreporter.section(f"left behind by {worker}, and removed")
                for line in lines:
                    terminalreporter.line(line)


class OrderlyStop:
    """SIGTERM as an interrupt from the keyboard: fixtures are torn down, what ran is reported."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        try:
            self._before = signal.signal(signal.SIGTERM, self._interrupt)
        except ValueError:
            raise pytest.UsageError("ipc_sigterm=interrupt needs pytest to run in the main thread") from None

    def _interrupt(self, _signo: int, _frame: object) -> None:
        if os.getpid() == self._pid:
            raise KeyboardInterrupt("SIGTERM")
        # A forked child has inherited this: to it SIGTERM is what it would be without the option.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)

    def pytest_unconfigure(self) -> None:
        # None: the handler before was not Python's. It cannot be put back, and the default ends the process at least.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if self._before is None else self._before)
