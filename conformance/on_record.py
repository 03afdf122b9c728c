"""Objects that a clause creates by the call itself, recorded before: removed with the test or after a killed run.

The calls get only the arguments of the clause, which judges what they return or raise.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from errno import ENOENT, EROFS
from functools import partial
from random import SystemRandom

from pytest_ipc import MessageQueue, Segment, SemaphoreSet, unused_key, unused_name
from pytest_ipc.custody.ledger import Record, intent
from pytest_ipc.custody.namespaces import ipc_identity
from pytest_ipc.custody.scope import Scope
from pytest_ipc.kernel import (
    IPC_PRIVATE,
    mq_unlink,
    msgctl_rmid,
    msgget,
    sem_unlink,
    semctl_rmid,
    semget,
    shm_unlink,
    shmctl_rmid,
    shmget,
)
from pytest_ipc.resource import Resource
from pytest_ipc.resources.sysv import unusual_mode


class OnRecord:
    """The calls that create System V objects; each object belongs to a scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def shmget(self, key: int, size: int, flags: int) -> int:
        """Create a segment with shmget(2). OSError if it fails."""
        with intent("sysv-shm", key=key, ipc=ipc_identity(), size=size) as record:
            id = shmget(key, size, flags)
            record.made(id=id)
        return Segment(id, key, size, record=record, scope=self.scope).id

    def semget(self, key: int, nsems: int, flags: int) -> int:
        """Create a set with semget(2). OSError if it fails."""
        id, record = _marked("sysv-sem", key, flags, lambda: semget(key, nsems, flags), nsems=nsems)
        return SemaphoreSet(id, key, nsems, record=record, scope=self.scope).id

    def msgget(self, key: int, flags: int) -> int:
        """Create a queue with msgget(2). OSError if it fails."""
        id, record = _marked("sysv-msg", key, flags, lambda: msgget(key, flags))
        return MessageQueue(id, key, record=record, scope=self.scope).id


def _marked(kind: str, key: int, flags: int, call: Callable[[], int], **details: int) -> tuple[int, Record]:
    # The kernel does not report the creator of a private object, and a search by the clause's mode could find a foreign
    # one: nothing is searched for until the id is recorded.
    mode = flags & 0o777 if key != IPC_PRIVATE else unusual_mode()
    with intent(kind, key=key, ipc=ipc_identity(), mode=mode, **details) as record:
        id = call()
        record.made(id=id)
    return id, record


class ReservedKey(Resource):
    """An unused key for an object of one kind that any process creates; it is removed at the end."""

    def __init__(self, kind: str, details: dict[str, int], scope: Scope) -> None:
        self.key = unused_key()
        self._kind = kind
        self._record = intent(kind, key=self.key, ipc=ipc_identity(), **details)
        super().__init__(scope)

    def _end(self) -> None:
        find, remove = {
            "sysv-shm": (partial(shmget, self.key, 0, 0), shmctl_rmid),
            "sysv-sem": (partial(semget, self.key, 0, 0), semctl_rmid),
            "sysv-msg": (partial(msgget, self.key, 0), msgctl_rmid),
        }[self._kind]
        with suppress(FileNotFoundError):
            remove(find())
        self._record.closed()


class ReservedName(Resource):
    """An unused name for POSIX shared memory, a semaphore or a queue; it is unlinked at the end."""

    def __init__(self, name: str, record: Record, unlink: Callable[[str], None], scope: Scope) -> None:
        self.name = name
        self._record = record
        self._unlink = unlink
        super().__init__(scope)

    @classmethod
    def shm(cls, scope: Scope, length: int = 0) -> ReservedName:
        """Reserve a name of shared memory; *length* is its length without the slash."""
        name = _long_name(length)
        return cls(name, intent("posix-shm", name=name), shm_unlink, scope)

    @classmethod
    def sem(cls, scope: Scope, length: int = 0) -> ReservedName:
        """Reserve a name of a semaphore."""
        name = _long_name(length)
        tag = SystemRandom().randrange(1, 1 << 30)
        return cls(name, intent("posix-sem", own=name, name=None, tag=tag), sem_unlink, scope)

    @classmethod
    def mq(cls, scope: Scope, length: int = 0) -> ReservedName:
        """Reserve a name of a message queue."""
        name = _long_name(length)
        record = intent("posix-mq", name=name, maxmsg=1, msgsize=1, mode=0o777, ipc=ipc_identity())
        return cls(name, record, mq_unlink, scope)

    def _end(self) -> None:
        try:
            self._unlink(self.name)
        except OSError as error:
            if error.errno not in (ENOENT, EROFS):  # on a read-only filesystem nothing was created
                raise
        self._record.closed()


def _long_name(length: int) -> str:
    """Return an unused name, with zeros before the PID if it must be longer."""
    head, number, drawn = unused_name().rsplit("-", 2)
    return f"{head}-{number.rjust(max(length - len(head) - len(drawn) - 1, 0), '0')}-{drawn}"
