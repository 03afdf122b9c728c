"""Detect that a process sleeps in a system call, from /proc (proc_pid_stat(5), proc_pid_syscall(5))."""

from __future__ import annotations

from errno import ENOENT

from ..kernel import proc
from ..kernel.syscalls import numbers_of
from ..unpatched import os, time

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# Seconds in one sleep after which a process counts as blocked if the kernel does not show the call.
_NO_SHORT_SLEEP = 0.002

_LETTERS = frozenset("RSDTtZXxKWPI")


class SleepWatch:
    """Watch the process *pid*, which messages call *name*, for a sleep in *call* or in any.

    ValueError for an unknown call.
    """

    def __init__(self, pid: int, call: str | None, name: str) -> None:
        self._pid = pid
        self._name = name
        self._numbers = numbers_of(call) if call is not None else None
        self._seen: tuple[object, str | None] | None = None
        self._since = 0.0
        self.source: str | None = None  # of the last answer: "syscall", or "state" if the call is not shown

    def asleep(self) -> bool:
        """Return whether the process sleeps now, in the call. Raises FileNotFoundError without /proc."""
        state = state_letter(self._pid, self._name)
        now = proc.process_syscall(self._pid)
        self.source = "state" if now is None else "syscall"
        if state != "S" or now == "running":
            self._seen = None
            return False
        if isinstance(now, proc.SystemCall) and self._numbers:
            return now.number in self._numbers
        # Asleep in any call, or in one that is not shown: one sleep must be longer than a lock or a page fault takes.
        before, self._seen = self._seen, (now, proc.process_status(self._pid).get("voluntary_ctxt_switches"))
        if self._seen != before:
            self._since = time.monotonic()
        return time.monotonic() - self._since > _NO_SHORT_SLEEP


def check_states(states: str) -> str:
    """Return *states* if they are state letters. Raises TypeError or ValueError."""
    if not isinstance(states, str):
        raise TypeError(f"states must be a string of state letters, as 'T' or 'SD', not {states!r}")
    if not states or not set(states) <= _LETTERS:
        raise ValueError(f"states must be letters of {''.join(sorted(_LETTERS))} (proc_pid_stat(5)), not {states!r}")
    return states


def state_letter(pid: int, name: str) -> str:
    """Return the letter of the state in /proc/PID/stat, "X" if there is no such process.

    FileNotFoundError without /proc.
    """
    state = proc.process_state(pid)
    if state is None and not os.path.exists("/proc/self/stat"):
        raise FileNotFoundError(
            ENOENT, f"the state of {name} cannot be read: {os.strerror(ENOENT)}", f"/proc/{pid}/stat"
        )
    return state.state if state is not None else "X"
