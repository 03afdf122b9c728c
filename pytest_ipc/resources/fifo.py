"""FIFOs as objects: created, opened with a deadline, and never removed while a process is blocked in open(2).

A blocking open of a FIFO has a timeout only with a signal or a thread, which this package must not use. So both ends
are opened without blocking, and the kernel reports whether the other end is open: a writer's open fails with ENXIO
until there is a reader; for a reader, tee(2) distinguishes no writer (0) from no data yet (EAGAIN) and consumes
nothing.
"""

from __future__ import annotations

from errno import ENXIO
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ..custody.cleanup import failures_ignored, finish
from ..custody.private_folder import Identity
from ..kernel.descriptor import SPLICE_F_NONBLOCK, mkfifo, tee
from ..kernel.recorded import os
from ..kernel.waiting import Deadline
from ..printable import plain
from ..resource import DEFAULT, Handle, Resource, Timeout, check_mode, check_timeout, timed_out
from ..unpatched import select
from .file import OwnedFile, owned_identity
from .handed import is_at, not_found
from .pipe import End

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["Fifo"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


class Fifo(Resource):
    """A FIFO special file (fifo(7), mkfifo(3)) at `path`, removed when its block or scope ends."""

    def __init__(self, path: str, identity: Identity, file: OwnedFile | None, scope: Scope | None = None) -> None:
        self.path: Path = Path(path)
        self._identity = identity
        self._file = file  # None in a process that it was passed to
        self._ends: list[End] = []
        super().__init__(scope)

    @classmethod
    def create(
        cls, *, mode: int = 0o600, path: str | os.PathLike[str] | None = None, scope: Scope | None = None
    ) -> Self:
        """Create a FIFO with *mode* less the umask, at *path* or in its own private directory (mkfifo(3)).

        Raises ValueError or TypeError for an invalid mode or path; OSError.
        """
        check_mode(mode)
        file = OwnedFile.create("fifo", "FIFO", lambda place: mkfifo(place, mode), path)
        return cls(file.path, owned_identity(file), file, scope)

    def __repr__(self) -> str:
        return plain(f"<Fifo {self.path}>")

    def _handle(self) -> Handle:
        return self._handed, (str(self.path), self._identity)

    @classmethod
    def _handed(cls, path: str, identity: Identity) -> Self:
        """Return the FIFO in the process that it was passed to. Raises OSError."""
        made = cls(path, identity, None)
        if not is_at(path, identity):
            raise not_found(made)
        return made

    def descriptors(self) -> list[int]:
        """Return the descriptors of the ends that this object opened and that are still open."""
        return [fd for end in self._ends for fd in end.descriptors()]

    def open_reader(self, *, timeout: Timeout = DEFAULT) -> End:
        """Open the FIFO for reading, waiting for a writer as open(2) with O_RDONLY does. The end is a blocking one.

        Raises TimeoutError if no writer opens it within *timeout* seconds; OSError.
        """
        self._usable()
        seconds = check_timeout(timeout)
        deadline = Deadline(seconds)
        fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not deadline.until(lambda: _writer_came(fd), fd):
                raise timed_out(seconds, f"a writer to open {self.path}", lambda: "tee(2) reports none")
        except BaseException:
            os.close(fd)
            raise
        return self._opened(fd, "read")

    def open_writer(self, *, timeout: Timeout = DEFAULT) -> End:
        """Open the FIFO for writing, waiting for a reader as open(2) with O_WRONLY does. The end is a blocking one.

        Raises TimeoutError if no reader opens it within *timeout* seconds; OSError.
        """
        self._usable()
        seconds = check_timeout(timeout)
        for _ in Deadline(seconds).rounds():
            try:
                fd = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                if error.errno != ENXIO:
                    raise
            else:
                return self._opened(fd, "write")
        raise timed_out(seconds, f"a reader to open {self.path}", lambda: "open(2) fails with ENXIO")

    def _opened(self, fd: int, name: str) -> End:
        os.set_blocking(fd, True)
        end = End(fd, f"{name} end of {self.path}", self._scope)
        self._ends.append(end)
        return end

    def all_descriptors(self) -> list[int]:
        """Return its descriptors and those by which its file is recognised."""
        return [*self.descriptors(), *(self._file.descriptors() if self._file is not None else ())]

    def _end(self) -> None:
        remove = (
            [] if self._file is None else [partial(self._file.close, partial(self._unlink_and_release, self._file))]
        )
        finish(*(end.close for end in reversed(self._ends)), *remove)

    def _unlink_and_release(self, file: OwnedFile) -> None:
        """Remove the file and release processes blocked in its open(2): an O_RDWR open is both reader and writer.

        It stays open until the name is removed, so that no process can block in between. It uses the anchor, so that
        processes blocked on a name that the test has removed are released too.
        """
        anchor, keeper = file.anchor, None
        if anchor is not None:
            with failures_ignored:  # owned by another user by now; no /proc; a system without O_RDWR for FIFOs
                if os.fstat(anchor).st_mode & 0o600 != 0o600:
                    os.chmod(f"/proc/self/fd/{anchor}", 0o600)
                keeper = os.open(f"/proc/self/fd/{anchor}", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            file.unlink()
        finally:
            if keeper is not None:
                os.close(keeper)


def _writer_came(fd: int) -> bool:
    """Return whether a writer has opened the FIFO that *fd* reads, even if it has closed it. Consumes nothing."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if poll.poll(0):  # data, or the hang-up of an earlier writer
        return True
    scratch_read, scratch_write = os.pipe()
    try:
        return tee(fd, scratch_write, 1, SPLICE_F_NONBLOCK) > 0
    except BlockingIOError:
        return True
    finally:
        os.close(scratch_read)
        os.close(scratch_write)
