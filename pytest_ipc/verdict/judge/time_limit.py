"""The time limit of a clause, through pytest-timeout's hooks: a test that exceeds it times out, even if it catches it.

The exception is a BaseException, as Hypothesis would take an Exception for a difference, try it again and call it
flaky. The expiry is also noted with the test, so that its verdict does not depend on the exception. (pytest-timeout's
own handler writes to pytest's terminal, which a check does not have.)
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

__all__ = ["TimeUp", "TooSlow", "cancel", "passed", "phase", "start", "time_limit_passed"]

# Seconds until the exception is raised again, if it was caught and the test hangs again; and between two phases, where
# it would end pytest itself, until the next attempt.
_AGAIN, _SOON = 10.0, 0.05

_PASSED = pytest.StashKey[float]()
_STARTED = pytest.StashKey[bool]()

_phase = ""
_passed: float | None = None


class TimeUp(BaseException):
    """A clause did not end within its time limit, *seconds*."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f"it did not end within {self.seconds:g} s"


class TooSlow(Exception):
    """A test exceeded its time limit although nothing hangs: this machine is too slow for the amount of work."""


def start(item: pytest.Item, settings: Any) -> bool | None:
    """Start the timer of a clause's test, with pytest-timeout's settings. None leaves it to pytest-timeout's timer."""
    global _passed
    _passed = None
    if settings.method != "signal" or threading.current_thread() is not threading.main_thread():
        return None
    maker = os.getpid()

    def handle(signo: int, _frame: FrameType | None) -> None:
        global _passed
        if os.getpid() != maker:  # a child, whose alarm is its own
            signal.signal(signo, signal.SIG_DFL)
            os.kill(os.getpid(), signo)
        elif _is_debugged():
            return
        elif not _phase:
            signal.setitimer(signal.ITIMER_REAL, _SOON, _AGAIN)
        else:
            item.stash[_PASSED] = _passed = settings.timeout
            if _phase == "call":
                raise TimeUp(settings.timeout)
            raise pytest.fail.Exception(
                str(TimeUp(settings.timeout))
            )  # pytest still sets up and tears down other fixtures

    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout, _AGAIN)
    item.stash[_STARTED] = True
    return True


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Run a phase of a clause's test; the exception is raised only in a phase."""
    global _phase
    _phase = name
    try:
        yield
    finally:
        _phase = ""


def cancel(item: pytest.Item) -> bool | None:
    """Stop the timer of start(). None if there is none."""
    if not item.stash.get(_STARTED, False):
        return None
    item.stash[_STARTED] = False
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    return True


def passed(item: pytest.Item) -> float | None:
    """Return the time limit that the test exceeded, in seconds; None if it has not."""
    return item.stash.get(_PASSED, None)


def time_limit_passed() -> float | None:
    """Return the time limit that the current test exceeded, in seconds; None if it has not."""
    return _passed


def _is_debugged() -> bool:
    from pytest_timeout import is_debugging

    return bool(is_debugging())
