"""IPC namespaces as objects: with the limits that a test chooses, and children that run in them.

The creating process never moves. A child creates the namespace, sets its limits and sends a descriptor of it back; each
child of the fixture enters it by setns(2) before its function. The namespace lives as long as that descriptor or such a
child, and the kernel then removes all objects in it. A process without CAP_SYS_ADMIN creates a user namespace first.

If the kernel has IPC namespaces but no descriptors of them (gVisor), each namespace has one child, which creates it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from errno import EINVAL, ENOENT, ENOSPC, EPERM
from functools import partial
from typing import Any, Self

from ..custody.cleanup import finish
from ..custody.namespaces import ipc_namespace
from ..custody.scope import Scope
from ..kernel.libc import INT, ULONG
from ..kernel.namespace import (
    CLONE_NEWIPC,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MS_REC,
    MS_SLAVE,
    map_user,
    mount,
    setns,
    unshare,
)
from ..kernel.proc import set_limit
from ..kernel.process import PR_SET_DUMPABLE, prctl
from ..kernel.waiting import DEFAULT_TIMEOUT
from ..processes.bootstrap import die_with_parent
from ..processes.child import Child
from ..processes.fork import Fork, ForkInside
from ..resource import Resource, close_all
from ..unpatched import io, os, socket

__all__ = ["IpcNamespace", "NotAllowedHere"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# The mount point of the message queues in mq_overview(7); tests replace the name by another directory.
MQUEUE = "/dev/mqueue"

_INT, _LONG = INT[1], ULONG[1]
_MQUEUE = ("queues_max", "msg_max", "msgsize_max", "msg_default", "msgsize_default")


class NotAllowedHere(OSError):
    """This platform does not permit this process to create the object: the errno, and the requirements.

    `need` is the identifier of the unmet need (verdict/need.py).
    """

    need = "ipc-namespaces"


class NoNamespaceLimits(NotAllowedHere):
    """A limit of an IPC namespace cannot be set here."""

    need = "namespace-limits"


class IpcNamespace(Resource):
    """A new IPC namespace with its own limits, and the children in it (ipc_namespaces(7)).

    Children of one object share the namespace. If the process lacks CAP_SYS_ADMIN, the namespace has its own user
    namespace, in which this user is user 0, and `own_user` is true. If the directory /dev/mqueue exists and a mount
    namespace is permitted, children see the namespace's message queues there as files.
    """

    def __init__(
        self, namespaces: list[int], own_user: bool, settings: Mapping[str, str], fork: Fork, scope: Scope | None
    ) -> None:
        self.own_user = own_user
        self._settings = settings
        self._namespaces = (
            namespaces  # in the order in which they are entered; empty if the kernel has no setns(2) for them
        )
        self._fork = fork
        self._children: list[Child[Any]] = []
        super().__init__(scope)

    @classmethod
    def create(
        cls,
        *,
        shmmax: int | None = None,
        shmall: int | None = None,
        shmmni: int | None = None,
        shm_rmid_forced: int | None = None,
        shm_next_id: int | None = None,
        sem: Sequence[int] | None = None,
        sem_next_id: int | None = None,
        msgmax: int | None = None,
        msgmnb: int | None = None,
        msgmni: int | None = None,
        msg_next_id: int | None = None,
        mqueue: Mapping[str, int] | None = None,
        fork: Fork | None = None,
        scope: Scope | None = None,
    ) -> Self:
        """Create a namespace with these limits of /proc/sys/kernel, and the kernel's defaults for the others.

        *sem* is SEMMSL, SEMMNS, SEMOPM and SEMMNI; *mqueue* has the names of /proc/sys/fs/mqueue. Raises TypeError or
        ValueError for an unknown limit or an invalid value; NotAllowedHere, an OSError, without permission.
        """
        numbers = {
            "shmmax": (shmmax, _LONG),
            "shmall": (shmall, _LONG),
            "shmmni": (shmmni, _INT),
            "shm_rmid_forced": (shm_rmid_forced, 1),
            "shm_next_id": (shm_next_id, _INT),
            "sem_next_id": (sem_next_id, _INT),
            "msgmax": (msgmax, _INT),
            "msgmnb": (msgmnb, _INT),
            "msgmni": (msgmni, _INT),
            "msg_next_id": (msg_next_id, _INT),
        }
        settings = {
            f"kernel/{name}": _checked(name, value, most)
            for name, (value, most) in numbers.items()
            if value is not None
        }
        if sem is not None:
            settings["kernel/sem"] = _semaphores(sem)
        for name, value in (mqueue or {}).items():
            if name not in _MQUEUE:
                raise ValueError(f"a limit in mqueue must be one of {', '.join(_MQUEUE)}, not {name!r}")
            settings[f"fs/mqueue/{name}"] = _checked(name, value, _INT)
        namespaces, own_user = _make(settings)
        return cls(namespaces, own_user, settings, fork or Fork(scope or Scope()), scope)

    def __repr__(self) -> str:
        limits = "".join(f" {name.rpartition('/')[2]}={value}" for name, value in self._settings.items())
        return f"<IpcNamespace{limits}>"

    @property
    def fork(self) -> ForkInside:
        """The factory of children in the namespace, like the fixture `fork`: namespace.fork(function, *args)."""
        self._usable()
        if not self._namespaces and self._children:
            raise NotAllowedHere(
                EPERM, "a second child in an IPC namespace needs setns(2), which this kernel lacks for it"
            )
        return ForkInside(self._fork.entering(self._enter), self._children)

    def descriptors(self) -> list[int]:
        """Return the descriptors of the namespace, which a child needs to enter it and then closes."""
        return list(self._namespaces)

    def _enter(self) -> None:
        """Enter the namespace, in a child."""
        if self._namespaces:
            before = ipc_namespace()
            for fd in self._namespaces:
                setns(fd)
                os.close(fd)
            _check_moved(before)
        else:
            _settle(self._settings)
        _show_queues()
        die_with_parent()  # a change of user namespace may have cleared it

    def _end(self) -> None:
        finish(*(child.close for child in reversed(self._children)), partial(close_all, self._namespaces))


def _checked(name: str, value: object, most: int) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"the limit {name} must be an integer, not {value!r}")
    if not 0 <= value <= most:
        raise ValueError(f"the limit {name} must be from 0 to {most}, not {value}")
    return str(value)


def _semaphores(sem: Sequence[int]) -> str:
    names = ("SEMMSL", "SEMMNS", "SEMOPM", "SEMMNI")
    if isinstance(sem, str) or not isinstance(sem, Sequence) or len(sem) != len(names):
        raise ValueError(f"the limit sem must be the four numbers {', '.join(names)}, not {sem!r}")
    return " ".join(_checked(f"sem ({name})", value, _INT) for name, value in zip(names, sem, strict=True))


def _make(settings: Mapping[str, str]) -> tuple[list[int], bool]:
    """Create a namespace; return its descriptors, a user namespace's first, and whether it has a user namespace."""
    here, there = socket.socketpair()
    with here, there, Child.start(_make_and_send, (there, settings), keep={there.fileno()}) as child:
        own_user = child.result(timeout=DEFAULT_TIMEOUT)
        _, fds, _, _ = socket.recv_fds(here, 1, 2, socket.MSG_DONTWAIT)
    return fds, own_user


def _make_and_send(there: socket.socket, settings: Mapping[str, str]) -> bool:
    own_user = _settle(settings)
    fds = []
    try:
        if own_user:
            fds.append(os.open("/proc/self/ns/user", os.O_RDONLY | os.O_CLOEXEC))
        fds.append(os.open("/proc/self/ns/ipc", os.O_RDONLY | os.O_CLOEXEC))
        setns(fds[-1], CLONE_NEWIPC)
    except OSError:
        fds = []
    socket.send_fds(there, [b"."], fds)
    return own_user


def refusal(error: OSError) -> str:
    """Return why a namespace cannot be made: unshare(2) reports a limit on their number as ENOSPC."""
    if error.errno == ENOSPC:
        return f"{error.strerror}, which is a limit in /proc/sys/user (max_user_namespaces and others)"
    return str(error.strerror)


def _settle(settings: Mapping[str, str]) -> bool:
    """Move this process, a child, to a new namespace with these limits; return whether it needed a user namespace.

    Raises NotAllowedHere.
    """
    uid, gid, before = os.geteuid(), os.getegid(), ipc_namespace()
    own_user = False
    try:
        try:
            unshare(CLONE_NEWIPC)
        except PermissionError:
            unshare(CLONE_NEWUSER | CLONE_NEWIPC)
            own_user = True
            prctl(PR_SET_DUMPABLE, 1)  # else a process that changed its user without an exec may not write its maps
            map_user(0, 0, uid, gid)
    except OSError as error:
        raise NotAllowedHere(
            error.errno,
            "an IPC namespace needs CAP_SYS_ADMIN, or user namespaces for unprivileged users, and a kernel with both: "
            f"{refusal(error)}",
        ) from None
    _check_moved(before)  # else the limits of the current namespace would be set
    for name, value in settings.items():
        try:
            set_limit(name, value)
            with io.open(f"/proc/sys/{name}") as file:
                taken = " ".join(file.read().split())
        except OSError as error:
            if error.errno == EINVAL:
                raise ValueError(f"this kernel refuses {value} for {name}: {error.strerror}") from None
            lacks = f"this kernel has no /proc/sys/{name}" if error.errno == ENOENT else error.strerror
            raise NoNamespaceLimits(error.errno, f"cannot set {name} in a new IPC namespace: {lacks}") from None
        if taken != value:  # older kernels ignore values out of range without an error
            raise ValueError(f"this kernel refuses {value} for {name}: it stays {taken}")
    return own_user


def _check_moved(before: str) -> None:
    if before and ipc_namespace() == before:
        raise NotAllowedHere(EPERM, "unshare(2) and setns(2) succeed here, but do not change the IPC namespace")


def _show_queues() -> None:
    """Mount the message queues of the namespace at their usual place, if that is permitted and exists."""
    if not os.path.isdir(MQUEUE):
        return
    try:
        unshare(CLONE_NEWNS)
        mount(None, "/", None, MS_REC | MS_SLAVE)
        mount("mqueue", MQUEUE, "mqueue")
    except OSError:
        return
