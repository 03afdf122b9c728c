"""Pipes as objects, and the open end that pipes, FIFOs and sockets share."""

from __future__ import annotations

import stat
import sys
from functools import partial
from typing import TYPE_CHECKING, Self

from ..custody.cleanup import finish
from ..kernel.descriptor import getpipe_size, pipe2, setpipe_size
from ..kernel.recorded import fcntl, os
from ..kernel.waiting import Deadline
from ..resource import DEFAULT, Handle, Resource, Timeout, check_size, check_timeout
from ..unpatched import select
from .descriptor import Descriptor
from .limit_notes import note_limits

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["End", "Pipe"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

_FIONREAD = 0x541B  # ioctl_tty(2): how many bytes can be read


class End(Descriptor):
    """One open end of a pipe, FIFO or connection."""

    def read(self, size: int = 65536, *, timeout: Timeout = DEFAULT) -> bytes:
        """Return up to *size* bytes, none at end of file (read(2), retried after a signal).

        Raises TimeoutError if nothing can be read within *timeout* seconds; OSError. None waits in read(2). With
        O_NONBLOCK it does not wait, and EAGAIN is raised.
        """
        fd, seconds = self.fileno(), check_timeout(timeout)
        if size <= 0 or seconds is None or _does_not_wait(fd, os.O_WRONLY):
            return os.read(fd, size)
        return self._taking(lambda: os.read(fd, size), seconds, "data from")

    def write(self, data: bytes, *, timeout: Timeout = DEFAULT) -> int:
        """Write *data* and return the number of written bytes (write(2), retried after a signal).

        Raises TimeoutError if there is no space within *timeout* seconds, when some of the bytes may have been written;
        OSError (EPIPE without a reader). None waits in write(2). With O_NONBLOCK it does not wait: EAGAIN.
        """
        fd, seconds = self.fileno(), check_timeout(timeout)
        if not data or seconds is None or _does_not_wait(fd, os.O_RDONLY):
            return os.write(fd, data)
        # If poll(2) reports a pipe as writable, one atomic write does not block; a longer one could.
        most = select.PIPE_BUF if stat.S_ISFIFO(os.fstat(fd).st_mode) else len(data)
        deadline, rest = Deadline(seconds), memoryview(data)
        while rest:
            part, done = rest[:most], len(data) - len(rest)
            what = f"room for {len(data)} bytes, of which {done} went out, in"
            rest = rest[self._taking(partial(os.write, fd, part), deadline, what, select.POLLOUT) :]
        return len(data)

    def _state(self) -> str:
        fd = self.fileno()
        held = int.from_bytes(fcntl.ioctl(fd, _FIONREAD, bytes(4)), sys.byteorder)
        return f"it holds {held} of {getpipe_size(fd)} bytes"


class Pipe(Resource):
    """A pipe (pipe(2), pipe(7)): `read_fd`, `write_fd`, and both ends as objects, `reader` and `writer`."""

    def __init__(self, read_fd: int, write_fd: int, scope: Scope | None = None) -> None:
        self.reader: End = End(read_fd, "read end of a pipe")
        self.writer: End = End(write_fd, "write end of a pipe")
        super().__init__(scope)

    @classmethod
    def create(cls, *, flags: int = os.O_CLOEXEC, capacity: int | None = None, scope: Scope | None = None) -> Self:
        """Create a pipe with *flags* (pipe2(2)), and a capacity of at least *capacity* bytes if given (F_SETPIPE_SZ).

        Raises OSError: EINVAL for an unknown flag, EMFILE, EPERM above /proc/sys/fs/pipe-max-size without
        CAP_SYS_RESOURCE.
        """
        if capacity is not None:
            check_size(capacity, "a pipe")
        pipe = cls(*pipe2(flags), scope=scope)
        if capacity is not None:
            try:
                setpipe_size(pipe.write_fd, capacity)
            except BaseException as error:
                pipe.close()
                if isinstance(error, OSError):
                    error.add_note(f"while making a pipe of {capacity} bytes")
                    note_limits(error, "fs.pipe-max-size")
                raise
        return pipe

    def __repr__(self) -> str:
        return f"<Pipe {self.reader!r} {self.writer!r}>"

    def _handle(self) -> Handle:
        return self._handed, tuple(None if end.closed else end for end in (self.reader, self.writer))

    @classmethod
    def _handed(cls, *ends: End | None) -> Self:
        """Return the pipe in the process that it was passed to, with the *ends* that were open."""
        made = cls(-1, -1)
        made.reader, made.writer = (
            end or _closed_end(f"{name} end of a pipe") for end, name in zip(ends, ("read", "write"), strict=True)
        )
        return made

    @property
    def read_fd(self) -> int:
        """The descriptor to read from. ValueError once it is closed."""
        return self.reader.fileno()

    @property
    def write_fd(self) -> int:
        """The descriptor to write to. ValueError once it is closed."""
        return self.writer.fileno()

    def descriptors(self) -> list[int]:
        """Return the descriptors of the ends that are open."""
        return self.reader.descriptors() + self.writer.descriptors()

    @property
    def capacity(self) -> int:
        """The capacity of the pipe in bytes (fcntl(2), F_GETPIPE_SZ). Raises OSError."""
        return getpipe_size((self.writer if self.reader.closed else self.reader).fileno())

    def read(self, size: int = 65536, *, timeout: Timeout = DEFAULT) -> bytes:
        """Read from the read end, as reader.read() does: up to *size* bytes, none at end of file."""
        return self.reader.read(size, timeout=timeout)

    def write(self, data: bytes, *, timeout: Timeout = DEFAULT) -> int:
        """Write to the write end, as writer.write() does, and return the number of written bytes."""
        return self.writer.write(data, timeout=timeout)

    def close_read(self) -> None:
        """Close the read end, in this process."""
        self.reader.close()

    def close_write(self) -> None:
        """Close the write end, in this process."""
        self.writer.close()

    def _end(self) -> None:
        finish(self.reader.close, self.writer.close)


def _closed_end(name: str) -> End:
    """Return an end that was closed before."""
    end = End(-1, name)
    end._fd_open, end._closed, end._ended = False, True, True  # noqa: SLF001 - of the class above
    return end


def _does_not_wait(fd: int, wrong: int) -> bool:
    """Return whether a call returns at once: *fd* has O_NONBLOCK, or the access mode *wrong*."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    return bool(flags & os.O_NONBLOCK) or flags & os.O_ACCMODE == wrong
