"""Signal dispositions, mask and timers, changed for a while and then restored.

SIGALRM with a running interval timer is somebody's time limit (pytest-timeout's, mostly). Taking it over would switch
the limit off unseen, so that must be asked for.
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
from ..kernel.signalfds import SFD_CLOEXEC
from ..kernel.signals import SigInfo, sigaction_change, sigpending, sigqueue, sigtimedwait
from ..kernel.waiting import Deadline
from ..resource import DEFAULT, Resource, Timeout, check_timeout, timed_out
from ..unpatched import signal, time
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
        """How many deliveries have been handled."""
        return len(self.received)

    def wait(self, count: int = 1, *, timeout: Timeout = DEFAULT) -> None:
        """Wait until the signal has been handled *count* times in all. TimeoutError after *timeout* seconds."""
        seconds = check_timeout(timeout)
        if not Deadline(seconds).until(lambda: self.count >= count):
            what = f"{signal_name(self.signo)} to be handled {count} times"
            raise timed_out(seconds, what, lambda: f"it was handled {self.count} times")

    def __call__(self, signo: int, frame: FrameType | None) -> None:
        with errno_kept():  # see kernel.libc: a handler must not change what the interrupted call failed with
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
        """Take note of the signal state, to be put back at the end. RuntimeError outside the main thread."""
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
        """sigaction(2): handle *signo* with exactly these *flags* (SA_RESTART and its kind) and *mask*.

        The deliveries are counted in the Caught that is returned; *handler* is called too if it is given, and must not
        mind being called late: Python runs it between two of its instructions. ValueError for what cannot be caught, or
        for SIGALRM while an interval timer runs, unless *displace* says that this is meant.
        """
        caught = Caught(self._check(signo, displace), handler)
        signal.signal(signo, caught)
        sigaction_change(signo, flags, mask)
        return caught

    def ignore(self, signo: int, *, displace: bool = False) -> None:
        """sigaction(2): SIG_IGN. ValueError as for catch()."""
        signal.signal(self._check(signo, displace), signal.SIG_IGN)

    def default(self, signo: int, *, displace: bool = False) -> None:
        """sigaction(2): SIG_DFL. ValueError as for catch()."""
        signal.signal(self._check(signo, displace), signal.SIG_DFL)

    def block(self, *signals: int, displace: bool = False) -> frozenset[int]:
        """sigprocmask(2): add *signals* to the mask of this thread; the mask as it was. ValueError as for catch().

        A mask is a thread's own. A signal sent to a process that has another thread, as a pytest-xdist worker has, goes
        to that one, which does not block it: let a child of `fork` block and wait, it has one thread.
        """
        for signo in signals:
            self._check(signo, displace)
        return frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, signals))

    def unblock(self, *signals: int) -> frozenset[int]:
        """sigprocmask(2): take *signals* out of the mask of this thread; the mask as it was."""
        self._usable()
        return frozenset(signal.pthread_sigmask(signal.SIG_UNBLOCK, signals))

    def pending(self) -> frozenset[int]:
        """sigpending(2): what is blocked and waits for delivery."""
        self._usable()
        return sigpending()

    def queue(self, pid: int, signo: int, value: int = 0) -> None:
        """sigqueue(3): send *signo* with an integer *value*. OSError (EAGAIN at RLIMIT_SIGPENDING, ESRCH, EPERM)."""
        self._usable()
        sigqueue(pid, signo, value)

    def wait(self, *signals: int, timeout: Timeout = DEFAULT) -> SigInfo:
        """sigtimedwait(2): take one of *signals*, which should be blocked; its sender and value.

        TimeoutError when none has come within *timeout* seconds.
        """
        self._usable()
        seconds = check_timeout(timeout)
        deadline = Deadline(seconds)
        while True:
            try:
                return sigtimedwait(signals, deadline.left if isfinite(deadline.left) else None)
            except InterruptedError:
                continue  # a handler ran; it was not one of ours to wait for
            except BlockingIOError:
                what = f"one of {', '.join(map(signal_name, signals))}"
                raise timed_out(seconds, what, partial(signal_state, frozenset(signals))) from None

    def itimer(
        self, seconds: float, interval: float = 0, *, which: int = signal.ITIMER_REAL, displace: bool = False
    ) -> None:
        """setitimer(2): SIGALRM in *seconds*, and every *interval* seconds after it; 0 stops it.

        *which* may be ITIMER_VIRTUAL or ITIMER_PROF, for SIGVTALRM or SIGPROF by processor time. ValueError for a time below
        0, and while somebody else's ITIMER_REAL runs, unless *displace* says that this is meant.
        """
        if which == signal.ITIMER_REAL:
            self._check(signal.SIGALRM, displace)
        self._usable()
        if not (isfinite(seconds) and isfinite(interval) and min(seconds, interval) >= 0):
            raise ValueError(f"an interval timer is set to seconds from 0 on, not {seconds!r} and {interval!r}")
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
        """timer_create(2): a timer that sends *signo* with an integer *value*, or none; deleted at the end.

        With *thread*, the id of one, the signal is for that thread alone (SIGEV_THREAD_ID). ValueError for what is no
        signal; OSError: EINVAL for an unknown clock, EAGAIN at RLIMIT_SIGPENDING.
        """
        self._usable()
        if signo is not None and signo not in signal.valid_signals():
            raise _not_a_signal(signo)
        return self._own(SignalTimer.create(signo, clock=clock, value=value, thread=thread))

    def alternate_stack(self, size: int = 1 << 16, *, flags: int = 0) -> AlternateStack:
        """sigaltstack(2): a stack for this thread's handlers with SA_ONSTACK; the one before is back at the end.

        OSError.
        """
        self._usable()
        return self._own(AlternateStack.create(size, flags=flags))

    def fd(self, *signals: int, flags: int = SFD_CLOEXEC, displace: bool = False) -> SignalFd:
        """signalfd(2): block *signals* and read them from a descriptor, closed at the end.

        ValueError as for catch(); OSError.
        """
        self.block(*signals, displace=displace)
        return self._own(SignalFd.create(signals, flags=flags))

    def descriptors(self) -> list[int]:
        """Those that signals are read from."""
        return [fd for made in self._made for fd in made.descriptors()]

    def _own(self, made: Made) -> Made:
        self._made.append(made)
        return made

    def _check(self, signo: int, displace: bool) -> int:
        self._usable()
        if signo not in signal.valid_signals():
            raise _not_a_signal(signo)
        if signo in UNTOUCHABLE:
            raise ValueError(f"{signal_name(signo)} can be neither caught nor ignored nor blocked")
        if signo == signal.SIGALRM:
            if not displace and not self._own_alarm and signal.getitimer(signal.ITIMER_REAL)[0]:
                raise ValueError(
                    "SIGALRM belongs to the interval timer that is running, a time limit as pytest-timeout sets it; "
                    "use another signal, or say displace=True to be without that limit until the end of this block"
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
