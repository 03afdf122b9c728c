"""Rows of a project that does not use the plugin: an empty test, and the start of a run.

Each way is a run of pytest of its own, which reports the CPU time of collecting and running its tests, or of all of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest_ipc

from .clock import Sample, Way
from .row import Goal, Row, Unit

__all__ = ["ROWS", "entry_point"]

TESTS = 500  # of a file
FILES = 4
SOURCES = {
    "function": "".join(f"def test_{number}(): pass\n" for number in range(TESTS)),
    "unittest": "import unittest\nclass TestIt(unittest.TestCase):\n"
    + "".join(f"    def test_{number}(self): pass\n" for number in range(TESTS)),
    "fixture": "import pytest\n@pytest.fixture\ndef value(): return 1\n"
    + "".join(f"def test_{number}(value): pass\n" for number in range(TESTS)),
}
# A plugin of the run: what collection and tests take, and how many modules of ours are imported at the end.
_REPORT = """
import json, os, sys, time
import pytest

taken = [0.0, 0.0]

def measured():
    begin = time.perf_counter(), time.process_time()
    result = yield
    taken[0] += time.perf_counter() - begin[0]
    taken[1] += time.process_time() - begin[1]
    return result

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection():
    return (yield from measured())

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop():
    return (yield from measured())

def pytest_unconfigure():
    ours = [name for name in sys.modules if name.partition(".")[0] == "pytest_ipc"]
    with open(os.environ["BENCHMARK_REPORT"], "w") as file:
        json.dump([*taken, len(ours)], file)
"""


@cache
def entry_point() -> str:
    """Return the module of the plugin, which an older revision may have under another name."""
    project = Path(pytest_ipc.__file__).parents[1] / "pyproject.toml"
    if project.exists():
        found: str = tomllib.loads(project.read_text())["project"]["entry-points"]["pytest11"]["ipc"]
        return found
    return metadata.entry_points(group="pytest11")["ipc"].value


@contextmanager
def project(source: str, files: int) -> Iterator[Path]:
    """A project of so many test files with the same *source*."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "report.py").write_text(_REPORT)
        for number in range(files):
            (folder / f"test_{number}.py").write_text(source)
        yield folder


def run(folder: Path, plugins: Sequence[str], *files: str) -> tuple[Sample, Sample, int]:
    """Run pytest. Return what all of it took, what collection and tests took, and how many modules of ours it has."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "report", *files]
    for plugin in plugins:
        command += ["-p", plugin]
    report = folder / "report.json"
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "",
        "PYTHONPATH": path,
        "BENCHMARK_REPORT": str(report),
    }
    begin = time.perf_counter()
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder, env=environment)
    _, status, used = os.wait4(running.pid, 0)
    whole = Sample(time.perf_counter() - begin, used.ru_utime + used.ru_stime)
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        raise RuntimeError(f"pytest ended with status {running.returncode}: {' '.join(command)}")
    wall, cpu, modules = json.loads(report.read_text())
    return whole, Sample(wall, cpu), modules


@contextmanager
def empty_tests(kind: str) -> Iterator[Mapping[str, Way]]:
    """Tests that do nothing; one loop is a file of them."""
    with project(SOURCES[kind], FILES) as folder:

        def way(plugins: Sequence[str]) -> Way:
            def per_test(files: int) -> Sample:
                _, tests, _ = run(folder, plugins, *(f"test_{number}.py" for number in range(files)))
                return Sample(tests.wall / (TESTS * files), tests.cpu / (TESTS * files))

            return per_test

        yield {"ours": way([entry_point()]), "peer": way([])}


@contextmanager
def start_up() -> Iterator[Mapping[str, Way]]:
    """A run of one test, with this plugin, with none, with another one."""
    with project("def test_one(): pass\n", 1) as folder:

        def way(plugins: Sequence[str]) -> Way:
            return lambda _loops: run(folder, plugins)[0]

        yield {"ours": way([entry_point()]), "peer": way([]), "pytest-timeout": way(["pytest_timeout"])}


@contextmanager
def modules() -> Iterator[Mapping[str, Way]]:
    """How many modules of ours a run imports that does not use them."""
    with project("def test_one(): pass\n", 1) as folder:

        def ours(_loops: int) -> Sample:
            _, _, number = run(folder, [entry_point()])
            return Sample(number, number)

        yield {"ours": ours}


ROWS = (
    *(
        Row(
            f"empty-{kind}",
            f"an empty test, plugin unused: {kind}",
            "pytest alone",
            Goal("ratio", 1.01),
            lambda kind=kind: empty_tests(kind),  # type: ignore[misc] # the variable's value now
            clock="cpu",
            loops=FILES,
        )
        for kind in SOURCES
    ),
    Row(
        "start-up",
        "start-up of a run, plugin unused",
        "pytest alone",
        Goal("difference", 2),
        start_up,
        clock="cpu",
        unit=Unit("ms", 1e3),
        loops=1,
    ),
    Row(
        "start-up-modules",
        "modules of ours in a run that does not use them",
        "",
        Goal("value", 8),
        modules,
        unit=Unit("", 1, of="integer"),
        loops=1,
    ),
)
