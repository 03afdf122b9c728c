"""Descendants of a process: parents, children, and the tag that children of the `fork` fixture inherit.

Only parenthood proves descent, as users can set any attribute of their own processes. But once its parent has ended, a
process is a child of a subreaper or of init, and /proc no longer shows its origin. For orphans that this process has
adopted, two inherited attributes identify the child they came from:

- the tag (identity.py), the soft limit RLIMIT_LOCKS: one number per child. su, runuser (pam_limits) and prlimit reset
  it.
- the mark, two bits of /proc/PID/coredump_filter: the generation of children, modulo 3. Nothing resets it, but all
  children of a process share it. The two bits select mappings of DAX devices, which tests do not have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from functools import cache, partial
from typing import NamedTuple

from ..unpatched import io, os, signal
from .cleanup import failures_ignored, finish
from .identity import has_ended, start_offset

__all__ = [
    "Row",
    "below",
    "children_of",
    "has_children",
    "is_reaper",
    "is_zombie",
    "lists_children",
    "mark_of",
    "mark_self",
    "marked",
    "nothing_missed",
    "parent_thread",
    "processes",
    "row_of",
    "signal_process",
    "uids_of",
]


_WALL = 0x4000_0000  # not in os: children that do not end with SIGCHLD, too


class Row(NamedTuple):
    """Some fields of /proc/PID/stat (proc_pid_stat(5)); `start` is as in identity.Process."""

    pid: int
    has_ended: bool
    ppid: int
    pgrp: int
    session: int
    start: int


def row_of(pid: int | str) -> Row | None:
    """Return the row of process *pid*; None if it does not exist or is not visible."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            line = os.read(fd, 4096)
        finally:
            os.close(fd)
        fields = line.rpartition(b")")[2].split()
        ppid, pgrp, session = map(int, fields[1:4])
        start = int(fields[19]) - (start_offset() or 0)
        return Row(int(line.split(maxsplit=1)[0]), has_ended(fields), ppid, pgrp, session, start)
    except (IndexError, ValueError):
        return None
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        return None


@cache
def lists_children() -> bool:
    """Return whether the kernel lists the children of a process (CONFIG_PROC_CHILDREN)."""
    return os.path.exists("/proc/thread-self/children")


def has_children() -> bool:
    """Return whether this process has children, zombies included, also those of other threads and of clone(2)."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | _WALL)
    except ChildProcessError:
        return False
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        # Before Linux 4.7, or where a sandbox does not know it: what others start by clone(2) is not seen.
        with suppress(ChildProcessError):
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            return True
        return False
    return True


def children_of(pid: int | str) -> list[int]:
    """Return the children of all threads of process *pid*, including zombies. Requires lists_children().

    The list may miss processes while children start and end, so look twice if none may be missed.
    """
    found: list[int] = []
    with failures_ignored:  # the process has ended
        for thread in os.listdir(f"/proc/{pid}/task"):
            with failures_ignored:  # the thread has ended
                fd = os.open(f"/proc/{pid}/task/{thread}/children", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    text = b""
                    while part := os.read(fd, 65536):
                        text += part
                finally:
                    os.close(fd)
                found += map(int, text.split())
    return found


def parent_thread(pid: int) -> int | None:
    """Return the thread of this process whose child process *pid* is; None if it is none's, or they are not listed."""
    if lists_children():
        for thread in map(int, os.listdir("/proc/self/task")):
            with failures_ignored, io.open(f"/proc/self/task/{thread}/children", "rb") as file:  # it may have ended
                if b"%d" % pid in file.read().split():
                    return thread
    return None


def nothing_missed() -> None:
    """Do nothing: the default for callers that do not count processes that end before they are read."""


def processes(missed: Callable[[], None] = nothing_missed, known: AbstractSet[int] = frozenset()) -> Iterator[Row]:
    """Yield every process of this PID namespace once; call *missed* for each that ends before it is read.

    The listing repeats until it shows no new process, at most 100 times: unless some were missed, all processes alive
    near the end have been seen. Process ids in *known* are skipped.
    """
    seen = {str(pid) for pid in known}
    for _ in range(100):
        try:
            names = {name for name in os.listdir("/proc") if name.isdigit()} - seen
        except OSError:  # /proc is not mounted
            return
        if not names:
            return
        seen |= names
        for name in sorted(names, key=int):
            row = row_of(name)
            if row is not None:
                yield row
            else:
                missed()
    missed()


def below(
    pid: int | str, missed: Callable[[], None] = nothing_missed, known: AbstractSet[int] = frozenset()
) -> Iterator[Row]:
    """Yield the descendants of a process, or all processes() if the kernel does not list children."""
    if not lists_children():
        yield from processes(missed, known)
        return
    children = children_of(pid)
    while children:
        child = children.pop()
        row = row_of(child)
        if row is not None:
            yield row
            children += children_of(child)


_SHIFT, _MARKS = 7, 3


def mark_of(pid: int | str) -> int:
    """Return the mark of a process; 0 if it has none, has ended, or the kernel does not show it."""
    try:
        with io.open(f"/proc/{pid}/coredump_filter", "rb") as file:
            return int(file.read() or b"0", 16) >> _SHIFT & _MARKS
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is None:  # a signal's handler raised it
            raise
        return 0


def mark_self() -> None:
    """Give this new child the mark after its parent's; its descendants inherit it."""
    with suppress(OSError, ValueError):  # no /proc, or no core dumps in this kernel: the mark is one proof of several
        fd = os.open(_FILTER, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.write(fd, _with_next_mark(os.read(fd, 64)))
        finally:
            os.close(fd)


_FILTER = "/proc/self/coredump_filter"


def _with_next_mark(filter: bytes) -> bytes:
    before = int(filter, 16)
    mark = (before >> _SHIFT & _MARKS) % 3 + 1
    return b"%#x" % (before & ~(_MARKS << _SHIFT) | mark << _SHIFT)


@contextmanager
def marked() -> Iterator[None]:
    """Give this process the mark of a child within the block, for a child that cannot mark itself."""
    fd, before = None, b""
    try:
        with suppress(OSError, ValueError):  # as above
            fd = os.open(_FILTER, os.O_RDWR | os.O_CLOEXEC)
            before = os.read(fd, 64)
            os.write(fd, _with_next_mark(before))
        yield
    finally:
        if fd is not None:
            try:
                if before:
                    finish(partial(os.write, fd, b"0x" + before.strip()))
            finally:
                os.close(fd)


def is_reaper(pid: int) -> bool:
    """Return whether a process is the reaper of another run, such as a pytest that a child has started."""
    try:
        with io.open(f"/proc/{pid}/cmdline", "rb") as file:
            arguments = file.read().split(b"\0")
    except OSError as error:
        if error.errno is None:
            raise
        return False
    return arguments[1:4] == [b"-I", b"-S", b"-c"] and b"from pytest_ipc.custody.reaper import main" in arguments[4]


def uids_of(pid: int) -> tuple[int, ...]:
    """Return the real, effective, saved and file system user ids of a process; () if it is gone."""
    try:
        with io.open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith("Uid:"):
                    return tuple(map(int, line.split()[1:5]))
    except (OSError, ValueError):  # it has ended, or there is no /proc
        pass
    return ()


def is_zombie(pid: int) -> bool:
    """Return whether the process is a zombie or gone."""
    row = row_of(pid)
    return row is None or row.has_ended


def signal_process(pid: int, is_ours: Callable[[int], bool], signo: int = signal.SIGKILL) -> bool:
    """Signal a process through a pidfd, if *is_ours* confirms it once the pidfd has pinned the process.

    Return False if this process may not signal it.
    """
    if pid <= 1:
        return True
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except (OSError, AttributeError):  # no pidfd_open: check directly before the call
        return not is_ours(pid) or _signalled(os.kill, pid, signo)
    try:
        return not is_ours(pid) or _signalled(signal.pidfd_send_signal, pidfd, signo)
    finally:
        os.close(pidfd)


def _signalled(send: Callable[[int, int], None], target: int, signo: int) -> bool:
    try:
        with suppress(ProcessLookupError):  # it has ended
            send(target, signo)
    except PermissionError:
        return False
    except OSError:  # a sandbox refuses pidfd_send_signal(2)
        return True
    return True
