"""The common part of System V objects: how an id and a record are obtained, and how the object is removed.

An object is made exclusively wherever it may be made at all, so that it is certain who made it and therefore who may
remove it; how its key is chosen is told in keys.py.

The kernel tells who made a segment. Of a semaphore set or a message queue it tells no process, so these have their id
on record as soon as it is known. One that has a key and was claimed with IPC_EXCL can be found in between. An
IPC_PRIVATE one is made with mode bits that are drawn at random, noted in its intent, and never such as others use;
whoever finds an object with them that nobody has used has found this one. The mode that was asked for is set when the
id is on record: a mode is looked at in every call, so that what the first bits may have allowed in between gives nobody
anything to keep.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..custody.cleanup import is_failure, out_of_sight
from ..custody.ledger import Record, intent
from ..custody.namespaces import ipc_identity, is_here
from ..kernel.ipc import IPC_CREAT, IPC_EXCL, IPC_PRIVATE
from ..resource import Resource, check_mode
from ..unpatched import os
from .keys import check_key, unused_key

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["SysvObject", "SysvType"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


def unusual_mode() -> int:
    """Nine mode bits drawn at random, with which somebody may execute and not read: nobody asks for that.

    The owner may read, for what a message queue has besides its mode must be asked before its mode can be set.
    """
    while True:
        mode = 0o400 | int.from_bytes(os.urandom(1), "big")
        if not set(f"{mode:03o}") <= set("024567"):
            return mode


class SetStatus(Protocol):
    """shmctl_set and its kin."""

    def __call__(
        self, id: int, /, *, uid: int | None = None, gid: int | None = None, mode: int | None = None
    ) -> None: ...


@dataclass(frozen=True)
class SysvType:
    """One type: its row in custody/kinds, ipcrm's option for its id, its calls, and whether the kernel tells who made it."""

    kind: str
    option: str
    stat: Callable[[int], Any]
    set_status: SetStatus
    rmid: Callable[[int], None]
    has_cpid: bool = False


class SysvObject(Resource):
    """A System V object, removed when its block or scope ends.

    `id` is what the call that made or found it gave, `key` what other processes find it by.
    """

    _type: ClassVar[SysvType]

    def __init__(self, id: int, key: int, record: Record | None, scope: Scope | None) -> None:
        self.id = id
        self.key = key
        self._record = record  # None for one that somebody else made: that one is used and never removed
        self._namespace = record.details["ipc"] if record else ipc_identity()
        self._removed = False
        super().__init__(scope)

    @classmethod
    def _obtain(
        cls, key: int | None, flags: int, mode: int, get: Callable[[int, int], int], **details: int
    ) -> tuple[int, int, Record | None]:
        """The id and key of an object, and its record if it was made here; *get* is the call, given key and flags.

        With no *key*, a new one that is in nobody's use. *details* go on record. ValueError or TypeError for a key that
        does not fit; OSError from *get*.
        """
        flags, mode = flags & ~0o777, flags & 0o777 | check_mode(mode)
        if key is not None:
            return cls._obtain_with(check_key(key), flags, mode, get, details)
        while True:
            try:
                drawn = {**details, "drawn": True}
                return cls._obtain_with(unused_key(), flags | IPC_CREAT | IPC_EXCL, mode, get, drawn)
            except FileExistsError:
                continue  # somebody has that key; a private draw costs less than asking first

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
                            record.made(id=id)  # a key that nobody else can have is identity enough
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

    def set_status(self, *, uid: int | None = None, gid: int | None = None, mode: int | None = None) -> None:
        """IPC_SET: change owner, group or mode. OSError; ValueError for a mode beyond 0o777."""
        self._usable()
        self._type.set_status(self.id, uid=uid, gid=gid, mode=None if mode is None else check_mode(mode))

    def exists(self) -> bool:
        """Whether the id still stands for an object, also for a segment that is removed and waits for its last detach."""
        try:
            self._type.stat(self.id)
        except OSError as error:
            if error.errno is None:  # a signal's handler raised it
                raise
            return isinstance(error, PermissionError)
        return True

    def remove(self) -> bool:
        """IPC_RMID: remove it, a segment after its last detach. Whether this call was the one that removed it.

        Harmless when it was removed before, by this object or by anybody else. OSError for any other failure, and in
        another IPC namespace: an id there is another object's.
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
