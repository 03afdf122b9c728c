"""SIGTERM and SIGHUP end a check as Ctrl-C does: a report of the judged clauses, and no temporary directory remains.

Python drops the KeyboardInterrupt of a handler that runs in a function of os.register_at_fork() or in a destructor. The
suite forks all the time, so raise_again() repeats a dropped one before the next clause.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

__all__ = ["Stop", "interrupted_by_signals", "raise_again"]

_Handler = Callable[[int, FrameType | None], Any] | signal.Handlers
_SIGNALS: dict[signal.Signals, _Handler] = {
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGINT: signal.default_int_handler,
}


@dataclass
class Stop:
    """The signal that interrupted the block: SIGINT unless a handler of this module was called."""

    signo: int = signal.SIGINT
    came: bool = False

    def handle(self, signo: int, _frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt for the first signal; ignore later ones but SIGINT, as the end is in progress."""
        if not self.came or signo == signal.SIGINT:
            self.came, self.signo = True, signo
            raise KeyboardInterrupt(signal.Signals(signo).name)


_current: Stop | None = None


@contextmanager
def interrupted_by_signals() -> Iterator[Stop]:
    """Raise KeyboardInterrupt in the block on SIGINT, SIGTERM and SIGHUP unless they are ignored or handled."""
    global _current
    stop, outer = Stop(), _current
    if outer is not None:
        yield outer
        return
    taken = [signo for signo, default in _SIGNALS.items() if signal.getsignal(signo) is default]
    for signo in taken:
        signal.signal(signo, stop.handle)
    _current = stop
    try:
        yield stop
    finally:
        _current = None
        for signo in taken:
            signal.signal(signo, _SIGNALS[signo])


def raise_again() -> None:
    """Raise the KeyboardInterrupt once more if a signal has come and the check goes on nevertheless."""
    if _current is not None and _current.came:
        raise KeyboardInterrupt(signal.Signals(_current.signo).name)


def _in_child() -> None:
    """Restore the dispositions of this process at its start, in a forked child that runs a clause."""
    for signo, default in _SIGNALS.items():
        if _current is not None and signal.getsignal(signo) == _current.handle:
            signal.signal(signo, default)


os.register_at_fork(after_in_child=_in_child)
