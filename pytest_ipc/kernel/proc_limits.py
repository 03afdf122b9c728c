"""Every documented limit of IPC on this machine: its value, its unit, its file, its manual page.

Limits are read at each call and not cached: they change with the namespace and the process.
"""

from __future__ import annotations

import math
import resource
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..unpatched import io, os

__all__ = ["Limit", "limits", "read_limit"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit: `value` in `unit`, infinite without a limit, None if it cannot be read for `reason`.

    `source` is the file or the call that it comes from, `page` the manual page that documents it.
    """

    name: str
    value: float | None
    unit: str
    source: str
    page: str
    reason: str = ""


class _Unreadable(Exception):
    """The reason why a limit has no value here."""


def _file(path: str, field: int, endless: int | None) -> float:
    try:
        with io.open(path) as file:
            value = int(file.read().split()[field])
            return math.inf if value == endless else value
    except OSError as error:
        raise _Unreadable(f"{path}: {error.strerror}") from None
    except (IndexError, ValueError):
        raise _Unreadable(f"{path} does not contain a number") from None


def _resource(number: int, which: int) -> float:
    try:
        value = resource.getrlimit(number)[which]
    except (OSError, ValueError) as error:
        raise _Unreadable(f"getrlimit: {error}") from None
    return math.inf if value == resource.RLIM_INFINITY else value


def _sysconf(name: str) -> float:
    try:
        value = os.sysconf(name)
    except (OSError, ValueError) as error:
        raise _Unreadable(f"sysconf: {error}") from None
    return math.inf if value == -1 else value


def _pipe_buf() -> float:
    read, write = os.pipe()
    try:
        return os.fpathconf(write, "PC_PIPE_BUF")
    except OSError as error:
        raise _Unreadable(f"fpathconf: {error.strerror}") from None
    finally:
        os.close(read)
        os.close(write)


def _room(path: str, *, free: bool) -> float:
    try:
        found = os.statvfs(path)
    except OSError as error:
        raise _Unreadable(f"{path}: {error.strerror}") from None
    if not found.f_blocks:  # a tmpfs mounted without a limit
        return math.inf
    return found.f_frsize * (found.f_bavail if free else found.f_blocks)


_Row = tuple[str, str, str, Callable[[], float]]


def _sysctl(
    name: str, unit: str, page: str, *, field: int = 0, suffix: str = "", endless: int | None = None
) -> tuple[str, _Row]:
    """Return the row of a file; *endless* is the number in it that stands for no limit."""
    path = f"/proc/sys/{name}"
    return name.replace("/", ".") + suffix, (unit, path, page, partial(_file, path, field, endless))


def _of_process(name: str, number: int, unit: str, hard: bool) -> tuple[str, _Row]:
    source = f"getrlimit(RLIMIT_{name})"
    return f"RLIMIT_{name}" + ".hard" * hard, (unit, source, "getrlimit(2)", partial(_resource, number, int(hard)))


def _of_system(name: str, constant: str, unit: str, page: str) -> tuple[str, _Row]:
    return name, (unit, f"sysconf({constant})", page, partial(_sysconf, constant))


# The stdlib does not name all of them; the numbers are the same on every machine of the tables.
_RESOURCES = (
    ("NOFILE", resource.RLIMIT_NOFILE, "descriptors"),
    ("NPROC", resource.RLIMIT_NPROC, "processes"),
    ("MEMLOCK", resource.RLIMIT_MEMLOCK, "bytes"),
    ("SIGPENDING", 11, "signals"),
    ("MSGQUEUE", 12, "bytes"),
    ("FSIZE", resource.RLIMIT_FSIZE, "bytes"),
    ("AS", resource.RLIMIT_AS, "bytes"),
    ("DATA", resource.RLIMIT_DATA, "bytes"),
    ("STACK", resource.RLIMIT_STACK, "bytes"),
)

_TABLE: dict[str, _Row] = dict(
    (
        _sysctl("kernel/shmmax", "bytes", "shmget(2)"),
        _sysctl("kernel/shmall", "pages", "shmget(2)"),
        _sysctl("kernel/shmmni", "segments", "shmget(2)"),
        _sysctl("kernel/shm_rmid_forced", "0 or 1", "proc(5)"),
        _sysctl("kernel/shm_next_id", "identifier", "proc(5)"),
        _sysctl("kernel/sem", "semaphores of a set", "semget(2)", field=0, suffix=".semmsl"),
        _sysctl("kernel/sem", "semaphores", "semget(2)", field=1, suffix=".semmns"),
        _sysctl("kernel/sem", "operations of a call", "semop(2)", field=2, suffix=".semopm"),
        _sysctl("kernel/sem", "sets", "semget(2)", field=3, suffix=".semmni"),
        _sysctl("kernel/sem_next_id", "identifier", "proc(5)"),
        _sysctl("kernel/msgmax", "bytes", "msgop(2)"),
        _sysctl("kernel/msgmnb", "bytes", "msgget(2)"),
        _sysctl("kernel/msgmni", "queues", "msgget(2)"),
        _sysctl("kernel/auto_msgmni", "0 or 1", "proc(5)"),
        _sysctl("kernel/msg_next_id", "identifier", "proc(5)"),
        _sysctl("fs/mqueue/queues_max", "queues", "mq_overview(7)"),
        _sysctl("fs/mqueue/msg_max", "messages", "mq_overview(7)"),
        _sysctl("fs/mqueue/msgsize_max", "bytes", "mq_overview(7)"),
        _sysctl("fs/mqueue/msg_default", "messages", "mq_overview(7)"),
        _sysctl("fs/mqueue/msgsize_default", "bytes", "mq_overview(7)"),
        _sysctl("fs/pipe-max-size", "bytes", "pipe(7)"),
        _sysctl("fs/pipe-user-pages-soft", "pages", "pipe(7)", endless=0),
        _sysctl("fs/pipe-user-pages-hard", "pages", "pipe(7)", endless=0),
        _sysctl("fs/nr_open", "descriptors", "proc(5)"),
        _sysctl("fs/file-max", "open files", "proc(5)"),
        _sysctl("vm/max_map_count", "mappings", "proc(5)"),
        _sysctl("fs/lease-break-time", "seconds", "proc(5)"),
        _sysctl("fs/leases-enable", "0 or 1", "proc(5)"),
        _sysctl("net/core/somaxconn", "connections", "listen(2)"),
        _sysctl("net/core/rmem_default", "bytes", "socket(7)"),
        _sysctl("net/core/rmem_max", "bytes", "socket(7)"),
        _sysctl("net/core/wmem_default", "bytes", "socket(7)"),
        _sysctl("net/core/wmem_max", "bytes", "socket(7)"),
        _sysctl("net/core/optmem_max", "bytes", "socket(7)"),
        _sysctl("net/unix/max_dgram_qlen", "datagrams", "unix(7)"),
        *(_of_process(name, number, unit, hard) for name, number, unit in _RESOURCES for hard in (False, True)),
        _of_system("PAGE_SIZE", "SC_PAGE_SIZE", "bytes", "sysconf(3)"),
        _of_system("IOV_MAX", "SC_IOV_MAX", "buffers", "readv(2)"),
        _of_system("SEM_VALUE_MAX", "SC_SEM_VALUE_MAX", "value", "sem_overview(7)"),
        _of_system("SEM_NSEMS_MAX", "SC_SEM_NSEMS_MAX", "semaphores", "sysconf(3)"),
        _of_system("MQ_PRIO_MAX", "SC_MQ_PRIO_MAX", "priorities", "mq_overview(7)"),
        _of_system("MQ_OPEN_MAX", "SC_MQ_OPEN_MAX", "queues", "sysconf(3)"),
        _of_system("SIGQUEUE_MAX", "SC_SIGQUEUE_MAX", "signals", "sysconf(3)"),
        _of_system("RTSIG_MAX", "SC_RTSIG_MAX", "signals", "sysconf(3)"),
        ("PIPE_BUF", ("bytes", "fpathconf(_PC_PIPE_BUF)", "pipe(7)", _pipe_buf)),
        ("/dev/shm size", ("bytes", "statvfs(/dev/shm)", "shm_overview(7)", partial(_room, "/dev/shm", free=False))),
        ("/dev/shm free", ("bytes", "statvfs(/dev/shm)", "shm_overview(7)", partial(_room, "/dev/shm", free=True))),
    )
)


def read_limit(name: str) -> Limit:
    """Return the limit *name*, as in read_limit("kernel.shmmni"). LookupError for an unknown name."""
    try:
        unit, source, page, read = _TABLE[name]
    except KeyError:
        raise LookupError(f"limit must be one of {', '.join(_TABLE)}, not {name!r}") from None
    try:
        return Limit(name, read(), unit, source, page)
    except _Unreadable as error:
        return Limit(name, None, unit, source, page, str(error))


def limits() -> dict[str, Limit]:
    """Return every documented limit of IPC for this process by name.

    Files below /proc/sys have their sysctl(8) name.
    """
    return {name: read_limit(name) for name in _TABLE}
