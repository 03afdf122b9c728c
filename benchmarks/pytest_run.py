"""Runs of pytest that stop before their tests, and then run as many as they are asked to.

Two of them, with the plugin and without, take turns at short blocks of tests, as whole runs differ by more than what is
measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Self

from .clock import Sample
from .tree import PACKAGE, search_path

__all__ = ["Blocks", "entry_point", "private_state", "project", "run_once"]

STATE = "state"

# The plugin of a run: it runs blocks of tests, and reports what they took.
_BLOCKS = """
import gc, json, os, time

def pytest_runtestloop(session):
    ask, answer = (int(fd) for fd in os.environ["BENCHMARK_FDS"].split())
    items, at = session.items, 0
    with open(ask) as requests, open(answer, "w", buffering=1) as answers:
        print(len(items), file=answers)
        for request in requests:
            gc.collect()
            block = items[at:at + int(request)]
            wall, cpu = time.perf_counter(), time.process_time()
            for item in block:
                at += 1
                item.ihook.pytest_runtest_protocol(item=item, nextitem=items[at] if at < len(items) else None)
            taken = time.perf_counter() - wall, time.process_time() - cpu
            print(json.dumps([taken[0] / len(block), taken[1] / len(block)]), file=answers)
    return True
"""
# The plugin of a run as a whole: how many modules of ours it has imported.
_MODULES = """
import os, sys

def pytest_unconfigure():
    ours = [name for name in sys.modules if name.partition(".")[0] == "pytest_ipc"]
    os.write(int(os.environ["BENCHMARK_FDS"]), str(len(ours)).encode())
"""


def private_state(folder: Path) -> dict[str, str]:
    """Return the environment in which no ledger of another run is found."""
    return dict.fromkeys(("XDG_RUNTIME_DIR", "TMPDIR"), str(folder / STATE))


@cache
def entry_point() -> str:
    """Return the module of the plugin, which an older revision may have under another name."""
    definition = PACKAGE / "pyproject.toml"
    if definition.exists():
        found: str = tomllib.loads(definition.read_text())["project"]["entry-points"]["pytest11"]["ipc"]
        return found
    return metadata.entry_points(group="pytest11")["ipc"].value


@contextmanager
def project(source: str, files: int) -> Iterator[Path]:
    """A project of so many test files with the same *source*, and a directory for the state of its runs.

    With each option -p pytest searches all installed distributions, so a run without a plugin loads the empty one
    `nothing`.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "blocks.py").write_text(_BLOCKS)
        (folder / "modules.py").write_text(_MODULES)
        (folder / "nothing.py").write_text("")
        (folder / STATE).mkdir(0o700)
        for number in range(files):
            (folder / f"test_{number}.py").write_text(source)
        yield folder


class Blocks:
    """The way that runs tests in blocks, in a process that is replaced when it has no more tests."""

    def __init__(self, folder: Path, *arguments: str, inside: Sequence[str] = ()) -> None:
        """*inside* is a command that executes its arguments, after it has prepared what the run finds."""
        self._folder, self._arguments, self._inside = folder, arguments, inside
        self._running: subprocess.Popen[bytes] | None = None
        self._left = 0

    def __call__(self, tests: int) -> Sample:
        """Run that many tests, or as many as a process has. Return what one of them took."""
        if self._left == 0:
            self.close()
            self._start()
        tests = min(tests, self._left)
        self._left -= tests
        self._requests.write(f"{tests}\n")
        return Sample(*json.loads(self._answer()))

    def close(self) -> None:
        """End the process."""
        if self._running is not None:
            self._requests.close()
            self._answers.close()
            self._running.wait()
            self._running = None

    def _start(self) -> None:
        asked, ask = os.pipe()
        answers, answered = os.pipe()
        try:
            self._running = _start(self._folder, ["-p", "blocks", *self._arguments], (asked, answered), self._inside)
        finally:
            os.close(asked)
            os.close(answered)
        self._requests, self._answers = open(ask, "w", buffering=1), open(answers)
        self._left = int(self._answer())

    def _answer(self) -> str:
        if not (answer := self._answers.readline()):
            raise RuntimeError(f"pytest ended before its tests: pytest {' '.join(self._arguments)}")
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def run_once(folder: Path, *arguments: str, inside: Sequence[str] = ()) -> tuple[Sample, int]:
    """Run all tests. Return what the run took, and how many modules of ours it has imported."""
    reader, writer = os.pipe()
    begin = time.perf_counter()
    try:
        running = _start(folder, ["-p", "modules", *arguments], (writer,), inside)
    finally:
        os.close(writer)
    _, status, used = os.wait4(running.pid, 0)
    sample = Sample(time.perf_counter() - begin, used.ru_utime + used.ru_stime)
    running.returncode = os.waitstatus_to_exitcode(status)
    with open(reader) as answer:
        modules = answer.read()
    if running.returncode:
        raise RuntimeError(f"pytest ended with status {running.returncode}: pytest {' '.join(arguments)}")
    return sample, int(modules)


def _start(
    folder: Path, arguments: Sequence[str], fds: tuple[int, ...], inside: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*inside, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        stdout=subprocess.DEVNULL,
        cwd=folder,
        # As of installed packages, the bytecode is there.
        env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        | {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_ADDOPTS": "",
            **search_path(folder),
            **private_state(folder),
            "PYTHONHASHSEED": "0",
            "BENCHMARK_FDS": " ".join(map(str, fds)),
        },
        pass_fds=fds,
    )
