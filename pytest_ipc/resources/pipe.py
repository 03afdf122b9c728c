"""Pipes as objects, and the open end that pipes, FIFOs and sockets share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from ..custody.cleanup import finish
from ..kernel.descriptor import getpipe_size, pipe2, setpipe_size
from ..resource import Resource, check_size
from ..unpatched import os
from .descriptor import Descriptor

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["End", "Pipe"]


class End(Descriptor):
    """One open end of a pipe, FIFO or connection."""

    def read(self, size: int = 65536) -> bytes:
        """read(2), retried after a signal: up to *size* bytes, none at end of file. OSError."""
        return os.read(self.fileno(), size)

    def write(self, data: bytes) -> int:
        """write(2), retried after a signal: how many bytes went out. OSError (EPIPE when nobody can read any more)."""
        return os.write(self.fileno(), data)


class Pipe(Resource):
    """A pipe (pipe(2), pipe(7)): `read_fd`, `write_fd`, and both ends as objects, `reader` and `writer`."""

    def __init__(self, read_fd: int, write_fd: int, scope: Scope | None = None) -> None:
        self.reader: End = End(read_fd, "read end of a pipe")
        self.writer: End = End(write_fd, "write end of a pipe")
        super().__init__(scope)

    @classmethod
    def create(cls, *, flags: int = os.O_CLOEXEC, capacity: int | None = None, scope: Scope | None = None) -> Self:
        """pipe2(2): a new pipe with *flags*, holding at least *capacity* bytes (F_SETPIPE_SZ) if that is given.

        OSError: EINVAL for an unknown flag, EMFILE, EPERM above /proc/sys/fs/pipe-max-size without CAP_SYS_RESOURCE.
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
                    error.add_note(f"while making a pipe of {capacity} bytes; /proc/sys/fs/pipe-max-size is the limit")
                raise
        return pipe

    def __repr__(self) -> str:
        return f"<Pipe {self.reader!r} {self.writer!r}>"

    @property
    def read_fd(self) -> int:
        """The descriptor to read from. ValueError once it is closed."""
        return self.reader.fileno()

    @property
    def write_fd(self) -> int:
        """The descriptor to write to. ValueError once it is closed."""
        return self.writer.fileno()

    def descriptors(self) -> list[int]:
        """Those of both ends that are open."""
        return self.reader.descriptors() + self.writer.descriptors()

    @property
    def capacity(self) -> int:
        """fcntl(2), F_GETPIPE_SZ: how many bytes the pipe holds. OSError."""
        return getpipe_size((self.writer if self.reader.closed else self.reader).fileno())

    def read(self, size: int = 65536) -> bytes:
        """read(2) at the read end: up to *size* bytes, none at end of file."""
        return self.reader.read(size)

    def write(self, data: bytes) -> int:
        """write(2) at the write end: how many bytes went out."""
        return self.writer.write(data)

    def close_read(self) -> None:
        """Close the read end, in this process."""
        self.reader.close()

    def close_write(self) -> None:
        """Close the write end, in this process."""
        self.writer.close()

    def _end(self) -> None:
        finish(self.reader.close, self.writer.close)
