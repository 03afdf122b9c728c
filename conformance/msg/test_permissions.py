"""msgget(2), msgop(2), msgctl(2): who may do what with a queue, by the nine mode bits and by being its owner.

Everybody here is an ordinary user without a capability, the owner too: root passes every check and would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EACCES, EPERM

import pytest

from pytest_ipc import MessageQueue, clause, fails_with, untested, unused_key
from pytest_ipc.kernel import (
    IPC_CREAT,
    IPC_NOWAIT,
    IPC_RMID,
    MSG_COPY,
    MSG_STAT,
    MSG_STAT_ANY,
    errno_name,
    msgctl,
    msgctl_info,
    msgctl_limits,
    msgctl_rmid,
    msgctl_set,
    msgctl_stat,
    msgget,
    msgrcv,
    msgsnd,
)

from ..credentials import GROUP, MEMBER, OTHER_GROUP, OWNER, STRANGER, become
from .conftest import contents

pytestmark = pytest.mark.usefixtures("room_for_messages")


CLASSES = {"owner": (OWNER, OTHER_GROUP, 6), "group": (MEMBER, GROUP, 3), "other": (STRANGER, OTHER_GROUP, 0)}


@pytest.fixture
def owned(sysv_msg):
    """A queue of OWNER and GROUP with the mode given, made by whoever runs the suite, with a message in it."""

    def make(mode: int) -> MessageQueue:
        queue: MessageQueue = sysv_msg()
        msgsnd(queue.id, 1, b"text", IPC_NOWAIT)
        try:
            queue.set(uid=OWNER, gid=GROUP, mode=mode)
        except OSError as error:
            untested(f"cannot give a queue to another user: {error.strerror}")
        return queue

    return make


def outcome(call: Callable[..., object], *args: object) -> str:
    """Whether the call succeeds, or the name of the errno."""
    try:
        call(*args)
    except OSError as error:
        return errno_name(error.errno)
    return "done"


def what_is_in(queue: MessageQueue) -> int:
    """How many messages; its mode may keep even its maker from looking, and is changed first."""
    queue.set(uid=OWNER, gid=GROUP, mode=0o777, qbytes=1000)
    return queue.stat().qnum


def sending_and_receiving(queue: MessageQueue) -> tuple[str, str]:
    return (
        outcome(msgsnd, queue.id, 2, b"more", IPC_NOWAIT),
        outcome(msgrcv, queue.id, 100, 1, IPC_NOWAIT),
    )


@clause("msgsnd.eacces", "msgop(2)", "ERRORS", errno=EACCES)
@pytest.mark.parametrize("user", CLASSES)
def test_sending_needs_write_permission(owned, as_user, user):
    """Sending needs the write permission of the sender's class, and no other bit; without it nothing is sent."""
    uid, gid, shift = CLASSES[user]
    writable, not_writable = owned(0o2 << shift), owned(0o777 & ~(0o2 << shift))
    assert as_user(uid, gid, outcome, msgsnd, writable.id, 2, b"more", IPC_NOWAIT) == "done"
    assert as_user(uid, gid, outcome, msgsnd, not_writable.id, 2, b"more", IPC_NOWAIT) == "EACCES"
    assert what_is_in(not_writable) == 1


@clause("msgrcv.eacces", "msgop(2)", "ERRORS", errno=EACCES)
@pytest.mark.parametrize("user", CLASSES)
def test_receiving_needs_read_permission(owned, as_user, user):
    """Receiving needs the read permission of the receiver's class, and no other bit; without it nothing is taken."""
    uid, gid, shift = CLASSES[user]
    readable, not_readable = owned(0o4 << shift), owned(0o777 & ~(0o4 << shift))
    assert as_user(uid, gid, outcome, msgrcv, readable.id, 100, 0, IPC_NOWAIT) == "done"
    assert as_user(uid, gid, outcome, msgrcv, not_readable.id, 100, 0, IPC_NOWAIT) == "EACCES"
    assert what_is_in(not_readable) == 1


@clause("msgrcv.copy-needs-read", "msgop(2)", "ERRORS", errno=EACCES, since="3.8")
def test_copying_needs_read_permission(owned, as_user):
    """A copy with MSG_COPY needs read permission as receiving does."""
    readable, not_readable = owned(0o004), owned(0o773)

    def copy() -> str:
        with fails_with(EACCES):
            msgrcv(not_readable.id, 100, 0, MSG_COPY | IPC_NOWAIT)
        return msgrcv(readable.id, 100, 0, MSG_COPY | IPC_NOWAIT).text.decode()

    assert as_user(STRANGER, OTHER_GROUP, copy) == "text"


@clause("msgrcv.write-only-sender", "msgop(2)", "DESCRIPTION")
def test_a_class_may_send_and_not_receive(owned, as_user):
    """A class with write permission alone may send and not receive; one with read permission alone the other way round."""
    queue = owned(0o642)
    assert as_user(STRANGER, OTHER_GROUP, sending_and_receiving, queue) == ("done", "EACCES")
    assert as_user(MEMBER, GROUP, sending_and_receiving, queue) == ("EACCES", "done")
    queue.set(mode=0o777)
    assert contents(queue) == [(2, b"more")]


@clause("msgrcv.perm-revoked-while-blocked", "msgop(2)", "ERRORS", errno=EACCES)
def test_who_waits_must_still_be_allowed_to(owned, fork):
    """A receiver that waits, and whose permission IPC_SET takes away, is woken and fails."""
    queue = owned(0o777)

    def receive() -> None:
        become(STRANGER, OTHER_GROUP)
        with fails_with(EACCES):
            msgrcv(queue.id, 100, 2)

    receiver = fork(receive)
    receiver.wait_blocked("msgrcv")
    queue.set(mode=0o700)
    receiver.result()


@clause("msgget.eacces-mode", "msgget(2)", "ERRORS", errno=EACCES)
def test_looking_up_asks_for_permissions(owned, as_user):
    """Looking a queue up with mode bits that the caller has not got is refused; with those that he has, it is found."""
    queue = owned(0o640)

    def look_up() -> int:
        with fails_with(EACCES):
            msgget(queue.key, 0o060)
        return msgget(queue.key, 0o040)

    assert as_user(MEMBER, GROUP, look_up) == queue.id


@clause("msgctl.stat-needs-read", "msgctl(2)", "ERRORS", errno=EACCES)
def test_asking_needs_read_permission(owned, as_user):
    """IPC_STAT needs read permission, and no more."""
    unreadable, readable = owned(0o733), owned(0o004)

    def ask() -> int:
        with fails_with(EACCES):
            msgctl_stat(unreadable.id)
        return msgctl_stat(readable.id).qnum

    assert as_user(STRANGER, OTHER_GROUP, ask) == 1


@clause("msgctl.eperm-set-rmid", "msgctl(2)", "ERRORS", errno=EPERM)
def test_a_stranger_cannot_change_or_remove(owned, as_user):
    """IPC_SET and IPC_RMID by a user who neither owns nor made the queue are refused, whatever the mode; it stays as it was."""
    queue = owned(0o777)

    def change() -> None:
        with fails_with(EPERM):
            msgctl_set(queue.id, mode=0o600)
        with fails_with(EPERM):
            msgctl(queue.id, IPC_RMID)

    as_user(STRANGER, GROUP, change)
    ds = queue.stat()
    assert (ds.perm.mode, ds.perm.uid, ds.qnum) == (0o777, OWNER, 1)


@clause("msgctl.set-uid-effect", "msgctl(2)", "IPC_SET")
def test_a_new_owner_counts_at_once(owned, as_user):
    """IPC_SET gives a queue another owner and group, who count in the next check; the creator stays on record."""
    queue = owned(0o600)
    made_by = queue.stat().perm
    assert as_user(OWNER, OTHER_GROUP, outcome, msgsnd, queue.id, 1, b"", IPC_NOWAIT) == "done"
    queue.set(uid=STRANGER, gid=OTHER_GROUP)
    perm = queue.stat().perm
    assert (perm.uid, perm.gid, perm.cuid, perm.cgid) == (STRANGER, OTHER_GROUP, made_by.cuid, made_by.cgid)
    assert as_user(OWNER, GROUP, outcome, msgsnd, queue.id, 1, b"", IPC_NOWAIT) == "EACCES"
    assert as_user(STRANGER, OTHER_GROUP, outcome, msgsnd, queue.id, 1, b"", IPC_NOWAIT) == "done"


@clause("msgctl.creator-keeps-control", "msgctl(2)", "ERRORS")
def test_the_creator_keeps_control(fork, on_record):
    """Who made a queue and gave it away may still change and remove it."""

    def give_away_and_take_back() -> str:
        become(OWNER, GROUP)
        msqid = on_record.msgget(unused_key(), IPC_CREAT | 0o600)
        msgctl_set(msqid, uid=STRANGER, gid=OTHER_GROUP, mode=0o666)
        msgctl_set(msqid, mode=0o600)
        msgctl_rmid(msqid)
        return outcome(msgctl_stat, msqid)

    assert fork(give_away_and_take_back).result() in ("EINVAL", "EIDRM")


@clause("msgctl.set-qbytes-raise-eperm", "msgctl(2)", "ERRORS", errno=EPERM)
def test_an_ordinary_owner_has_at_most_msgmnb_bytes(owned, as_user):
    """An owner without CAP_SYS_RESOURCE may give a queue room for MSGMNB bytes and not for one more."""
    queue, most = owned(0o600), msgctl_limits().msgmnb
    queue.set(qbytes=most - 1)

    def enlarge() -> tuple[int, int]:
        with fails_with(EPERM):
            msgctl_set(queue.id, qbytes=most + 1)
        refused = msgctl_stat(queue.id).qbytes
        msgctl_set(queue.id, qbytes=most)
        return refused, msgctl_stat(queue.id).qbytes

    assert as_user(OWNER, GROUP, enlarge) == (most - 1, most)


@clause("msgctl.msg_stat_any-no-perm", "msgctl(2)", "MSG_STAT_ANY", since="4.17")
def test_stat_any_needs_no_permission(in_ipc_namespace):
    """MSG_STAT_ANY tells of a queue without read permission; MSG_STAT does not."""

    def ask() -> int:
        msqid = msgget(unused_key(), IPC_CREAT | 0o200)
        msgsnd(msqid, 1, b"text")
        highest = msgctl_info().highest
        become(STRANGER, OTHER_GROUP)
        with fails_with(EACCES):
            msgctl_stat(highest, MSG_STAT)
        return msgctl_stat(highest, MSG_STAT_ANY).cbytes

    assert in_ipc_namespace({}, ask) == 4
