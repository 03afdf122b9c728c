"""Leases as objects (fcntl(2), F_SETLEASE): a signal while another process blocks in opening the file."""

from __future__ import annotations

from contextlib import suppress

from ..kernel.descriptor import fcntl
from ..kernel.leases import F_GETLEASE, F_SETLEASE, F_SETSIG
from ..kernel.locks import F_RDLCK, F_UNLCK, F_WRLCK
from ..kernel.waiting import Deadline
from ..resource import DEFAULT, Timeout, check_timeout, timed_out

__all__ = ["Lease"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


class Lease:
    """A lease on an open file description; ends with release(), or with the last descriptor of the description."""

    def __init__(self, fd: int, name: str, type: int) -> None:
        self._fd = fd
        self._name = name
        self._taken = type

    @classmethod
    def take(cls, fd: int, name: str, shared: bool, signo: int) -> Lease:
        """Take a lease, with the signal *signo* for a break (F_SETLEASE).

        Raises OSError (EAGAIN if another process has it open, EACCES).
        """
        fcntl(fd, F_SETSIG, signo)
        type = F_RDLCK if shared else F_WRLCK
        fcntl(fd, F_SETLEASE, type)
        return cls(fd, name, type)

    def __repr__(self) -> str:
        return f"<{'shared' if self._taken == F_RDLCK else 'exclusive'} lease, {self._name}>"

    @property
    def type(self) -> int:
        """F_RDLCK, F_WRLCK or F_UNLCK; during a break, the required type (F_GETLEASE). Raises OSError."""
        return fcntl(self._fd, F_GETLEASE)

    def wait_break(self, *, timeout: Timeout = DEFAULT) -> int:
        """Wait until a process opens the file; return the required type of the lease, F_RDLCK or F_UNLCK.

        The kernel removes the lease /proc/sys/fs/lease-break-time seconds later. Raises TimeoutError; OSError.
        """
        seconds = check_timeout(timeout)
        if not Deadline(seconds).until(lambda: self.type != self._taken):
            raise timed_out(
                seconds, f"another process to break the {self!r}", lambda: "F_GETLEASE reports it unchanged"
            )
        return self.type

    def downgrade(self) -> None:
        """Convert an exclusive lease to a shared one, which unblocks readers. Raises OSError."""
        fcntl(self._fd, F_SETLEASE, F_RDLCK)
        self._taken = F_RDLCK

    def release(self) -> None:
        """Give up the lease, which unblocks openers of the file. Harmless if it has ended. Raises OSError."""
        with suppress(BlockingIOError):  # the lease has ended
            fcntl(self._fd, F_SETLEASE, F_UNLCK)
