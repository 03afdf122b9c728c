"""Leases as objects (fcntl(2), F_SETLEASE): a signal before another process opens the file, which waits meanwhile."""

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
    """A lease that a descriptor holds.

    It ends with release(), or with the last descriptor of that opening of the file.
    """

    def __init__(self, fd: int, name: str, type: int) -> None:
        self._fd = fd
        self._name = name
        self._taken = type

    @classmethod
    def take(cls, fd: int, name: str, shared: bool, signo: int) -> Lease:
        """F_SETLEASE, with the signal that will tell of a break.

        OSError: EAGAIN where others have the file open, EACCES.
        """
        fcntl(fd, F_SETSIG, signo)
        type = F_RDLCK if shared else F_WRLCK
        fcntl(fd, F_SETLEASE, type)
        return cls(fd, name, type)

    def __repr__(self) -> str:
        return f"<{'shared' if self._taken == F_RDLCK else 'exclusive'} lease, {self._name}>"

    @property
    def type(self) -> int:
        """F_GETLEASE: F_RDLCK, F_WRLCK or F_UNLCK; while it is being broken, what it must become. OSError."""
        return fcntl(self._fd, F_GETLEASE)

    def wait_break(self, *, timeout: Timeout = DEFAULT) -> int:
        """Wait until somebody opens the file; what the lease must become, F_RDLCK or F_UNLCK. TimeoutError. OSError.

        /proc/sys/fs/lease-break-time seconds later the kernel takes the lease away.
        """
        seconds = check_timeout(timeout)
        if not Deadline(seconds).until(lambda: self.type != self._taken):
            raise timed_out(
                seconds, f"another process to break the {self!r}", lambda: "F_GETLEASE reports it unchanged"
            )
        return self.type

    def downgrade(self) -> None:
        """An exclusive lease becomes a shared one: who opens for reading goes on. OSError."""
        fcntl(self._fd, F_SETLEASE, F_RDLCK)
        self._taken = F_RDLCK

    def release(self) -> None:
        """Give the lease up: whoever waits to open the file goes on. Harmless when it has ended. OSError."""
        with suppress(BlockingIOError):  # there is none any more
            fcntl(self._fd, F_SETLEASE, F_UNLCK)
