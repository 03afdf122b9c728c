"""The signal state of a process: saved and restored.

The state is every disposition with its flags and mask, the thread's mask and alternate stack, the interval timers, and
the wakeup descriptor. It is restored in a safe order: first, signals that became pending in the block are discarded, as
they might end the process with the restored disposition; then dispositions, then the mask, then the timers, less the
elapsed time.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from ..custody.cleanup import finish
from ..kernel.altstack import SS_ONSTACK, Stack, sigaltstack
from ..kernel.signals import sigaction_raw, sigpending, sigtimedwait
from ..unpatched import signal, time

__tracebackhide__ = True  # pytest ends a traceback at the line that called

UNTOUCHABLE = {signal.SIGKILL, signal.SIGSTOP}

_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


class SignalState:
    """The signal state at its creation; for the main thread, as signal handlers are."""

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._actions: dict[int, bytes] = {}
        for signo in signal.valid_signals() - UNTOUCHABLE:
            self._handlers[signo] = signal.getsignal(signo)
            self._actions[signo] = sigaction_raw(signo)
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._stack = _alternate_stack()
        self._timers = {which: signal.getitimer(which) for which in _TIMERS}
        self.taken: float = time.monotonic()
        self._wakeup = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(self._wakeup)

    def restore(self, displaced: bool) -> None:
        """Restore the state. *displaced*: the handler of SIGALRM was replaced for a time."""
        # Checked before the dispositions are restored: afterwards the receiver of the timer's signal is unknown.
        displaced = displaced or self._alarm_displaced()
        finish(
            self._drain,
            self._restore_actions,
            self._restore_stack,
            self._restore_wakeup,
            partial(signal.pthread_sigmask, signal.SIG_SETMASK, self._mask),
            partial(self._restore_timers, displaced),
        )

    def _drain(self) -> None:
        pending = sigpending() - self._mask - UNTOUCHABLE
        while pending:
            # EAGAIN: it is no longer pending, as wanted.
            with suppress(BlockingIOError, InterruptedError):
                sigtimedwait(pending, 0)
            pending = sigpending() - self._mask - UNTOUCHABLE

    def _restore_actions(self) -> None:
        for signo, action in self._actions.items():
            if signal.getsignal(signo) is not self._handlers[signo] and self._handlers[signo] is not None:
                signal.signal(signo, self._handlers[signo])
            if sigaction_raw(signo) != action:
                sigaction_raw(signo, action)

    def _restore_stack(self) -> None:
        if self._stack is not None and _alternate_stack() != self._stack:
            sigaltstack(self._stack)

    def _restore_wakeup(self) -> None:
        now = signal.set_wakeup_fd(-1)
        if self._wakeup != -1:
            try:
                signal.set_wakeup_fd(self._wakeup)
            except (OSError, ValueError):
                # Closed in the meantime: its owner no longer needs it, unless the test has set another.
                if now == self._wakeup:
                    return
                raise

    def _alarm_displaced(self) -> bool:
        """Return whether a SIGALRM may have reached another handler than that of the start.

        False for the default disposition now, with which it would have ended the process: its owner has cancelled the
        timer, as pytest-timeout does after a failed test.
        """
        return (
            signal.getsignal(signal.SIGALRM) not in (self._handlers[signal.SIGALRM], signal.SIG_DFL)
            or signal.SIGALRM in signal.pthread_sigmask(signal.SIG_BLOCK, ()) - self._mask
        )

    def _restore_timers(self, displaced: bool) -> None:
        passed = time.monotonic() - self.taken
        for which, (left, interval) in self._timers.items():
            now = signal.getitimer(which)
            # A timer that simply continued is not set again, which would delay it.
            running_on = left and now[0] and abs(left - passed - now[0]) < 0.01 and now[1] == interval
            if running_on or (not left and not now[0]):
                continue
            if which == signal.ITIMER_REAL and not displaced and not now[0] and left <= passed and not interval:
                continue  # it expired and its owner's handler was called
            if which != signal.ITIMER_REAL:
                passed = 0.0  # they count CPU time, whose amount is unknown here; the whole time is restored
            signal.setitimer(which, max(left - passed, 1e-6) if left else 0, interval)


def _alternate_stack() -> Stack | None:
    """Return the alternate stack, to set it again; None where it cannot be read, and thus cannot have been changed."""
    try:
        stack = sigaltstack()
    except (OSError, NotImplementedError):
        return None
    return Stack(stack.sp, stack.size, stack.flags & ~SS_ONSTACK)
