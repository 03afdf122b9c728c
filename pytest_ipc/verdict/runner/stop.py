"""SIGTERM and SIGHUP end a check as Ctrl-C does: a report of the judged clauses, and no temporary directory remains."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

__all__ = ["Stop", "interrupted_by_signals"]

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@dataclass
class Stop:
    """The signal that interrupted the block: SIGINT unless a handler of this module was called."""

    signo: int = signal.SIGINT
    came: bool = False

    def handle(self, signo: int, _frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt for the first signal; ignore later ones, because the end is in progress."""
        if not self.came:
            self.came, self.signo = True, signo
            raise KeyboardInterrupt(signal.Signals(signo).name)


_current: Stop | None = None


@contextmanager
def interrupted_by_signals() -> Iterator[Stop]:
    """Raise KeyboardInterrupt in the block on SIGTERM and SIGHUP, unless they are ignored or handled already."""
    global _current
    stop, outer = Stop(), _current
    if outer is not None:
        yield outer
        return
    taken = [signo for signo in _SIGNALS if signal.getsignal(signo) is signal.SIG_DFL]
    for signo in taken:
        signal.signal(signo, stop.handle)
    _current = stop
    try:
        yield stop
    finally:
        _current = None
        for signo in taken:
            signal.signal(signo, signal.SIG_DFL)


def _in_child() -> None:
    """Restore the dispositions of this process at its start, in a forked child that runs a clause."""
    for signo in _SIGNALS:
        if _current is not None and signal.getsignal(signo) == _current.handle:
            signal.signal(signo, signal.SIG_DFL)


os.register_at_fork(after_in_child=_in_child)
