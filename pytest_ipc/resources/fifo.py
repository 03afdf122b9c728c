"""FIFOs as objects: made, opened with a deadline, and never left with somebody blocked in open.

A blocking open of a FIFO cannot be given a time limit without a signal or a thread, and neither is this package's to take.
So both ends are opened without blocking and the kernel is asked whether the other side has come: a writer's open fails with
ENXIO until there is a reader; on a reader's side tee(2) tells no writer (0) from no data yet (EAGAIN) and consumes nothing.
"""

from __future__ import annotations

import os
import secrets
import select
import shutil
from contextlib import ExitStack, suppress
from errno import ENXIO
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ..custody.home import temp_folder
from ..custody.ledger import Record, intent
from ..kernel.descriptor import SPLICE_F_NONBLOCK, mkfifo, tee
from ..kernel.waiting import DEFAULT_TIMEOUT, Deadline
from .base import Resource, check_mode, check_timeout
from .pipe import End

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["Fifo"]


class Fifo(Resource):
    """A FIFO special file (fifo(7), mkfifo(3)) at `path`, removed when its block or scope ends."""

    def __init__(self, path: Path, record: Record, directory: Path | None = None, scope: Scope | None = None) -> None:
        self.path = path
        self._record = record
        self._directory = directory
        # It opens neither end, and keeps the file's number from being given to another file once the test removes this one.
        self._anchor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._ends: list[End] = []
        super().__init__(scope)

    @classmethod
    def create(
        cls, *, mode: int = 0o600, path: str | os.PathLike[str] | None = None, scope: Scope | None = None
    ) -> Self:
        """mkfifo(3): a FIFO with *mode* less the umask, at *path* or in a private directory of its own.

        ValueError or TypeError for a mode or path that no file can have; OSError with the call's errno.
        """
        check_mode(mode)
        directory = None
        if path is None:
            # A name that nobody can have guessed, on record before it is there.
            directory = temp_folder().resolve() / f"pytest-ipc-{secrets.token_hex(8)}"
            place = directory / "fifo"
        elif not os.fspath(path) or "\0" in os.fsdecode(path):
            raise ValueError(f"{os.fspath(path)!r} cannot be the path of a FIFO")
        else:
            # Where it really is: the test may be in another directory by the time it is removed.
            place = Path(os.fsdecode(path)).parent.resolve() / os.path.basename(os.fsdecode(path))
        made = False
        with intent("fifo", path=str(place), directory=directory and str(directory)) as record:
            try:
                if directory is not None:
                    os.mkdir(directory, 0o700)
                    os.chmod(
                        directory, 0o711
                    )  # others may reach the FIFO, whose mode says what they may do; not list it
                mkfifo(place, mode)
                made = True
                fifo = cls(place, record, directory, scope)
            except BaseException as error:
                if directory is not None:
                    shutil.rmtree(directory, ignore_errors=True)
                elif made:
                    os.unlink(place)
                if isinstance(error, OSError):
                    error.add_note(f"while making a FIFO at {place}")
                raise
            status = os.fstat(fifo._anchor)
            record.made(dev=status.st_dev, ino=status.st_ino)
        return fifo

    def __repr__(self) -> str:
        return f"<Fifo {self.path}>"

    def descriptors(self) -> list[int]:
        """Those of the ends that were opened here and are still open."""
        return [fd for end in self._ends for fd in end.descriptors()]

    def open_reader(self, timeout: float | None = DEFAULT_TIMEOUT) -> End:
        """Open for reading as open(2) with O_RDONLY does: done when there is a writer. The end blocks as usual.

        TimeoutError when no writer has come within *timeout* seconds; OSError.
        """
        self._usable()
        deadline = Deadline(check_timeout(timeout))
        fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not deadline.until(lambda: _writer_came(fd), fd):
                raise TimeoutError(f"no writer opened {self.path} within {timeout} s")
        except BaseException:
            os.close(fd)
            raise
        return self._opened(fd, "read")

    def open_writer(self, timeout: float | None = DEFAULT_TIMEOUT) -> End:
        """Open for writing as open(2) with O_WRONLY does: done when there is a reader. The end blocks as usual.

        TimeoutError when no reader has come within *timeout* seconds; OSError.
        """
        self._usable()
        for _ in Deadline(check_timeout(timeout)).rounds():
            try:
                fd = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                if error.errno != ENXIO:
                    raise
            else:
                return self._opened(fd, "write")
        raise TimeoutError(f"no reader opened {self.path} within {timeout} s")

    def _opened(self, fd: int, name: str) -> End:
        os.set_blocking(fd, True)
        end = End(fd, f"{name} end of {self.path}", self._scope)
        self._ends.append(end)
        return end

    def _end(self) -> None:
        with ExitStack() as steps:  # from the last to the first, each whatever became of the others
            steps.callback(self._record.closed)
            if self._directory is not None:
                steps.callback(shutil.rmtree, self._directory, ignore_errors=True)
            steps.callback(os.close, self._anchor)
            steps.callback(self._unlink_and_release)
            for end in self._ends:
                steps.callback(end.close)

    def _unlink_and_release(self) -> None:
        """Remove the file and let go whoever is blocked in opening it: an O_RDWR open is a reader and a writer at once.

        That open stays until the name is gone, so that nobody can come in between and block after the release. It goes by the
        anchor: also who waits at a name that the test has taken away is let go.
        """
        anchored, mine = f"/proc/self/fd/{self._anchor}", os.fstat(self._anchor)
        keeper = None
        with suppress(OSError):  # another user's by now; no /proc; a system that has no O_RDWR for FIFOs
            if mine.st_mode & 0o600 != 0o600:
                os.chmod(anchored, 0o600)
            keeper = os.open(anchored, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            with suppress(FileNotFoundError):  # the test removed it
                if os.path.samestat(os.lstat(self.path), mine):  # else the test put another file in its place, not ours
                    os.unlink(self.path)
        finally:
            if keeper is not None:
                os.close(keeper)


def _writer_came(fd: int) -> bool:
    """Whether a writer has opened the FIFO that *fd* reads, even if it has left again. Consumes nothing."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if poll.poll(0):  # data, or the hang-up of a writer that has been there
        return True
    scratch_read, scratch_write = os.pipe()
    try:
        return tee(fd, scratch_write, 1, SPLICE_F_NONBLOCK) > 0
    except BlockingIOError:
        return True
    finally:
        os.close(scratch_read)
        os.close(scratch_write)
