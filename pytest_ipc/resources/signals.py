"""Signal dispositions, mask and timers, changed for a while and then all as they were.

Taken note of at the start: every disposition with its flags and mask, the thread's mask, the interval timers, the wakeup
descriptor. Put back at the end in the order in which nothing can slip through: signals that only this block kept pending are
taken away first, for under the restored disposition they might end the process; then dispositions, then the mask, then the
timers, shortened by the time that has passed.

SIGALRM with a running interval timer is somebody's time limit (pytest-timeout's, mostly). Taking it over would switch the
limit off unseen, so that must be asked for.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from math import isfinite
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..kernel.libc import errno_kept
from ..kernel.signals import (
    SigInfo,
    sigaction_change,
    sigaction_raw,
    sigpending,
    sigqueue,
    sigtimedwait,
)
from ..kernel.waiting import DEFAULT_TIMEOUT, Deadline
from .base import Resource, check_timeout

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["Caught", "Signals"]

Handler = Callable[[int, FrameType | None], Any]

_UNTOUCHABLE = {signal.SIGKILL, signal.SIGSTOP}


class Caught:
    """The deliveries of one signal since it was caught: `received` holds its number once for each."""

    def __init__(self, signo: int, handler: Handler | None) -> None:
        self.signo = signo
        self.received: list[int] = []
        self._handler = handler

    def __repr__(self) -> str:
        return f"<{_name(self.signo)} caught {self.count} times>"

    @property
    def count(self) -> int:
        """How many deliveries have been handled."""
        return len(self.received)

    def wait(self, count: int = 1, timeout: float | None = DEFAULT_TIMEOUT) -> None:
        """Wait until the signal has been handled *count* times in all. TimeoutError after *timeout* seconds."""
        if not Deadline(check_timeout(timeout)).until(lambda: self.count >= count):
            raise TimeoutError(
                f"{_name(self.signo)} came {self.count} times within {timeout} s, {count} were waited for"
            )

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
        self._handlers: dict[int, Any] = {}
        self._actions: dict[int, bytes] = {}
        for signo in signal.valid_signals() - _UNTOUCHABLE:
            self._handlers[signo] = signal.getsignal(signo)
            self._actions[signo] = sigaction_raw(signo)
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._timers = {which: signal.getitimer(which) for which in _TIMERS}
        self._taken = time.monotonic()
        self._displaced = False
        self._wakeup = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(self._wakeup)
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

        A mask is a thread's own. A signal sent to a process that has another thread, as a pytest-xdist worker has, goes to
        that one, which does not block it: let a child of `fork` block and wait, it has one thread.
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

    def wait(self, *signals: int, timeout: float | None = DEFAULT_TIMEOUT) -> SigInfo:
        """sigtimedwait(2): take one of *signals*, which should be blocked; its sender and value.

        TimeoutError when none has come within *timeout* seconds.
        """
        self._usable()
        deadline = Deadline(check_timeout(timeout))
        while True:
            try:
                return sigtimedwait(signals, deadline.left if isfinite(deadline.left) else None)
            except InterruptedError:
                continue  # a handler ran; it was not one of ours to wait for
            except BlockingIOError:
                names = ", ".join(map(_name, signals))
                raise TimeoutError(f"none of {names} came within {timeout} s") from None

    def _check(self, signo: int, displace: bool) -> int:
        self._usable()
        if signo not in signal.valid_signals():
            raise ValueError(f"{signo!r} is no signal number")
        if signo in _UNTOUCHABLE:
            raise ValueError(f"{_name(signo)} can be neither caught nor ignored nor blocked")
        if signo == signal.SIGALRM and not displace and signal.getitimer(signal.ITIMER_REAL)[0]:
            raise ValueError(
                "SIGALRM belongs to the interval timer that is running, a time limit as pytest-timeout sets it; "
                "use another signal, or say displace=True to be without that limit until the end of this block"
            )
        if signo == signal.SIGALRM:
            self._displaced = True
        return signo

    def _end(self) -> None:
        # Asked before the dispositions are back: afterwards nobody can tell whom the timer's signal would have reached.
        displaced = self._alarm_displaced()
        with ExitStack() as steps:  # from the last to the first, each whatever became of the others
            steps.callback(self._restore_timers, displaced)
            steps.callback(signal.pthread_sigmask, signal.SIG_SETMASK, self._mask)
            steps.callback(self._restore_wakeup)
            steps.callback(self._restore_actions)
            steps.callback(self._drain)

    def _drain(self) -> None:
        pending = sigpending() - self._mask - _UNTOUCHABLE
        while pending:
            # EAGAIN: it was pending, and is no more; that is what is wanted.
            with suppress(BlockingIOError, InterruptedError):
                sigtimedwait(pending, 0)
            pending = sigpending() - self._mask - _UNTOUCHABLE

    def _restore_actions(self) -> None:
        for signo, action in self._actions.items():
            if signal.getsignal(signo) is not self._handlers[signo] and self._handlers[signo] is not None:
                signal.signal(signo, self._handlers[signo])
            if sigaction_raw(signo) != action:
                sigaction_raw(signo, action)

    def _restore_wakeup(self) -> None:
        now = signal.set_wakeup_fd(-1)
        if self._wakeup != -1:
            try:
                signal.set_wakeup_fd(self._wakeup)
            except (OSError, ValueError):
                # Closed in the meantime. Whoever closed it had no use for it any more, unless the test put another there.
                if now == self._wakeup:
                    return
                raise

    def _alarm_displaced(self) -> bool:
        """Whether a SIGALRM may have gone elsewhere than to the handler that stood at the start.

        Not if it has the default disposition now: it would have ended the process. Its owner has called the limit off, as
        pytest-timeout does when a test has failed.
        """
        return (
            self._displaced
            or signal.getsignal(signal.SIGALRM) not in (self._handlers[signal.SIGALRM], signal.SIG_DFL)
            or signal.SIGALRM in signal.pthread_sigmask(signal.SIG_BLOCK, ()) - self._mask
        )

    def _restore_timers(self, displaced: bool) -> None:
        passed = time.monotonic() - self._taken
        for which, (left, interval) in self._timers.items():
            now = signal.getitimer(which)
            # A timer that has just run on is left alone: setting it again would lengthen it by what this takes.
            running_on = left and now[0] and abs(left - passed - now[0]) < 0.01 and now[1] == interval
            if running_on or (not left and not now[0]):
                continue
            if which == signal.ITIMER_REAL and not displaced and not now[0] and left <= passed and not interval:
                continue  # it has run out and its owner's handler was there to see it: once is enough
            if which != signal.ITIMER_REAL:
                passed = 0.0  # they count processor time, which cannot be told from here; the limit is given back whole
            signal.setitimer(which, max(left - passed, 1e-6) if left else 0, interval)


_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


def _name(signo: int) -> str:
    try:
        return signal.Signals(signo).name
    except ValueError:
        return f"signal {signo}"
