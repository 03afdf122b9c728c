"""Run the project of four tests in a pytest of its own, and judge what becomes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from pytest_ipc.kernel import Deadline, process_state, sysvipc_shm

# Each report of the controller, one a line; a plugin cannot hide it.
CONFTEST = """
import json, os

def pytest_runtest_logreport(report):
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    with open(os.environ["REPORTS"], "a") as file:
        file.write(json.dumps([report.nodeid, report.when, report.outcome, report.longreprtext]) + "\\n")
"""
PLUGINS = {entry.name for entry in entry_points(group="pytest11")}

Run = Callable[..., "Outcome"]


class Outcome:
    """The outcome of a run: its output, and the outcomes of each test by name and phase."""

    def __init__(self, done: subprocess.CompletedProcess[str], reports: Path, notes: Path) -> None:
        self.done = done
        self.output = done.stdout + done.stderr
        print(self.output)
        rows = [json.loads(line) for line in reports.read_text().splitlines()] if reports.exists() else []
        self.tests: Counter[tuple[str, str, str]] = Counter()
        self.last: dict[tuple[str, str], str] = {}
        self.texts: dict[tuple[str, str], str] = {}
        for nodeid, when, outcome, text in rows:
            name = nodeid.partition("::")[2].partition("[")[0]
            self.tests[name, when, outcome] += 1
            self.last[name, when], self.texts[name, when] = outcome, text
        self._notes = notes

    def is_right(self, times: int = 1) -> None:
        """Assert that each test has the outcome that it has without other plugins, *times* times."""
        self.ends_right()
        assert set(self.tests.values()) == {times}

    def ends_right(self) -> None:
        """Assert that the last run of each test has the outcome that it has without other plugins."""
        expected = {}
        for name in ("test_passes", "test_fails", "test_leaks", "test_child_crashes"):
            expected[name, "setup"] = "passed"
            expected[name, "call"] = "failed" if name == "test_fails" else "passed"
            expected[name, "teardown"] = "failed" if name in ("test_leaks", "test_child_crashes") else "passed"
        assert self.last == expected
        assert "planted failure" in self.texts["test_fails", "call"]
        assert "/dev/null" in self.texts["test_leaks", "teardown"]
        assert "was killed by SIGSEGV, and nobody has waited for it" in self.texts["test_child_crashes", "teardown"]

    def leaves_nothing(self, tests: int = 4) -> None:
        """Assert that the objects and processes of at least that many *tests* are gone."""
        rows = [list(map(int, line.split())) for line in self._notes.read_text().splitlines()]
        assert len(rows) >= tests, self.output
        for segment, pid in rows:
            assert segment not in {row.shmid for row in sysvipc_shm() or ()}, self.output
            assert Deadline(10).until(partial(_has_ended, pid)), self.output


def _has_ended(pid: int) -> bool:
    return process_state(pid) is None


@pytest.fixture
def beside(tmp_path: Path) -> Run:
    """Run the four tests with other *plugins*, by the names of their entry points, and with *arguments*."""

    def run(
        plugins: str = "",
        *arguments: str,
        python: tuple[str, ...] = (),
        source: str | None = None,
        env: dict[str, str] | None = None,
    ) -> Outcome:
        if missing := set(plugins.split()) - PLUGINS:
            if os.environ.get("IPC_ALL_PLUGINS"):
                pytest.fail(f"not installed: {', '.join(sorted(missing))}")
            pytest.skip(f"needs {', '.join(sorted(missing))}: tox -e beside")
        (tmp_path / "conftest.py").write_text(CONFTEST)
        (tmp_path / "test_four.py").write_text(source or (Path(__file__).parent / "four_tests.py").read_text())
        (tmp_path / "pytest.ini").write_text("[pytest]\nipc_leaks = error\n")
        reports, notes = tmp_path / "reports", tmp_path / "notes"
        loaded = [word for name in ("ipc", *plugins.split()) for word in ("-p", name)]
        done = subprocess.run(
            [sys.executable, *python, "-m", "pytest", *loaded, "-p", "no:cacheprovider", *arguments],
            cwd=tmp_path,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))},
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "REPORTS": str(reports),
                "NOTE": str(notes),
                **(env or {}),
            },
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return Outcome(done, reports, notes)

    return run
