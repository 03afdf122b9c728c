"""The identity of namespaces, and their members.

The inode number of a namespace is reused once it is gone. Since Linux 6.18 a namespace also has an id that is unique
until reboot. The initial namespaces have fixed inode numbers and exist as long as the kernel.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from errno import EACCES

from ..unpatched import fcntl, io, os
from .cleanup import failures_ignored

__all__ = [
    "ipc_identity",
    "ipc_namespace",
    "is_behind",
    "is_certain",
    "is_here",
    "members",
    "pid_inside",
    "pid_namespace",
    "process_in",
    "sees_below",
    "time_namespace",
]

# Fixed in the kernel (PROC_IPC_INIT_INO and the like).
_FIRST = {"ipc:[4026531839]", "pid:[4026531836]", "user:[4026531837]", "time:[4026531834]"}

# ioctl_nsfs(2), NS_GET_ID: on most architectures, and on those with three direction bits.
_NS_GET_ID = (0x8008_B70D, 0x4008_B70D)


def ipc_namespace() -> str:
    """Return the IPC namespace of this thread as in /proc, "ipc:[4026531839]", or "" if it is not visible."""
    for path in _IPC_NAMESPACES:
        try:
            return os.readlink(path)
        except OSError as error:
            if error.errno is None:  # a signal's handler raised it
                raise
    return ""


# A single thread may have moved. Before Linux 3.17 there is no /proc/thread-self.
_IPC_NAMESPACES = ("/proc/thread-self/ns/ipc", "/proc/self/ns/ipc")


def ipc_identity() -> str:
    """Return ipc_namespace() with its unique id, "ipc:[4026532177]#2133", unless it is initial or has none."""
    name = ipc_namespace()
    if not name or name in _FIRST:
        return name
    for path in _IPC_NAMESPACES:
        if (found := _identity(path)) is not None:
            return found
    return name


def is_here(identity: str) -> bool:
    """Return whether this thread is in the IPC namespace *identity*, as far as its number or id shows."""
    name = ipc_namespace()
    return name == identity or (identity.startswith(f"{name}#") and ipc_identity() == identity)


def is_certain(identity: str) -> bool:
    """Return whether *identity* is unique, so that no later namespace can have it."""
    return identity in _FIRST or "#" in identity


def pid_namespace() -> str:
    """Return the identity of the PID namespace that /proc shows, or "" if it is unknown.

    A process in a new PID namespace may still have its parent's /proc, and then another pid there.
    """
    try:
        if int(os.readlink("/proc/self")) == os.getpid():
            name = os.readlink("/proc/self/ns/pid")
            return name if name in _FIRST else _identity("/proc/self/ns/pid") or name
    except ValueError:  # the /proc of another PID namespace
        pass
    except OSError as error:
        if error.errno is None:
            raise
    return ""


def _identity(path: str) -> str | None:
    """Return the identity of the namespace that a link refers to; None if it is missing or not permitted."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno is None:
            raise
        return None
    try:
        found = behind(fd)
        return found if ":[" in found else None  # gVisor of 2024 shows an open namespace as "/"
    finally:
        os.close(fd)


def behind(fd: int) -> str:
    """Return the identity of the namespace open as *fd*. Raises OSError."""
    name, id = os.readlink(f"/proc/self/fd/{fd}"), bytearray(8)
    if name not in _FIRST:
        for request in _NS_GET_ID:
            with failures_ignored:  # a kernel without this request
                fcntl.ioctl(fd, request, id)
                return f"{name}#{int.from_bytes(id, sys.byteorder)}"
    return name


def is_behind(fd: int, identity: str) -> bool:
    """Return whether *fd* is the namespace *identity*, as far as its number or id shows. Raises OSError."""
    found = behind(fd)
    return found == identity or found.partition("#")[0] == identity


def _leads_to(path: str, identity: str) -> bool:
    """Return whether a link refers to the namespace *identity*. Raises OSError."""
    name = os.readlink(path)
    if name != identity.partition("#")[0]:
        return False
    return "#" not in identity or _identity(path) == identity


def members(identity: str) -> Iterator[int]:
    """Yield the visible processes in the namespace *identity*, then raise OSError if some may be hidden.

    Processes of other users do not count as hidden, nor do non-dumpable ones. But inside a user namespace, processes of
    the same user outside of it are hidden.
    """
    kind, hidden, blind = identity.partition(":")[0], identity in _FIRST, _is_in_a_user_namespace()
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            try:
                if _leads_to(f"/proc/{pid}/ns/{kind}", identity):
                    yield int(pid)
            except PermissionError:
                hidden = hidden or (blind and _is_this_users(pid))
            except OSError as error:
                if error.errno is None:
                    raise
    if hidden:
        raise OSError(EACCES, "whether it still exists cannot be determined here")


def process_in(identity: str, *, below: bool = False) -> int | None:
    """Return a process in the namespace *identity*; None if there is none, so the namespace is gone.

    With *below*, a descendant of this process has made the namespace, so all its members are visible. Raises OSError if
    it is unknown whether there is one.
    """
    try:
        return next(members(identity), None)
    except OSError as error:
        if error.errno == EACCES and below and identity not in _FIRST:
            return None
        raise


def _is_in_a_user_namespace() -> bool:
    try:
        return os.readlink("/proc/self/ns/user") not in _FIRST
    except OSError:  # a kernel without user namespaces
        return False


def _is_this_users(pid: str) -> bool:
    try:
        return os.stat(f"/proc/{pid}").st_uid == os.geteuid()
    except OSError:
        return False


def sees_below(identity: str) -> bool:
    """Return whether all processes of PID namespaces below *identity* are visible from this one."""
    here = pid_namespace()
    return here in _FIRST or here == identity != ""


def time_namespace() -> str:
    """Return the time namespace of this process as in /proc; "" for the initial one, or if there are none."""
    try:
        name = os.readlink("/proc/self/ns/time")
    except OSError as error:
        if error.errno is None:
            raise
        return ""
    return "" if name in _FIRST else name


def pid_inside(pid: int) -> int | None:
    """Return the pid of process *pid* in its own PID namespace; None if it is not visible."""
    try:
        with io.open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith("NSpid:"):
                    return int(line.split()[-1])
    except (OSError, ValueError, IndexError):  # it has ended, or there is no /proc
        pass
    return None
