"""The leader of a child's process group: a forked process with its end and status, and signals for it and its group."""

from __future__ import annotations

from contextlib import suppress
from errno import EINVAL, ENOSYS

from ..custody.identity import Process, start_of
from ..kernel import proc, trace
from ..kernel.errnos import EXHAUSTED
from ..kernel.memfile import put_high
from ..kernel.pidfd import PIDFD_SIGNAL_PROCESS_GROUP, pidfd_open, pidfd_send_signal
from ..unpatched import os, signal

__all__ = ["Leader"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


class Leader:
    """A child of this process that leads its process group.

    `pidfd` is a descriptor for it, None where the kernel lacks pidfd_open(2); `status` is its exit status, or -N for
    signal N, and None until it is reaped or if another caller of wait(2) reaped it. OSError if this process or the
    machine has no descriptor or memory for it.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.process: Process = Process(pid, _start(pid))
        self.pidfd: int | None = _pidfd(pid)
        self.status: int | None = None
        self.reaped: bool = False
        self._lost = ""  # why there is no status
        self._outlived = False  # others of its group lived when it was reaped
        self._parent = os.getpid()

    def reap(self, options: int = os.WNOHANG) -> bool:
        """Return whether the process has ended, and take its status. *options* is 0 to wait for its end, or WNOHANG."""
        if self.reaped or os.getpid() != self._parent:
            return self.reaped
        try:
            pid, status = os.waitpid(self.pid, options)
        except ChildProcessError:
            self.reaped = True
            self._lost = (
                "its status is lost: SIGCHLD is ignored here"
                if _sigchld_is_ignored()
                else "its status is lost: another call of wait(2) took it"
            )
            return True
        if pid:
            self.status = os.waitstatus_to_exitcode(status)
            trace.mark("(end)", self.pid, result=self.status)
            self.reaped = True
            with suppress(OSError):  # the group ended with its leader, or is another user's
                os.killpg(self.pid, 0)
                self._outlived = True
        return self.reaped

    def ending(self) -> str:
        """Return how the process ended."""
        if self.status is None:
            return f"ended, and {self._lost}"
        if self.status < 0:
            try:
                return f"was killed by {signal.Signals(-self.status).name}"
            except ValueError:
                return f"was killed by signal {-self.status}"
        return f"exited with status {self.status}"

    def signal(self, signo: int) -> None:
        """Send a signal to the process, which must not be reaped: pidfd_send_signal(2), or else kill(2). OSError."""
        trace.mark("(signal)", self.pid, signo)
        if self.pidfd is None:
            os.kill(self.pid, signo)  # not reaped yet, so the pid is still this process's
        else:
            with trace.paused():
                pidfd_send_signal(self.pidfd, signo)

    def kill(self) -> None:
        """Kill the process, which must not be reaped, and its group, and reap it."""
        trace.mark("(signal)", self.pid, int(signal.SIGKILL))
        # The leader is not reaped, so the group's number cannot have been reused.
        with suppress(
            ProcessLookupError, PermissionError
        ):  # it left the group; some are another user's: see tree.end()
            os.killpg(self.pid, signal.SIGKILL)
        # It may have left its group (setsid), or run as another user while this process lacks CAP_KILL.
        with suppress(ProcessLookupError):  # another caller of wait(2) has reaped it
            os.kill(self.pid, signal.SIGKILL)
        self.reap(0)

    def kill_rest_of_group(self) -> None:
        """Kill the remaining processes of the group of a reaped leader; its number is not reused while one lives."""
        if not self._outlived:
            return
        if self.pidfd is not None:
            try:
                # The descriptor cannot hit another group, even if all have ended and the number has been reused.
                pidfd_send_signal(self.pidfd, signal.SIGKILL, PIDFD_SIGNAL_PROCESS_GROUP)
                return
            except OSError as error:
                if error.errno not in (EINVAL, ENOSYS):  # before Linux 6.9
                    return
        if proc.process_state(self.pid) is None:  # at least no other leader has the number
            with suppress(ProcessLookupError, PermissionError):  # all have ended; some are another user's
                os.killpg(self.pid, signal.SIGKILL)


def _sigchld_is_ignored() -> bool:
    """Return whether the kernel reaps the children of this process, for SIG_IGN or SA_NOCLDWAIT."""
    from ..kernel.signals import SA_NOCLDWAIT, sigaction

    try:
        action = sigaction(signal.SIGCHLD)
    except OSError:
        return False
    return action.handler == signal.SIG_IGN or bool(action.flags & SA_NOCLDWAIT)


def _pidfd(pid: int) -> int | None:
    try:
        with trace.paused():
            return put_high(pidfd_open(pid))
    except OSError as error:
        if error.errno in EXHAUSTED:
            raise
        return None  # an old kernel, or a seccomp filter: the waits then poll


def _start(pid: int) -> int:
    """Return the start time of a child that is not reaped; 0 without /proc. Raises OSError."""
    found = start_of(pid)
    if found is None:
        try:
            os.close(os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            if error.errno in EXHAUSTED:
                raise
        found = start_of(pid)
    return found or 0
