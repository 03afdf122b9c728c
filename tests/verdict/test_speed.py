"""Deadlines grow with what the platform is measured to be slower by, and a verdict says so."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_ipc.kernel import Deadline
from pytest_ipc.kernel.waiting import patience, set_patience
from pytest_ipc.verdict import suite
from pytest_ipc.verdict.judge.outcome import _observed
from pytest_ipc.verdict.runner import speed


@pytest.fixture(autouse=True)
def measured_anew():
    speed.slowness.cache_clear()
    yield
    speed.slowness.cache_clear()
    set_patience(1.0)


@pytest.mark.parametrize(
    ("fork", "loop", "factor"),
    [(0.001, 0.001, 1.0), (0.02, 0.001, 4.0), (0.001, 0.05, 5.0), (0.02, 0.05, 5.0), (9.0, 9.0, 20.0), (0.0, 0.0, 1.0)],
)
def test_factor_is_the_larger_one_and_bounded(monkeypatch, fork, loop, factor):
    monkeypatch.setattr(speed, "_fork", lambda: fork)
    monkeypatch.setattr(speed, "_loop", lambda: loop)
    assert speed.slowness() == pytest.approx(factor)


def test_measurement_takes_the_time_of_some_forks_and_leaves_no_child():
    assert 0 < speed._fork() < 60
    assert 0 < speed._loop() < 60
    assert 1.0 <= speed.slowness() <= 20.0


def test_deadline_is_longer_by_the_factor(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("pytest_ipc.kernel.waiting.time.monotonic", lambda: now[0])
    set_patience(3.0)
    assert patience() == 3.0
    deadline = Deadline(5)
    now[0] = 114.9
    assert not deadline.passed
    now[0] = 115.0
    assert deadline.passed
    assert Deadline(None).left == float("inf")


def test_time_out_says_how_much_longer_deadlines_are():
    late = TimeoutError("<child 7> did not end within 5 s; it was asleep")
    assert _observed(late) == "<child 7> did not end within 5 s; it was asleep"
    set_patience(8.0)
    assert _observed(late).endswith("; deadlines are 8.0 times as long on this platform")
    assert _observed(AssertionError("1")) == "1"


SLOW = """
import sys
from pytest_ipc.verdict import suite
from pytest_ipc.verdict.runner import run, speed
seen = []
speed._fork, speed._loop = lambda: 0.03, lambda: 0.0
root = suite.location()
__import__(f"{root.name}.conftest")
wanted = suite.select(suite.clauses(root), ["shmdt.einval-unaligned"])

class Patience:
    def pytest_runtest_call(self):
        from pytest_ipc.kernel.waiting import patience
        seen.append(patience())

def main(arguments, plugins):
    seen.append([word for word in arguments if word.startswith("--timeout")])
    return before(arguments, [*plugins, Patience()])

before, run.pytest.main = run.pytest.main, main
run.run(root, wanted, lambda *told: None)
print(seen)
"""


def test_suite_waits_longer_where_the_platform_is_slow():
    root = suite.location().parent
    done = subprocess.run(
        [sys.executable, "-c", SLOW], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[['--timeout=360.0'], 6.0]"
