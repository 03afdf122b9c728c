"""Documented limits as the reason of an error: the clause could not be tried, and the kernel behaved as documented.

An error is explained only by numbers: a limit that is used up, if the kernel shows its use, or that is below the
manual's default, or below the needs of a clause. With other limits the same error is a deviation.
"""

from __future__ import annotations

import errno
import math
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from errno import (
    E2BIG,
    EAGAIN,
    EDQUOT,
    EFBIG,
    EIDRM,
    EINVAL,
    EMFILE,
    ENFILE,
    ENOBUFS,
    ENOENT,
    ENOMEM,
    ENOSPC,
    EPERM,
    EROFS,
    ETOOMANYREFS,
)
from functools import partial

from ...kernel.descriptor import getpipe_size
from ...kernel.proc import limit_fields, open_descriptors, process_status, sysvipc_msg, sysvipc_sem, sysvipc_shm
from ...kernel.proc_limits import read_limit
from ...unpatched import os
from ..clause import Deviation
from ..need import Need

__all__ = ["few_processes", "limit_in_the_way", "need_of", "small_pipes"]

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True, slots=True)
class _Row:
    """The errnos that a limit documents for the calls that *calls* matches; *reached* describes the limit, or is ""."""

    errnos: frozenset[int]
    calls: str
    reached: Callable[[], str]


def limit_in_the_way(error: BaseException | None) -> str:
    """Return the limit that explains *error*, or its cause, with the numbers; "" if none does."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        for number, call in _failures(error):
            for row in _ROWS:
                if number in row.errnos and re.match(row.calls, call) and (found := row.reached()):
                    return found
        error = error.__cause__
    return ""


def need_of(limit: str) -> Need:
    """Return the need that is unmet because of *limit*, a result of limit_in_the_way()."""
    if limit.startswith(("RLIMIT_", "pids.max")):
        return Need.PROCESS_LIMITS
    if limit.endswith("is mounted read-only"):
        return Need.FILE_SYSTEM
    return Need.RESOURCES if " has room for " in limit else Need.MACHINE_LIMITS


def _failures(error: BaseException) -> Iterator[tuple[int, str]]:
    """Yield the errno and the call of an error and of its causes."""
    if isinstance(error, MemoryError):
        yield ENOMEM, ""
    elif isinstance(error, Deviation):  # one that a child sent has no cause
        if found := re.match(r"(?:a call|(\w+)) failed with (E\w+) ", error.observed):
            yield getattr(errno, found[2], 0), found[1] or ""
    elif isinstance(error, OSError) and error.errno is not None:
        call, colon, _ = (error.strerror or "").partition(": ")
        yield error.errno, call if colon and call.isidentifier() else ""
    elif isinstance(error, RuntimeError) and "start new thread" in str(error):
        yield EAGAIN, "fork"


def _below(name: str, least: float, needs: str = "less than its default of") -> str:
    value = read_limit(name).value
    if value is None or value >= least:
        return ""
    return f"{name} is {value:,.0f}, {needs} {least:,.0f}"


def _used_up(name: str, used: Callable[[], int | None], margin: int = 0) -> str:
    value = read_limit(name).value
    if value is None or math.isinf(value) or (count := used()) is None or count + margin < value:
        return ""
    return f"{name} is {value:,.0f}, and {count:,} of them are in use"


def _either(*reasons: Callable[[], str]) -> str:
    return next((found for reason in reasons if (found := reason())), "")


def _descriptors() -> str:
    # The clause may have closed some since: with a low limit, half of it counts as used up.
    return _either(
        partial(_below, "RLIMIT_NOFILE", 300, "and a clause opens up to"),
        partial(_used_up, "RLIMIT_NOFILE", lambda: len(list(open_descriptors())), 20),
    )


def _signals() -> str:
    queued, _, most = process_status().get("SigQ", "").partition("/")
    if not most.isdigit() or not queued.isdigit():
        return _below("RLIMIT_SIGPENDING", 64, "and a clause queues up to")
    if int(queued) + 64 <= int(most):
        return ""
    return f"RLIMIT_SIGPENDING is {int(most):,}, and {int(queued):,} of them are in use"


def few_processes() -> str:
    """Return the limit that allows this user no or few more processes; "" if there is none."""
    uid = os.getuid()

    def threads() -> int:
        count = 0
        for pid in os.listdir("/proc"):
            with suppress(OSError, ValueError):  # it has ended
                if os.stat(f"/proc/{int(pid)}").st_uid == uid:
                    count += len(os.listdir(f"/proc/{pid}/task"))
        return count

    # The processes of a clause have ended by now, and others of this user may not be visible.
    return _either(
        partial(_below, "RLIMIT_NPROC", 64, "and a clause starts up to"),
        partial(_used_up, "RLIMIT_NPROC", threads, 20),
        partial(_cgroup, "pids.max", "pids.current"),
    )


def _cgroup(most: str, now: str) -> str:
    """Return the reached limit of the control group, if any (cgroups(7), version 2)."""
    try:
        with open("/proc/self/cgroup") as groups:
            group = next(line[3:].strip() for line in groups if line.startswith("0::"))
        with open(f"/sys/fs/cgroup{group}/{most}") as file:
            limit = int(file.read())
        with open(f"/sys/fs/cgroup{group}/{now}") as file:
            used = int(file.read())
    except (OSError, ValueError, StopIteration):
        return ""
    return f"{most} of the control group is {limit:,}, and {used:,} are in use" if used + 20 >= limit else ""


def _open_files() -> str:
    fields = limit_fields("fs/file-nr")
    return _used_up("fs.file-max", lambda: fields[0] if fields else None, 100)


def _memory() -> str:
    return _either(
        partial(_below, "RLIMIT_AS", 2048 * MIB, "and the suite needs up to"),
        partial(_below, "RLIMIT_DATA", 1024 * MIB, "and the suite needs up to"),
        partial(_below, "vm.max_map_count", 65530),
        _strict_commitment,
    )


def _strict_commitment() -> str:
    mode = limit_fields("vm/overcommit_memory")
    return "vm.overcommit_memory is 2: memory is refused before it is used" if mode == [2] else ""


def small_pipes() -> str:
    """Return the limit that gives a new pipe of this user fewer than the 16 pages of pipe(7); "" if there is none."""
    try:
        ends = os.pipe()
    except OSError as error:
        return _taken("fs.pipe-user-pages-hard") if error.errno == ENFILE else ""
    try:
        capacity = getpipe_size(ends[0])
    except OSError:
        return ""
    finally:
        for end in ends:
            os.close(end)
    whole = 16 * os.sysconf("SC_PAGE_SIZE")
    if capacity >= whole:
        return ""
    return _below("fs.pipe-max-size", whole, "less than 16 pages, which are") or _taken("fs.pipe-user-pages-soft")


def _taken(name: str) -> str:
    most = read_limit(name).value
    return "" if most is None else f"{name} is {most:,.0f} pages, and the pipes of this user hold as many"


def _disk() -> str:
    for folder in (tempfile.gettempdir(), "/dev/shm"):
        with suppress(OSError):  # there is no such folder
            room = os.statvfs(folder)
            free = room.f_frsize * room.f_bavail
            if room.f_blocks and free < 64 * MIB:
                return f"{folder} has room for {free:,} bytes"
            if room.f_files and room.f_favail < 100:
                return f"{folder} has room for {room.f_favail:,} files"
    return ""


def _read_only() -> str:
    for folder in (tempfile.gettempdir(), "/dev/shm"):
        with suppress(OSError):  # there is no such folder
            if os.statvfs(folder).f_flag & os.ST_RDONLY:
                return f"{folder} is mounted read-only"
    return ""


def _segments() -> str:
    return _either(
        partial(_below, "kernel.shmmni", 4096),
        partial(_below, "kernel.shmall", 32768, "and the suite needs up to"),
        partial(_used_up, "kernel.shmmni", partial(_rows, sysvipc_shm), 20),
    )


def _forced_removal() -> str:
    mode = limit_fields("kernel/shm_rmid_forced")
    return "kernel.shm_rmid_forced is 1: segments are removed at their last detach" if mode == [1] else ""


def _sets() -> str:
    return _either(
        partial(_below, "kernel.sem.semmni", 32000),
        partial(_below, "kernel.sem.semmns", 32000),
        partial(_used_up, "kernel.sem.semmni", partial(_rows, sysvipc_sem), 20),
    )


def _queues() -> str:
    return _either(
        partial(_below, "kernel.msgmni", 32000),
        partial(_used_up, "kernel.msgmni", partial(_rows, sysvipc_msg), 20),
    )


def _rows(table: Callable[[], Sequence[object] | None]) -> int | None:
    rows = table()
    return None if rows is None else len(rows)


def _row(calls: str, reached: Callable[[], str], *errnos: int) -> _Row:
    return _Row(frozenset(errnos), calls, reached)


_ROWS = (
    _row(r"mq_open|$", partial(_below, "RLIMIT_MSGQUEUE", 819_200), EMFILE),
    _row(r"", _descriptors, EMFILE, ETOOMANYREFS),
    _row(r"", _open_files, ENFILE),
    _row(
        r"pipe|fcntl|write|splice|tee|vmsplice|$",
        partial(_either, small_pipes, partial(_below, "fs.pipe-max-size", MIB)),
        ENFILE,
        EPERM,
        EAGAIN,
    ),
    _row(r"(v?fork|clone3?|pthread_create)?$", few_processes, EAGAIN),
    _row(r"popen", few_processes, EAGAIN, ENOMEM),
    _row(r"sigqueue|pthread_sigqueue|rt_.*sigqueueinfo|pidfd_send_signal|timer_create|$", _signals, EAGAIN),
    _row(
        r"m(un)?lock|mmap|mremap|shmctl|madvise|$",
        partial(_below, "RLIMIT_MEMLOCK", 64 * KIB),
        EAGAIN,
        ENOMEM,
        EPERM,
    ),
    _row(r"", _memory, ENOMEM, EAGAIN),
    _row(r"", partial(_below, "RLIMIT_FSIZE", 64 * MIB, "and a clause writes up to"), EFBIG),
    _row(r"shmget", _segments, ENOSPC, ENOMEM),
    _row(r"shmget", partial(_below, "kernel.shmmax", 64 * MIB, "and a clause asks for up to"), EINVAL),
    _row(r"shmctl|shmat|shmget", _forced_removal, EINVAL, EIDRM, ENOENT),
    _row(r"semget", _sets, ENOSPC),
    _row(r"semget", partial(_below, "kernel.sem.semmsl", 250), EINVAL),
    _row(r"semop|semtimedop", partial(_below, "kernel.sem.semopm", 500), E2BIG),
    _row(r"msgget", _queues, ENOSPC),
    _row(
        r"msgsnd",
        partial(_either, partial(_below, "kernel.msgmax", 8192), partial(_below, "kernel.msgmnb", 16384)),
        EINVAL,
        EAGAIN,
    ),
    _row(r"msgctl", partial(_below, "kernel.msgmnb", 16384), EPERM),
    _row(
        r"mq_open",
        partial(_either, partial(_below, "fs.mqueue.msg_max", 10), partial(_below, "fs.mqueue.msgsize_max", 8192)),
        EINVAL,
    ),
    _row(r"mq_open|$", partial(_below, "fs.mqueue.queues_max", 256), ENOSPC),
    _row(r"", _disk, ENOSPC, EDQUOT),
    _row(r"", _read_only, EROFS),
    _row(r"send|connect|$", partial(_below, "net.unix.max_dgram_qlen", 10), EAGAIN, ENOBUFS),
)
