"""A run that is killed at any system call from the first intent to the last release leaks nothing within a second.

The run creates and removes an object of every kind, once in a scope and once in a test of pytest. Its calls are
counted, and it is run again for each of them and killed by a tracer when it enters the call. Such a run cannot report
its objects, so they are found by their size, their folder or their processes' folder. Some hundred evenly distributed
points are tried here; --every-call tries each one (`tox -e every-call`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from . import tracer

ROOT = Path(__file__).parents[2]
PARTS = 4  # of each sweep, for several processes to share
SAMPLE = 240  # points of both sweeps together, at least


def kill_at(root: Path, how: str, *points: int) -> list[dict[str, object]]:
    """Try *points* with runs of the kind *how*; what the program says of each."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV", "XDG"))}
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "tests.custody.every_call", str(root), how, *map(str, points)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def _traceable():
    pid = os.fork()
    if pid == 0:
        try:
            tracer.begin()
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    if refused := tracer.follow(pid).status:
        pytest.skip(f"ptrace is refused here: {os.strerror(refused)}")


@pytest.mark.timeout(7200)  # with --every-call; the sample takes a minute
@pytest.mark.usefixtures("_traceable")
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("how", ["scope", "pytest"])
def test_process_killed_at_any_call_leaks_nothing(tmp_path, pytestconfig, record_property, how, part):
    [whole] = kill_at(tmp_path, how, 0)
    assert whole["left"] == {}
    calls = int(str(whole["calls"]))
    assert calls > 500, "the run makes and removes everything"
    step = 1 if pytestconfig.getoption("--every-call") else calls * 2 // SAMPLE
    # Some more than were counted: where it waits, it asks more often one time than another.
    reported = kill_at(tmp_path, how, *range(1 + part * step, calls + calls // 10, PARTS * step))
    record_property("points", len(reported))
    record_property("slowest", max(float(str(point["seconds"])) for point in reported))
    assert [point for point in reported if point["left"]] == []
    assert sum(point["at"] is not None for point in reported) > len(reported) // 2, "most of them were killed"


@pytest.mark.usefixtures("_traceable")
@pytest.mark.parametrize("point", [1, 2, 3, None])
def test_the_tracer_kills_before_the_call_and_after_all_that_came_earlier(tmp_path, point):
    pid = os.fork()
    if pid == 0:
        tracer.begin()
        for name in "abc":
            os.mkdir(tmp_path / name)
        os._exit(0)
    traced = tracer.follow(pid, point)
    assert (traced.status, traced.calls) == ((-9, point) if point else (0, 4))
    assert sorted(os.listdir(tmp_path)) == list("abc")[: point - 1 if point else 3]
