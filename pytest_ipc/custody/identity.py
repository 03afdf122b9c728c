"""The identity of a process: pid, start time and boot, as pids are reused.

This module, like the rest of custody, uses only the stdlib: the reaper runs it with `python -I -S`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from errno import ESRCH
from typing import NamedTuple

from ..unpatched import io, os

# Linux has not enforced this limit since 2.4.25, and descendants inherit it through fork, exec, setsid and setuid. So
# it carries a tag, a random number that identifies a child's descendants without parenthood or process group.
RLIMIT_LOCKS = 10


class Process(NamedTuple):
    """A unique process: pid, and start time in clock ticks since boot, in the first time namespace."""

    pid: int
    start: int

    @classmethod
    def current(cls) -> Process:
        """Return this process, with its pid in /proc: not getpid() if /proc is of another PID namespace."""
        try:
            pid = int(os.readlink("/proc/self"))
        except ValueError:
            pid = os.getpid()
        except OSError as error:
            if error.errno is None:  # a signal's handler raised it
                raise
            pid = os.getpid()
        return cls(pid, start_of(pid) or 0)

    def alive(self, *, slack: int = 0) -> bool:
        """Return whether it runs or is stopped; a zombie has ended. The start time may differ by *slack* ticks."""
        found = stat_of(self.pid)
        if found is None or found[0]:
            return False
        return abs(found[1] - (start_offset() or 0) - self.start) <= slack

    def may_live(self, *, slack: int = 0) -> bool:
        """Return whether it is alive() or not visible."""
        return self.alive(slack=slack) or is_hidden(self.pid)


def is_hidden(pid: int) -> bool:
    """Return whether process *pid* exists but /proc hides it from this process, as with hidepid (proc(5)).

    Valid only if /proc is of this process's own PID namespace.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
    return stat_of(pid) is None


def proc_is_mounted() -> bool:
    """Return whether proc(5) is mounted, which is required to determine that a process has ended."""
    return os.path.lexists("/proc/self")


def stat_of(pid: int) -> tuple[bool, int] | None:
    """Return whether a process has ended, and its start time in /proc; None if it does not exist or is not visible."""
    try:
        # One read returns the whole file, as in kernel/proc.py.
        fd = os.open(f"/proc/{pid}/task/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fields = os.read(fd, 4096).rpartition(b")")[2].split()
        finally:
            os.close(fd)
        return has_ended(fields), int(fields[19])
    except (IndexError, ValueError):
        return None
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        return None


def has_ended(fields: Sequence[bytes]) -> bool:
    """Return whether a process is a zombie, from the *fields* after its name in /proc/PID/stat.

    The state there is that of the first thread, which may end while other threads run.
    """
    return fields[0] in (b"Z", b"X") and int(fields[17]) <= 1


def start_of(pid: int) -> int | None:
    """Return the start time of a process in clock ticks since boot, in the first time namespace."""
    found = stat_of(pid)
    return found[1] - (start_offset() or 0) if found else None


_FIRST_TIME_NAMESPACE = "time:[4026531834]"  # fixed in the kernel (PROC_TIME_INIT_INO)

_offset: tuple[int, int | None] = (0, 0)


def start_offset() -> int | None:
    """Return the offset of start times in this process's /proc from the first time namespace, in clock ticks.

    Return None if it is unknown: this process has made a time namespace for its children and is not in the first
    itself.
    """
    global _offset
    pid = os.getpid()
    if _offset[0] != pid:
        _offset = pid, _read_offset()
    return _offset[1]


def _read_offset() -> int | None:
    try:
        own = os.readlink("/proc/self/ns/time")
        if own == _FIRST_TIME_NAMESPACE:
            return 0
        if own != os.readlink("/proc/self/ns/time_for_children"):
            return None
        with io.open("/proc/self/timens_offsets") as file:
            for line in file:
                clock, seconds, nanoseconds = line.split()
                if clock in ("boottime", "7"):
                    return (int(seconds) * 10**9 + int(nanoseconds)) * os.sysconf("SC_CLK_TCK") // 10**9
    except FileNotFoundError:  # a kernel without time namespaces, or without /proc
        return 0
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is None:
            raise
    return None


# The range of tags: no real limit is in it.
TAGS = (1 << 61, (1 << 61) + (1 << 60) - 1)


def new_tag() -> int:
    """Return a random tag that no other process has as its RLIMIT_LOCKS."""
    return int.from_bytes(os.urandom(8), "big") >> 4 | TAGS[0]


def set_tag(tag: int) -> bool:
    """Tag this process and its future descendants. Return whether the kernel accepted it."""
    import resource

    try:
        resource.setrlimit(RLIMIT_LOCKS, (tag, resource.getrlimit(RLIMIT_LOCKS)[1]))
    except (OSError, ValueError):
        return False
    return True


_TAGGED = re.compile(rb"^Max file locks +(\d+)", re.MULTILINE)


def tag_of(pid: int | str) -> int | None:
    """Return the tag of a process, also of a zombie; None if it has none, is gone, or the kernel does not show it."""
    try:
        found = limit_on_locks(pid)
    except OSError as error:
        if error.errno is None:
            raise
        return None
    return found


def limit_on_locks(pid: int | str) -> int | None:
    """Return the soft limit RLIMIT_LOCKS of a process, None if it has none. OSError if it is gone or not visible."""
    # One read returns the whole file. This runs for every process of the machine.
    fd = os.open(f"/proc/{pid}/limits", os.O_RDONLY | os.O_CLOEXEC)
    try:
        limits = os.read(fd, 4096)
    finally:
        os.close(fd)
    if not limits:
        raise ProcessLookupError(ESRCH, os.strerror(ESRCH))  # it was reaped meanwhile
    found = _TAGGED.search(limits)
    return int(found[1]) if found else None


def tagged(tag: int) -> list[int]:
    """Return the process ids of all visible processes with *tag*."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and tag_of(name) == tag]
