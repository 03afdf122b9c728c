"""A tear-down that an exception interrupts at any instruction loses no object: it is removed or stays on record.

The exception is what a signal's handler may raise: a second Ctrl-C, the outcome by which pytest-timeout fails a test, a
bare TimeoutError, or the MemoryError of a process at its limit. Some points of each tear-down are tried here, evenly
spread; --every-call tries each one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ipc import Scope
from pytest_ipc.custody.cleanup import finish
from pytest_ipc.custody.kinds import KINDS

from .interrupting import EXCEPTIONS, MAKERS, ONE_EACH

ROOT = Path(__file__).parents[2]
CASES = [(maker, "KeyboardInterrupt") for maker in ONE_EACH] + [("several", exception) for exception in EXCEPTIONS]


@pytest.mark.timeout(3600)  # with --every-call
@pytest.mark.parametrize(("maker", "exception"), CASES)
def test_teardown_interrupted_anywhere_loses_nothing(runtime, pytestconfig, record_property, maker, exception):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    command = [sys.executable, "-m", "tests.custody.interrupting", maker, exception]
    if not pytestconfig.getoption("--every-call"):
        command += ["40" if maker == "process" else "150"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    record_property("points", found["points"])
    assert found["wrong"] == []
    assert found["open"] == [], "what is gone is on record no more"
    assert os.listdir(runtime / "pytest-ipc") == []


def test_every_kind_is_interrupted():
    assert ONE_EACH.keys() == KINDS.keys()
    assert ONE_EACH.items() < MAKERS.items()


class Steps:
    """Steps that raise what they are given, the first time or always, and note that they ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def step(self, name: str, *failures: BaseException):
        rest = list(failures)

        def run() -> None:
            self.ran.append(name)
            if rest:
                raise rest.pop(0)

        return run


def test_a_step_that_is_interrupted_runs_again_and_one_that_fails_does_not():
    steps = Steps()
    interrupt, failure = KeyboardInterrupt(), OSError(1, "not permitted")
    with pytest.raises(KeyboardInterrupt) as caught:
        finish(steps.step("a", interrupt), steps.step("b", failure), steps.step("c"))
    assert steps.ran == ["a", "a", "b", "c"]
    assert caught.value is interrupt
    assert isinstance(caught.value.__cause__, BaseExceptionGroup)
    assert caught.value.__cause__.exceptions == (failure,)


def test_a_bare_timeout_error_is_an_interrupt():
    """As the handler of an alarm raises it: an OSError without an errno comes from no system call."""
    steps = Steps()
    with pytest.raises(TimeoutError, match="time is up"):
        finish(steps.step("a", TimeoutError("time is up")), steps.step("b"))
    assert steps.ran == ["a", "a", "b"]


def test_scope_interrupted_repeatedly_ends():
    class Stubborn:
        def __init__(self) -> None:
            self.tries = 0

        def close(self) -> None:
            self.tries += 1
            raise KeyboardInterrupt

    scope, thing = Scope(), Stubborn()
    scope.own(thing)
    with pytest.raises(KeyboardInterrupt):
        scope.close()
    assert (thing.tries, scope.owned()) == (2, [])
