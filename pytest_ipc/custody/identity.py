"""Who a process is, for certain: a pid names another process tomorrow, a pid with its start time and boot does not.

Only the stdlib is used here and in the rest of custody's record-keeping: the reaper runs it with `python -I -S`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from ..unpatched import io, os

# Linux has not enforced this limit since 2.4.25, and what a process sets there every descendant of it has, through fork,
# exec, setsid and a change of user. So it can carry a tag: a random number by which the kernel itself tells whose child is
# whose, also when all ties of parenthood and process group are cut.
RLIMIT_LOCKS = 10


@dataclass(frozen=True)
class Process:
    """One process and no other: pid, start time in clock ticks since boot."""

    pid: int
    start: int

    @classmethod
    def current(cls) -> Process:
        """This process, by the number that /proc knows it by: in a PID namespace of its own it has another one for itself."""
        try:
            pid = int(os.readlink("/proc/self"))
        except (OSError, ValueError):
            pid = os.getpid()
        return cls(pid, start_of(pid) or 0)

    def alive(self) -> bool:
        """Whether it still runs, or is stopped. A zombie has ended."""
        found = stat_of(self.pid)
        return found is not None and found[0] not in "ZX" and found[1] == self.start


def stat_of(pid: int) -> tuple[str, int] | None:
    """State letter and start time of a process; None when there is none, or none that can be seen."""
    try:
        # As in kernel/proc.py; one read gives all of it.
        fd = os.open(f"/proc/{pid}/task/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fields = os.read(fd, 4096).rpartition(b")")[2].split()
        finally:
            os.close(fd)
        return fields[0].decode(), int(fields[19])
    except (IndexError, ValueError):
        return None
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        return None


def start_of(pid: int) -> int | None:
    """The start time of a process in clock ticks since boot."""
    found = stat_of(pid)
    return found[1] if found else None


@cache
def boot_id() -> str:
    """The id of this boot of this kernel, or "" where it is not shown."""
    try:
        with io.open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def ipc_namespace() -> str:
    """The IPC namespace of this thread, as "ipc:[4026531839]", or "" where it is not shown."""
    for path in _IPC_NAMESPACES:
        try:
            return os.readlink(path)
        except OSError as error:
            if error.errno is None:
                raise
    return ""


# A thread may have moved alone. Before Linux 3.17 it has no link of its own.
_IPC_NAMESPACES = ("/proc/thread-self/ns/ipc", "/proc/self/ns/ipc")


_FIRST_PID_NAMESPACE = "pid:[4026531836]"  # the number is fixed in the kernel (PROC_PID_INIT_INO)


def pid_namespace() -> str:
    """The PID namespace whose numbers /proc shows, or "" where that is not known.

    A process in a namespace of its own may still have its parent's /proc, and is known by the number that it has there.
    """
    try:
        own = int(os.readlink("/proc/self")) == os.getpid()
        return os.readlink("/proc/self/ns/pid") if own else ""
    except (OSError, ValueError):
        return ""


def pid_namespace_lives(name: str) -> bool:
    """Whether a process of the PID namespace *name* may exist. Only from the first namespace can all others be seen."""
    return pid_namespace() != _FIRST_PID_NAMESPACE or _is_seen("pid", name)


def _is_seen(kind: str, name: str) -> bool:
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            try:
                if os.readlink(f"/proc/{pid}/ns/{kind}") == name:
                    return True
            except OSError:
                continue
    return False


# What a tag lies between: nobody sets such a limit to limit anything.
TAGS = (1 << 61, (1 << 61) + (1 << 60) - 1)


def new_tag() -> int:
    """A number that no other process on this machine has as its limit of file locks."""
    return int.from_bytes(os.urandom(8), "big") >> 4 | TAGS[0]


def put_on(tag: int) -> bool:
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
