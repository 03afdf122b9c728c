"""The identity of namespaces, and their members.

The number that /proc shows of a namespace is given to the next one as soon as it is gone. From Linux 6.18 on a namespace has an
id that no other gets before the machine starts anew. The first namespaces have fixed numbers and live as long as the kernel.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from errno import EACCES

from ..unpatched import fcntl, io, os

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

# The numbers are fixed in the kernel (PROC_IPC_INIT_INO and its kin).
_FIRST = {"ipc:[4026531839]", "pid:[4026531836]", "user:[4026531837]", "time:[4026531834]"}

# ioctl_nsfs(2), NS_GET_ID: on most machines, and on those with three bits for the direction.
_NS_GET_ID = (0x8008_B70D, 0x4008_B70D)


def ipc_namespace() -> str:
    """Return the IPC namespace of this thread as /proc has it, "ipc:[4026531839]", or "" where it is not shown."""
    for path in _IPC_NAMESPACES:
        try:
            return os.readlink(path)
        except OSError as error:
            if error.errno is None:  # a signal's handler raised it
                raise
    return ""


# A thread may have moved alone. Before Linux 3.17 it has no link of its own.
_IPC_NAMESPACES = ("/proc/thread-self/ns/ipc", "/proc/self/ns/ipc")


def ipc_identity() -> str:
    """Return the same with its id, as "ipc:[4026532177]#2133", where the kernel gives one and it is not the first."""
    name = ipc_namespace()
    if not name or name in _FIRST:
        return name
    for path in _IPC_NAMESPACES:
        if (found := _identity(path)) is not None:
            return found
    return name


def is_here(identity: str) -> bool:
    """Return whether this thread is in the IPC namespace *identity*, as far as that is known."""
    name = ipc_namespace()
    return name == identity or (identity.startswith(f"{name}#") and ipc_identity() == identity)


def is_certain(identity: str) -> bool:
    """Return whether *identity* stands for one namespace and no later one."""
    return identity in _FIRST or "#" in identity


def pid_namespace() -> str:
    """Return the identity of the PID namespace whose numbers /proc shows, or "" where that is not known.

    A process in a namespace of its own may still have its parent's /proc, and is known by the number that it has there.
    """
    try:
        if int(os.readlink("/proc/self")) == os.getpid():
            name = os.readlink("/proc/self/ns/pid")
            return name if name in _FIRST else _identity("/proc/self/ns/pid") or name
    except ValueError:
        pass
    except OSError as error:
        if error.errno is None:
            raise
    return ""


def _identity(path: str) -> str | None:
    """Return name and id of the namespace behind a link; None where there is none, or this process may not look."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno is None:
            raise
        return None
    try:
        return behind(fd)
    finally:
        os.close(fd)


def behind(fd: int) -> str:
    """Return the identity of the namespace that *fd* stands for. OSError."""
    name, id = os.readlink(f"/proc/self/fd/{fd}"), bytearray(8)
    if name not in _FIRST:
        for request in _NS_GET_ID:
            with suppress(OSError):
                fcntl.ioctl(fd, request, id)
                return f"{name}#{int.from_bytes(id, sys.byteorder)}"
    return name


def is_behind(fd: int, identity: str) -> bool:
    """Return whether *fd* stands for the namespace *identity*, as far as that is known. OSError."""
    found = behind(fd)
    return found == identity or found.partition("#")[0] == identity


def _leads_to(path: str, identity: str) -> bool:
    """Whether the link leads to the namespace *identity*, as far as that is known. OSError."""
    name = os.readlink(path)
    if name != identity.partition("#")[0]:
        return False
    return "#" not in identity or _identity(path) == identity


def members(identity: str) -> Iterator[int]:
    """Go through the processes in the namespace *identity*. OSError where some may be hidden, once those seen have been given.

    The processes of other users are nothing to go by, nor are the few that hide from everybody. But from a user namespace of
    its own a process is not shown where those of its user are that are outside of it.
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
        raise OSError(EACCES, "whether it still exists cannot be seen from here")


def process_in(identity: str, *, below: bool = False) -> int | None:
    """Return a process in the namespace *identity*; None when there is none, so that it is gone. OSError when that is unknown.

    A namespace that is *below* has been made by a descendant of this process: only processes that it sees can be in it.
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
    """Return whether all processes of the PID namespaces below *identity* are seen from here: from it, or from the first."""
    here = pid_namespace()
    return here in _FIRST or here == identity != ""


def time_namespace() -> str:
    """Return the time namespace of this process as /proc has it; "" for the first one, and where there are none."""
    try:
        name = os.readlink("/proc/self/ns/time")
    except OSError as error:
        if error.errno is None:
            raise
        return ""
    return "" if name in _FIRST else name


def pid_inside(pid: int) -> int | None:
    """Return the number that process *pid* has in its own PID namespace; None when that is not shown."""
    try:
        with io.open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith("NSpid:"):
                    return int(line.split()[-1])
    except (OSError, ValueError, IndexError):
        pass
    return None
