"""Files of /proc (proc(5)): the state of processes and the call they wait in, System V objects, limits.

Readers return None if the file does not exist or is not readable: sandboxes leave out much of /proc.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..unpatched import os
from .syscalls import syscall_name

__all__ = [
    "ProcessState",
    "SystemCall",
    "SysvMsgRow",
    "SysvSemRow",
    "SysvShmRow",
    "UnixSocketRow",
    "capabilities",
    "limit",
    "limit_fields",
    "open_descriptors",
    "process_state",
    "process_status",
    "process_syscall",
    "process_wchan",
    "set_limit",
    "sysvipc_msg",
    "sysvipc_sem",
    "sysvipc_shm",
    "unix_sockets",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


def contents(path: str) -> bytes:
    """Return the contents of a file of /proc. OSError."""
    # os.open and os.read take a third of the time of open(), and these files are polled.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
    finally:
        os.close(fd)
    return b"".join(parts)


def _read(path: str) -> str | None:
    try:
        return contents(path).decode(errors="surrogateescape")
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        return None


@dataclass(frozen=True, slots=True)
class ProcessState:
    """Part of /proc/PID/stat (proc(5)): the state letter (R, S, D, T, t, Z, X), the parent, the start in ticks."""

    state: str
    ppid: int
    starttime: int


def process_state(pid: int) -> ProcessState | None:
    """Return the state of process *pid*; None if the process does not exist."""
    # The file of its main thread has the same contents; qemu-user fakes /proc/PID/stat for the emulated process itself.
    text = _read(f"/proc/{pid}/task/{pid}/stat")
    if not text:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the command may contain spaces and parentheses
    return ProcessState(fields[0], int(fields[1]), int(fields[19]))


def process_status(pid: int | str = "self") -> dict[str, str]:
    """Return /proc/PID/status as a mapping; empty if it is not readable."""
    lines = (_read(f"/proc/{pid}/status") or "").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@dataclass(frozen=True, slots=True)
class SystemCall:
    """/proc/PID/syscall: the number and the first arguments of the system call that the process is blocked in."""

    number: int
    arguments: tuple[int, ...]

    def __str__(self) -> str:
        return f"{syscall_name(self.number)}({', '.join(map(hex, self.arguments))})"


def process_syscall(pid: int) -> SystemCall | str | None:
    """Return the call that *pid* is blocked in: a SystemCall, "running", or None if /proc does not show it.

    The file needs ptrace access to the process.
    """
    words = (_read(f"/proc/{pid}/syscall") or "").split()
    if not words:
        return None
    if len(words) < 8:  # "running", or "-1 SP PC": blocked, but not in a system call
        return "running"
    return SystemCall(int(words[0]), tuple(int(word, 16) for word in words[1:7]))


def process_wchan(pid: int) -> str | None:
    """Return the kernel function in which *pid* sleeps, or None if /proc does not show it."""
    text = _read(f"/proc/{pid}/wchan")
    return text if text and text != "0" else None


def doing(pid: int) -> str:
    """Return what a process does, as text: its state, its system call, and the kernel function it waits in."""
    state = process_state(pid)
    if state is None:
        return "gone"
    words = [f"in state {state.state}"]
    call, wchan = process_syscall(pid), process_wchan(pid)
    if call is not None:
        words.append(str(call) if call == "running" else f"in {call}")
    if wchan is not None:
        words.append(f"waiting in {wchan}")
    return ", ".join(words)


def open_descriptors() -> list[int]:
    """Return the open descriptors of this process in ascending order. OSError if /proc is not mounted."""
    return [fd for fd in sorted(map(int, os.listdir("/proc/self/fd"))) if _is_open(fd)]


def _is_open(fd: int) -> bool:
    try:
        os.get_inheritable(fd)
    except OSError:
        return False  # the listing's own descriptor
    return True


@dataclass(frozen=True, slots=True)
class SysvShmRow:
    """A row of /proc/sysvipc/shm (proc(5)): size in bytes, times in seconds; rss and swap in bytes."""

    key: int
    shmid: int
    perms: int
    size: int
    cpid: int
    lpid: int
    nattch: int
    uid: int
    gid: int
    cuid: int
    cgid: int
    atime: int
    dtime: int
    ctime: int
    rss: int
    swap: int


def sysvipc_shm() -> list[SysvShmRow] | None:
    """Return every segment of this IPC namespace, or None without /proc/sysvipc."""
    rows = _sysvipc("shm")
    return None if rows is None else [SysvShmRow(*row[:16]) for row in rows]


@dataclass(frozen=True, slots=True)
class SysvSemRow:
    """A row of /proc/sysvipc/sem (proc(5)): times in seconds."""

    key: int
    semid: int
    perms: int
    nsems: int
    uid: int
    gid: int
    cuid: int
    cgid: int
    otime: int
    ctime: int


def sysvipc_sem() -> list[SysvSemRow] | None:
    """Return every semaphore set of this IPC namespace, or None without /proc/sysvipc."""
    rows = _sysvipc("sem")
    return None if rows is None else [SysvSemRow(*row[:10]) for row in rows]


@dataclass(frozen=True, slots=True)
class SysvMsgRow:
    """A row of /proc/sysvipc/msg (proc(5)): bytes and messages in the queue, times in seconds."""

    key: int
    msqid: int
    perms: int
    cbytes: int
    qnum: int
    lspid: int
    lrpid: int
    uid: int
    gid: int
    cuid: int
    cgid: int
    stime: int
    rtime: int
    ctime: int


def sysvipc_msg() -> list[SysvMsgRow] | None:
    """Return every message queue of this IPC namespace, or None without /proc/sysvipc."""
    rows = _sysvipc("msg")
    return None if rows is None else [SysvMsgRow(*row[:14]) for row in rows]


def _sysvipc(name: str) -> list[list[int]] | None:
    """Return the numbers of each row; the third is the mode, in octal."""
    text = _read(f"/proc/sysvipc/{name}")
    if text is None:
        return None
    rows = (line.split() for line in text.splitlines()[1:])
    return [[int(word, 8 if column == 2 else 10) for column, word in enumerate(row)] for row in rows]


_UNIX_ROW = re.compile(r"^\w+: (\w+) \w+ (\w+) (\w+) (\w+) +(\d+)(?: (.*))?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class UnixSocketRow:
    """A row of /proc/net/unix (proc(5)): `path` is b"" for an unnamed socket and begins with @ for an abstract one."""

    refcount: int
    flags: int
    type: int
    state: int
    inode: int
    path: bytes


def unix_sockets() -> list[UnixSocketRow] | None:
    """Return every UNIX socket of this network namespace, or None without /proc/net/unix."""
    text = _read("/proc/self/net/unix")
    if text is None:
        return None
    found = []
    for row in _UNIX_ROW.finditer(text):
        refcount, flags, type, state = (int(word, 16) for word in row.group(1, 2, 3, 4))
        found.append(UnixSocketRow(refcount, flags, type, state, int(row[5]), os.fsencode(row[6] or "")))
    return found


def limit(name: str) -> int | None:
    """Return the number in /proc/sys/NAME, as in limit("kernel/shmmax"); None if it is not readable."""
    found = limit_fields(name)
    return found[0] if found else None


def limit_fields(name: str) -> list[int] | None:
    """Return the numbers in /proc/sys/NAME, as in limit_fields("kernel/sem"); None if the file is not readable."""
    text = _read(f"/proc/sys/{name}")
    return None if text is None else [int(word) for word in text.split()]


def set_limit(name: str, value: int | str) -> None:
    """Write /proc/sys/NAME in one write(2), so that a refusal is this call's OSError."""
    fd = os.open(f"/proc/sys/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(value).encode())
    finally:
        os.close(fd)


def capabilities() -> int | None:
    """Return the effective capabilities of this process as a bit mask (capabilities(7)), or None if not shown."""
    text = process_status().get("CapEff")
    return int(text, 16) if text else None
