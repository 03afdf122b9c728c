"""The identity of a process: its pid, start time and boot, for the pid alone is reused.

Only the stdlib is used here and in the rest of custody's record-keeping: the reaper runs it with `python -I -S`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..unpatched import io, os

# Linux has not enforced this limit since 2.4.25, and what a process sets there every descendant of it has, through fork,
# exec, setsid and a change of user. So it can carry a tag: a random number by which the kernel itself tells whose child is
# whose, also when all ties of parenthood and process group are cut.
RLIMIT_LOCKS = 10


@dataclass(frozen=True)
class Process:
    """One process and no other: pid, and start time in clock ticks since boot, as the first time namespace has it."""

    pid: int
    start: int

    @classmethod
    def current(cls) -> Process:
        """This process, by the number that /proc knows it by: in a PID namespace of its own it has another one for itself."""
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
        """Whether it still runs, or is stopped. A zombie has ended. *slack* is by how many ticks the start may differ."""
        found = stat_of(self.pid)
        if found is None or found[0]:
            return False
        return abs(found[1] - (start_offset() or 0) - self.start) <= slack

    def may_live(self, *, slack: int = 0) -> bool:
        """Whether it is alive(), or cannot be seen."""
        return self.alive(slack=slack) or is_hidden(self.pid)


def is_hidden(pid: int) -> bool:
    """Return whether there is a process *pid* of which /proc shows nothing to this one, as with hidepid (proc(5)).

    Only where the numbers in /proc are this process's own, too.
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
    """Whether a proc(5) is mounted, without which no process can be told to have ended."""
    return os.path.lexists("/proc/self")


def stat_of(pid: int) -> tuple[bool, int] | None:
    """Return whether a process has ended, and its start time as /proc has it; None when there is none, or none that can be seen."""
    try:
        # As in kernel/proc.py; one read gives all of it.
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
    """Return whether a process is a zombie, by what follows its name in /proc/PID/stat.

    The state there is that of the first thread, which may end alone: the others run on.
    """
    return fields[0] in (b"Z", b"X") and int(fields[17]) <= 1


def start_of(pid: int) -> int | None:
    """Return the start time of a process in clock ticks since boot, as the first time namespace has it."""
    found = stat_of(pid)
    return found[1] - (start_offset() or 0) if found else None


_FIRST_TIME_NAMESPACE = "time:[4026531834]"  # the number is fixed in the kernel (PROC_TIME_INIT_INO)

_offset: tuple[int, int | None] = (0, 0)


def start_offset() -> int | None:
    """Return by how many clock ticks the start times in /proc differ, for this process, from those in the first time namespace.

    None where it cannot be known: this process has made a time namespace for its children and is not in the first one itself.
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


# What a tag lies between: nobody sets such a limit to limit anything.
TAGS = (1 << 61, (1 << 61) + (1 << 60) - 1)


def new_tag() -> int:
    """A number that no other process on this machine has as its limit of file locks."""
    return int.from_bytes(os.urandom(8), "big") >> 4 | TAGS[0]


def set_tag(tag: int) -> bool:
    """Tag this process and all its descendants to come; whether the kernel took it."""
    import resource

    try:
        resource.setrlimit(RLIMIT_LOCKS, (tag, resource.getrlimit(RLIMIT_LOCKS)[1]))
    except (OSError, ValueError):
        return False
    return True


_TAGGED = re.compile(rb"^Max file locks\s+(\d+)", re.MULTILINE)


def tag_of(pid: int | str) -> int | None:
    """The tag of a process, zombies included; None when it has none, or is gone, or the kernel does not show it."""
    try:
        with io.open(f"/proc/{pid}/limits", "rb") as file:
            found = _TAGGED.search(file.read())
    except OSError as error:
        if error.errno is None:
            raise
        return None
    return int(found[1]) if found else None


def tagged(tag: int) -> list[int]:
    """Every process on this machine that has *tag*."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and tag_of(name) == tag]
