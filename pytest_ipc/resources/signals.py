"""Signal dispositions, mask and timers, changed for a while and then restored.

SIGALRM with a running interval timer is usually pytest-timeout's time limit. Replacing its handler would silently
disable the limit, so it must be requested.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial
from math import isfinite
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from ..custody.cleanup import finish
from ..kernel.libc import errno_kept
from ..kernel.recorded import signal
from ..kernel.signalfds import SFD_CLOEXEC
from ..kernel.signals import SigInfo, sigaction_change, sigpending, sigqueue, sigtimedwait
from ..kernel.waiting import Deadline
from ..resource import DEFAULT, Resource, Timeout, check_timeout, timed_out
from ..unpatched import time
from .altstack import AlternateStack
from .signal_state import UNTOUCHABLE, SignalState
from .signalfd import SignalFd, signal_name, signal_state
from .timers import SignalTimer

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["Caught", "Signals"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

Handler = Callable[[int, FrameType | None], Any]

Made = TypeVar("Made", bound=Resource)


class Caught:
    """The deliveries of one signal since it was caught: `received` holds its number once for each."""

    def __init__(self, signo: int, handler: Handler | None) -> None:
        self.signo = signo
        self.received: list[int] = []
        self._handler = handler

    def __repr__(self) -> str:
        return f"<{signal_name(self.signo)} caught {self.count} times>"

    @property
    def count(self) -> int:
        """The number of handled deliveries."""
        return len(self.received)

    def wait(self, count: int = 1, *, timeout: Timeout = DEFAULT) -> None:
        """Wait until the signal has been handled *count* times in all. Raises TimeoutError after *timeout* seconds."""
        seconds = check_timeout(timeout)
        if not Deadline(seconds).until(lambda: self.count >= count):
            what = f"{signal_name(self.signo)} to be handled {count} times"
            raise timed_out(seconds, what, lambda: f"it was handled {self.count} times")

    def __call__(self, signo: int, frame: FrameType | None) -> None:
        with errno_kept():  # see kernel.libc: a handler must not change the errno of the interrupted call
            self.received.append(signo)
            if self._handler is not None:
                self._handler(signo, frame)


class Signals(Resource):
    """Changes of this process's signal state that last until the block or scope ends (signal(7), sigaction(2))."""

    def __init__(self, scope: Scope | None = None) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("signals can only be handled in the main thread of the main interpreter")
        self._state = SignalState()
        self._made: list[Resource] = []
        self._displaced = False
        self._own_alarm = False
        super().__init__(scope)

    @classmethod
    def create(cls, *, scope: Scope | None = None) -> Signals:
        """Save the signal state, which is restored at the end. Raises RuntimeError outside the main thread."""
        return cls(scope)

    def __repr__(self) -> str:
        return "<Signals>"

    def catch(
        self,
        signo: int,
        handler: Handler | None = None,
        *,
        flags: int = 0,
        mask: Iterable[int] = (),
        displace: bool = False,
    ) -> Caught:
        """Handle *signo* with exactly these *flags* (SA_RESTART, …) and *mask* (sigaction(2)).

        The returned Caught counts the deliveries. *handler* is called too, if given, possibly with a delay: Python runs
        it between two of its instructions. Raises ValueError for a signal that cannot be caught, and without *displace*
        for SIGALRM while an interval timer runs.
        """
        caught = Caught(self._check(signo, displace), handler)
        signal.signal(signo, caught)
        sigaction_change(signo, flags, mask)
        return caught

    def ignore(self, signo: int, *, displace: bool = False) -> None:
        """Ignore *signo* (sigaction(2), SIG_IGN). Raises ValueError as catch() does."""
        signal.signal(self._check(signo, displace), signal.SIG_IGN)

    def default(self, signo: int, *, displace: bool = False) -> None:
        """Reset *signo* to its default action (sigaction(2), SIG_DFL). Raises ValueError as catch() does."""
        signal.signal(self._check(signo, displace), signal.SIG_DFL)

    def block(self, *signals: int, displace: bool = False) -> frozenset[int]:
        """Add *signals* to the mask of this thread and return the old mask (sigprocmask(2)).

        Each thread has its own mask. In a process with another thread, such as a pytest-xdist worker, a signal is
        delivered to that thread, which does not block it: block and wait in a child of `fork`, which has one thread.
        Raises ValueError as catch() does.
        """
        for signo in signals:
            self._check(signo, displace)
        return frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, signals))

    def unblock(self, *signals: int) -> frozenset[int]:
        """Remove *signals* from the mask of this thread and return the old mask (sigprocmask(2))."""
        self._usable()
        return frozenset(signal.pthread_sigmask(signal.SIG_UNBLOCK, signals))

    def pending(self) -> frozenset[int]:
        """Return the blocked signals that are pending (sigpending(2))."""
        self._usable()
        return sigpending()

    def queue(self, pid: int, signo: int, value: int = 0) -> None:
        """Send *signo* with an integer *value* (sigqueue(3)). OSError (EAGAIN at RLIMIT_SIGPENDING, ESRCH, EPERM)."""
        self._usable()
        sigqueue(pid, signo, value)

    def wait(self, *signals: int, timeout: Timeout = DEFAULT) -> SigInfo:
        """Wait for one of *signals*, which should be blocked, and return its sender and value (sigtimedwait(2)).

        Raises TimeoutError after *timeout* seconds.
        """
        self._usable()
        seconds = check_timeout(timeout)
        deadline = Deadline(seconds)
        while True:
            try:
                return sigtimedwait(signals, deadline.left if isfinite(deadline.left) else None)
            except InterruptedError:
                continue  # the handler of another signal ran
            except BlockingIOError:
                what = f"one of {', '.join(map(signal_name, signals))}"
                raise timed_out(seconds, what, partial(signal_state, frozenset(signals))) from None

    def itimer(
        self, seconds: float, interval: float = 0, *, which: int = signal.ITIMER_REAL, displace: bool = False
    ) -> None:
        """Send SIGALRM in *seconds*, and every *interval* seconds after that; 0 stops the timer (setitimer(2)).

        *which* may be ITIMER_VIRTUAL or ITIMER_PROF, for SIGVTALRM or SIGPROF by CPU time. Raises ValueError for a
        negative time, and without *displace* while a foreign ITIMER_REAL runs.
        """
        if which == signal.ITIMER_REAL:
            self._check(signal.SIGALRM, displace)
        self._usable()
        if not (isfinite(seconds) and isfinite(interval) and min(seconds, interval) >= 0):
            raise ValueError(
                f"seconds and interval of a timer must be non-negative numbers, not {seconds!r} and {interval!r}"
            )
        signal.setitimer(which, seconds, interval)
        self._own_alarm = self._own_alarm or which == signal.ITIMER_REAL

    def timer(
        self,
        signo: int | None = None,
        *,
        clock: int = time.CLOCK_MONOTONIC,
        value: int = 0,
        thread: int | None = None,
    ) -> SignalTimer:
        """Create a timer that sends *signo* with an integer *value*, or none; deleted at the end (timer_create(2)).

        With *thread*, a thread id, the signal is for that thread only (SIGEV_THREAD_ID). Raises ValueError for an
        invalid signal; OSError (EINVAL for an unknown clock, EAGAIN at RLIMIT_SIGPENDING).
        """
        self._usable()
        if signo is not None and signo not in signal.valid_signals():
            raise _not_a_signal(signo)
        return self._own(SignalTimer.create(signo, clock=clock, value=value, thread=thread))

    def alternate_stack(self, size: int = 1 << 16, *, flags: int = 0) -> AlternateStack:
        """Set a stack for this thread's handlers with SA_ONSTACK; the old one is restored at the end (sigaltstack(2)).

        Raises OSError.
        """
        self._usable()
        return self._own(AlternateStack.create(size, flags=flags))

    def fd(self, *signals: int, flags: int = SFD_CLOEXEC, displace: bool = False) -> SignalFd:
        """Block *signals* and create a descriptor to read them, closed at the end (signalfd(2)).

        Raises ValueError as catch() does; OSError.
        """
        self.block(*signals, displace=displace)
        return self._own(SignalFd.create(signals, flags=flags))

    def descriptors(self) -> list[int]:
        """Return the descriptors from which signals are read."""
        return [fd for made in self._made for fd in made.descriptors()]

    def _own(self, made: Made) -> Made:
        self._made.append(made)
        return made

    def _check(self, signo: int, displace: bool) -> int:
        self._usable()
        if signo not in signal.valid_signals():
            raise _not_a_signal(signo)
        if signo in UNTOUCHABLE:
            raise ValueError(f"signal must not be {signal_name(signo)}, which cannot be caught, ignored or blocked")
        if signo == signal.SIGALRM:
            if not displace and not self._own_alarm and signal.getitimer(signal.ITIMER_REAL)[0]:
                raise ValueError(
                    "signal must not be SIGALRM while an interval timer runs, such as pytest-timeout's time limit; "
                    "use another signal, or displace=True to disable that limit until the end of this block"
                )
            self._displaced = True
        return signo

    def _end(self) -> None:
        finish(*(made.close for made in reversed(self._made)), partial(self._state.restore, self._displaced))


def _not_a_signal(signo: object) -> ValueError:
    most = signal.SIGRTMAX
    return ValueError(
        f"signal must be a number from 1 to {most:d} (SIGRTMAX) that libc does not reserve, not {signo!r}"
    )
