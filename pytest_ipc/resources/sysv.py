"""The common part of System V objects: how an id and a record are obtained, and how the object is removed.

An object is created exclusively whenever it may be created, so that its creator, who may remove it, is certain; keys.py
explains the choice of its key.

The kernel reports the creator of a segment. It reports none for a semaphore set or a message queue, so the id of these
is recorded as soon as it is known. Before that, one with a key claimed by IPC_EXCL can be found by the key. An
IPC_PRIVATE one is created with random, unusual mode bits, which are in its intent: an unused object with these bits is
this one. The requested mode is set when the id is on record; the kernel checks the mode in every call, so the first
bits have no lasting effect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from ..custody.cleanup import is_failure, out_of_sight
from ..custody.ledger import Record, intent
from ..custody.namespaces import ipc_identity, is_here
from ..kernel.ipc import IPC_CREAT, IPC_EXCL, IPC_PRIVATE
from ..resource import Handle, Resource, check_mode
from ..unpatched import os
from .handed import not_found
from .keys import check_key, unused_key

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["SysvObject", "SysvType"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


def unusual_mode() -> int:
    """Return nine random mode bits, with execute but not read permission for some class of users, which is unusual.

    The owner may read, as IPC_SET of a message queue's mode needs the values of an IPC_STAT.
    """
    while True:
        mode = 0o400 | int.from_bytes(os.urandom(1), "big")
        if not set(f"{mode:03o}") <= set("024567"):
            return mode


class SetStatus(Protocol):
    """The signature of shmctl_set(), semctl_set() and msgctl_set()."""

    def __call__(
        self, id: int, /, *, uid: int | None = None, gid: int | None = None, mode: int | None = None
    ) -> None: ...


@dataclass(frozen=True)
class SysvType:
    """A type of objects: its row in custody/kinds, ipcrm's option, calls, and whether the kernel has the creator."""

    kind: str
    option: str
    stat: Callable[[int], Any]
    set_status: SetStatus
    rmid: Callable[[int], None]
    has_cpid: bool = False


class SysvObject(Resource):
    """A System V object, removed when its block or scope ends.

    `id` is its identifier, `key` the key for other processes.
    """

    _type: ClassVar[SysvType]

    def __init__(self, id: int, key: int, *, record: Record | None = None, scope: Scope | None = None) -> None:
        self.id = id
        self.key = key
        self._record = record  # None for an object of another owner, which is used and never removed
        self._namespace = record.details["ipc"] if record else ipc_identity()
        self._removed = False
        super().__init__(scope)

    @classmethod
    def _obtain(
        cls, key: int | None, flags: int, mode: int, get: Callable[[int, int], int], **details: int
    ) -> tuple[int, int, Record | None]:
        """Return id and key of an object, and its record if it is new; *get* is the call with key and flags.

        Without a *key* it gets an unused one. *details* are recorded. Raises ValueError or TypeError for an invalid
        key; OSError from *get*.
        """
        flags, mode = flags & ~0o777, flags & 0o777 | check_mode(mode)
        if key is not None:
            return cls._obtain_with(check_key(key), flags, mode, get, details)
        while True:
            try:
                drawn = {**details, "drawn": True}
                return cls._obtain_with(unused_key(), flags | IPC_CREAT | IPC_EXCL, mode, get, drawn)
            except FileExistsError:
                continue  # the key is taken; another random one costs less than a check

    @classmethod
    def _obtain_with(
        cls, key: int, flags: int, mode: int, get: Callable[[int, int], int], details: dict[str, int]
    ) -> tuple[int, int, Record | None]:
        if key == IPC_PRIVATE or flags & IPC_CREAT:
            try:
                if cls._type.has_cpid:
                    with intent(cls._type.kind, key=key, ipc=ipc_identity(), **details) as record:
                        id = get(key, flags | mode | IPC_EXCL)
                        if "drawn" not in details:
                            record.made(id=id)  # the exclusive key identifies it sufficiently
                    return id, key, record
                return cls._obtain_marked(key, flags, mode, get, details)
            except FileExistsError:
                if flags & IPC_EXCL:
                    raise
        return get(key, (flags | mode) & ~IPC_CREAT & ~IPC_EXCL), key, None

    @classmethod
    def _obtain_marked(
        cls, key: int, flags: int, mode: int, get: Callable[[int, int], int], details: dict[str, int]
    ) -> tuple[int, int, Record]:
        first = unusual_mode() if key == IPC_PRIVATE else mode
        with intent(cls._type.kind, key=key, ipc=ipc_identity(), mode=first, **details) as record:
            id = get(key, flags | first | IPC_EXCL)
            record.made(id=id)
        if first != mode:
            try:
                cls._type.set_status(id, uid=os.geteuid(), gid=os.getegid(), mode=mode)
            except BaseException:
                cls._type.rmid(id)
                record.closed()
                raise
        return id, key, record

    def _handle(self) -> Handle:
        return self._handed, (self._namespace, self.id, self.key)

    @classmethod
    def _handed(cls, namespace: str, *identity: int) -> Self:
        """Return the object with the arguments *identity*, in the process that it was passed to. Raises OSError."""
        made = cls(*identity)
        if not is_here(namespace) or not made.exists():
            raise not_found(made)
        return made

    def set_status(self, *, uid: int | None = None, gid: int | None = None, mode: int | None = None) -> None:
        """Change owner, group or mode (IPC_SET). Raises OSError; ValueError for a mode beyond 0o777."""
        self._usable()
        self._type.set_status(self.id, uid=uid, gid=gid, mode=None if mode is None else check_mode(mode))

    def exists(self) -> bool:
        """Return whether the id still refers to an object, also to a removed segment before its last detach."""
        try:
            self._type.stat(self.id)
        except OSError as error:
            if error.errno is None:  # a signal handler raised it
                raise
            return isinstance(error, PermissionError)
        return True

    def remove(self) -> bool:
        """Remove the object, a segment after its last detach (IPC_RMID); return whether this call did.

        Harmless if it was removed before. Raises OSError for other failures, and in another IPC namespace, where the id
        refers to another object.
        """
        if self._removed:
            return False
        if not is_here(self._namespace):
            raise out_of_sight(self, f"the IPC namespace {self._namespace}")
        try:
            self._type.rmid(self.id)
        except OSError as error:
            if is_failure(error) and not isinstance(error, PermissionError) and not self.exists():
                self._gone()
                return False
            error.add_note(
                f"while removing {self!r}; `ipcrm {self._type.option} {self.id}` as its owner removes it by hand"
            )
            raise
        self._gone()
        return True

    def _gone(self) -> None:
        if self._record is not None:
            self._record.closed()
        self._removed = True

    def _end(self) -> None:
        if self._record is not None:
            self.remove()
