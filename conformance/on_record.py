"""Objects that a clause makes by the call itself, put on record before: they go with the test, and with a run that is killed.

The calls get what the clause gives them and nothing else, and what they give or raise is the clause's to judge.
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
    """The calls that make System V objects; each object that they make belongs to a scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def shmget(self, key: int, size: int, flags: int) -> int:
        """shmget(2) that makes a segment. OSError."""
        with intent("sysv-shm", key=key, ipc=ipc_identity(), size=size) as record:
            id = shmget(key, size, flags)
            record.made(id=id)
        return Segment(id, key, size, record=record, scope=self.scope).id

    def semget(self, key: int, nsems: int, flags: int) -> int:
        """semget(2) that makes a set. OSError."""
        id, record = _marked("sysv-sem", key, flags, lambda: semget(key, nsems, flags), nsems=nsems)
        return SemaphoreSet(id, key, nsems, record=record, scope=self.scope).id

    def msgget(self, key: int, flags: int) -> int:
        """msgget(2) that makes a queue. OSError."""
        id, record = _marked("sysv-msg", key, flags, lambda: msgget(key, flags))
        return MessageQueue(id, key, record=record, scope=self.scope).id


def _marked(kind: str, key: int, flags: int, call: Callable[[], int], **details: int) -> tuple[int, Record]:
    # Of a private object the kernel does not say who made it, and to look for it by the mode that the clause gives could find
    # a stranger's: until its id is on record nothing is looked for.
    mode = flags & 0o777 if key != IPC_PRIVATE else unusual_mode()
    with intent(kind, key=key, ipc=ipc_identity(), mode=mode, **details) as record:
        id = call()
        record.made(id=id)
    return id, record


class ReservedKey(Resource):
    """A key that nobody has, for an object of one kind that any process makes: whatever gets it is removed at the end."""

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
    """A name that nobody has, of POSIX shared memory, a semaphore or a queue: whatever gets it loses it at the end."""

    def __init__(self, name: str, record: Record, unlink: Callable[[str], None], scope: Scope) -> None:
        self.name = name
        self._record = record
        self._unlink = unlink
        super().__init__(scope)

    @classmethod
    def shm(cls, scope: Scope, length: int = 0) -> ReservedName:
        """A name of shared memory, of *length* bytes without the slash where it is given."""
        name = _long_name(length)
        return cls(name, intent("posix-shm", name=name), shm_unlink, scope)

    @classmethod
    def sem(cls, scope: Scope, length: int = 0) -> ReservedName:
        """The same of a semaphore."""
        name = _long_name(length)
        tag = SystemRandom().randrange(1, 1 << 30)
        return cls(name, intent("posix-sem", own=name, name=None, tag=tag), sem_unlink, scope)

    @classmethod
    def mq(cls, scope: Scope, length: int = 0) -> ReservedName:
        """The same of a queue."""
        name = _long_name(length)
        record = intent("posix-mq", name=name, maxmsg=1, msgsize=1, mode=0o777, ipc=ipc_identity())
        return cls(name, record, mq_unlink, scope)

    def _end(self) -> None:
        try:
            self._unlink(self.name)
        except OSError as error:
            if error.errno not in (ENOENT, EROFS):  # where nothing can be written nothing was made
                raise
        self._record.closed()


def _long_name(length: int) -> str:
    """A name as others are drawn, with more zeros before the number of the process where it must be longer."""
    head, number, drawn = unused_name().rsplit("-", 2)
    return f"{head}-{number.rjust(max(length - len(head) - len(drawn) - 1, 0), '0')}-{drawn}"
