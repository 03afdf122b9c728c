"""Probe whether this machine meets the needs of clauses: by a trial in a child or by reading, never by a name.

Each returns what is missing, in words, or "" if nothing is. Raises OSError if no child can be forked for the trial.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from errno import EOPNOTSUPP
from functools import partial
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, PAGESIZE, mmap
from pathlib import Path

from ...kernel.bare_fork import fork
from ...kernel.capability import CapabilitySets, capget, capset
from ...kernel.memory import MAP_LOCKED
from ...kernel.namespace import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    MS_PRIVATE,
    MS_REC,
    map_user,
    mount,
    unshare,
)
from ...kernel.pidfd import pidfd_open
from ...kernel.proc import limit, process_syscall, set_limit
from ...kernel.proc_limits import limits
from ...kernel.process import PR_SET_DUMPABLE, prctl
from ...kernel.tracing import PTRACE_TRACEME, ptrace
from ...kernel.version import kernel_is_older
from ...processes.trial import trial
from ...requirements import requires_capability
from .. import suite

# As in the suite: user ids that need not exist.
_USER, _GROUP = 61003, 61101

_NAMESPACES = {"ipc": CLONE_NEWIPC, "mnt": CLONE_NEWNS, "net": CLONE_NEWNET, "pid_for_children": CLONE_NEWPID}

_LOOPBACK = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}

# The files of /proc that clauses read, except limits; "self" also represents other processes.
_FILES = (
    "sysvipc/shm",
    "sysvipc/sem",
    "sysvipc/msg",
    "locks",
    "net/unix",
    "self/smaps",
    "self/fdinfo/0",
    "self/ns/ipc",
)


def capability(name: str) -> str:
    """Probe a capability, such as "CAP_SYS_ADMIN"."""
    return requires_capability(name)() or ""


def other_users() -> str:
    """Probe a change to another user without capabilities."""
    return _refusal(_become_a_stranger)


def files_of_others() -> str:
    """Probe a change of a file's owner."""

    def give_away() -> None:
        os.fchown(os.memfd_create("pytest-ipc-trial"), _USER, _GROUP)

    return _refusal(give_away)


def namespace(name: str) -> str:
    """Probe a new namespace, named as in /proc/self/ns, with a user namespace if required."""
    return _refusal(partial(_leave, name))


def user_namespaces() -> str:
    """Probe a user namespace for a process without capabilities."""

    def life() -> None:
        if capget().effective:
            try:
                _become_a_stranger()
            except OSError:
                capset(CapabilitySets(0, 0, 0))
        _with_a_user_namespace(0)

    return _refusal(life)


def mounts() -> str:
    """Probe mounts of a tmpfs and of the message queues, in a private mount namespace."""

    def life(fstype: str) -> None:
        os.stat("/proc/self/ns/mnt")  # without it, nothing shows whether the mounts are private
        if fstype == "mqueue":
            _leave("ipc")
        _leave("mnt")
        with suppress(OSError):  # refused where the mounts are private anyway
            mount("none", "/", None, MS_REC | MS_PRIVATE)
        mount("none", tempfile.gettempdir(), fstype)

    return _refusals({fstype: partial(life, fstype) for fstype in ("tmpfs", "mqueue")})


def limits_of_ones_own() -> str:
    """Probe a change of a limit in a new IPC namespace."""

    def life() -> None:
        _leave("ipc")
        set_limit("kernel/shmmni", limit("kernel/shmmni") or 4096)  # unchanged, in case the namespace is shared

    return _refusal(life)


def files_of_proc() -> str:
    """Probe the files of /proc that clauses read."""
    files = [f"/proc/{name}" for name in _FILES]
    files += {found.source for found in limits().values() if found.source.startswith("/proc/")}
    missing = sorted(path for path in files if not os.access(path, os.R_OK))
    return f"not readable: {', '.join(missing)}" if missing else ""


def limits_of_the_machine() -> str:
    """Probe whether limits of the machine can be set; none is changed."""
    return _refusal(lambda: os.open("/proc/sys/fs/pipe-max-size", os.O_WRONLY))


def leave_for_the_machine() -> str:
    """Check the user's permission to change limits of the whole machine."""
    return "" if os.environ.get("PYTEST_IPC_WHOLE_MACHINE") == "1" else "PYTEST_IPC_WHOLE_MACHINE=1 is not set"


def room_of_processes() -> str:
    """Probe the limits of locked memory and of descriptors."""

    def lock() -> None:
        mmap(-1, 4 * PAGESIZE, flags=MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED)

    def open_many() -> None:
        for _ in range(300):
            os.open(os.devnull, os.O_RDONLY)

    return _refusals({"4 locked pages": lock, "300 descriptors": open_many})


def newest_kernel() -> str:
    """Check that no clause needs a newer kernel."""
    since = {clause.since for clause in suite.clauses(suite.location()) if clause.since[:1].isdigit()}
    newer = [version for version in since if kernel_is_older(version)]
    if not newer:
        return ""
    newest = max(newer, key=lambda version: [int(number) for number in version.split(".")])
    return f"this is {os.uname().release}, and there are clauses from Linux {newest} on"


def memory_files() -> str:
    """Check that /dev/shm has a limit, and that every user may create files in it."""
    try:
        mode, space = os.stat("/dev/shm").st_mode, os.statvfs("/dev/shm")
    except OSError as error:
        return f"/dev/shm: {error.strerror}"
    if not os.access("/dev/shm", os.W_OK) or not mode & 0o002:
        return "not every user may create files there"
    return "" if space.f_blocks else "it has no limit"


def network() -> str:
    """Probe the loopback device, with IPv4 and IPv6."""

    def connect(family: int, address: str) -> None:
        with socket.socket(family) as listener, socket.socket(family) as caller:
            listener.bind((address, 0))
            listener.listen()
            caller.settimeout(5)  # a filter may drop the packets
            caller.connect(listener.getsockname())

    return _refusals({address: partial(connect, family, address) for address, family in _LOOPBACK.items()})


def terminals() -> str:
    """Probe pseudoterminals."""
    return _refusal(os.openpty)


def blocked_calls() -> str:
    """Probe whether the kernel shows the call in which a child is blocked."""
    read, write = os.pipe()
    child = fork()
    if child == 0:
        try:
            os.close(write)
            os.read(read, 1)
        finally:
            os._exit(0)
    os.close(read)
    try:
        return "" if process_syscall(child) is not None else f"/proc/{child}/syscall of a child is not readable"
    finally:
        os.close(write)
        with suppress(ChildProcessError):  # where SIGCHLD is ignored
            os.waitpid(child, 0)


def pidfds() -> str:
    """Probe pidfd_open(2)."""
    return _refusal(lambda: pidfd_open(os.getpid()))


def tracing() -> str:
    """Probe PTRACE_TRACEME."""
    return _refusal(partial(ptrace, PTRACE_TRACEME, 0))


def queue_folder() -> str:
    """Probe message queues as files."""
    try:
        mounted = any(
            line.split()[4] == "/dev/mqueue" for line in Path("/proc/self/mountinfo").read_text().splitlines()
        )
    except OSError as error:
        return f"/proc/self/mountinfo: {error.strerror}"
    return "" if mounted else "nothing is mounted at /dev/mqueue"


def _become_a_stranger() -> None:
    os.setgroups([])
    os.setresgid(_GROUP, _GROUP, _GROUP)
    os.setresuid(_USER, _USER, _USER)


def _with_a_user_namespace(flags: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    unshare(flags | CLONE_NEWUSER)
    prctl(PR_SET_DUMPABLE, 1)  # after a change of user without an exec, a process may not write its own maps otherwise
    map_user(0, 0, uid, gid)


def _leave(name: str) -> None:
    """Enter a new namespace, in a child, with a user namespace if required."""
    flag, before = _NAMESPACES[name], _here(name)
    try:
        unshare(flag)
    except PermissionError:
        _with_a_user_namespace(flag)
    if before and _here(name) == before:
        raise OSError(EOPNOTSUPP, os.strerror(EOPNOTSUPP))  # a sandbox whose unshare(2) succeeds without an effect


def _here(name: str) -> str:
    """Return the namespace of this process, or "" if it is not shown."""
    try:
        return os.readlink(f"/proc/self/ns/{name}")
    except OSError:
        return ""


def _refusal(call: Callable[[], object]) -> str:
    refused = trial(call)
    return "" if refused is None else str(refused.strerror)


def _refusals(calls: Mapping[str, Callable[[], object]]) -> str:
    """Return the refused ones of several calls, grouped by error."""
    those: dict[str, list[str]] = {}
    for name, call in calls.items():
        if refused := _refusal(call):
            those.setdefault(refused, []).append(name)
    return "; ".join(f"{', '.join(names)}: {refused}" for refused, names in those.items())
