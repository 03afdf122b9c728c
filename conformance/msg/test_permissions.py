"""msgget(2), msgop(2), msgctl(2): permissions, by the nine mode bits and by ownership.

Every process here is an unprivileged user without capabilities, the owner too: root would pass every check.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EACCES, EPERM

import pytest

from pytest_ipc import MessageQueue, Need, clause, fails_with, untested, unused_key
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

pytestmark = pytest.mark.usefixtures("message_limits")


CLASSES = {"owner": (OWNER, OTHER_GROUP, 6), "group": (MEMBER, GROUP, 3), "other": (STRANGER, OTHER_GROUP, 0)}


@pytest.fixture
def owned(sysv_msg):
    """Create a queue with one message, owned by OWNER and GROUP, with the given mode; the user of the suite is its
    creator.
    """

    def make(mode: int) -> MessageQueue:
        queue: MessageQueue = sysv_msg()
        msgsnd(queue.id, 1, b"text", IPC_NOWAIT)
        try:
            queue.set_status(uid=OWNER, gid=GROUP, mode=mode)
        except OSError as error:
            untested(Need.OTHER_USERS, f"cannot give a queue to another user: {error.strerror}")
        return queue

    return make


def outcome(call: Callable[..., object], *args: object) -> str:
    """Return "done", or the name of the errno."""
    try:
        call(*args)
    except OSError as error:
        return errno_name(error.errno)
    return "done"


def count(queue: MessageQueue) -> int:
    """Return the number of messages; the mode is changed first, as it may deny reading to the creator too."""
    queue.set_status(uid=OWNER, gid=GROUP, mode=0o777, qbytes=1000)
    return queue.stat().qnum


def sending_and_receiving(queue: MessageQueue) -> tuple[str, str]:
    return (
        outcome(msgsnd, queue.id, 2, b"more", IPC_NOWAIT),
        outcome(msgrcv, queue.id, 100, 1, IPC_NOWAIT),
    )


@clause("msgsnd.eacces", "msgop(2)", "ERRORS", errno=EACCES)
@pytest.mark.parametrize("user", CLASSES)
def test_msgsnd_needs_write_permission(owned, as_user, user):
    """msgsnd() succeeds with only the write permission of the caller's class, and fails with EACCES without it."""
    uid, gid, shift = CLASSES[user]
    writable, not_writable = owned(0o2 << shift), owned(0o777 & ~(0o2 << shift))
    assert as_user(uid, gid, outcome, msgsnd, writable.id, 2, b"more", IPC_NOWAIT) == "done"
    assert as_user(uid, gid, outcome, msgsnd, not_writable.id, 2, b"more", IPC_NOWAIT) == "EACCES"
    assert count(not_writable) == 1


@clause("msgrcv.eacces", "msgop(2)", "ERRORS", errno=EACCES)
@pytest.mark.parametrize("user", CLASSES)
def test_msgrcv_needs_read_permission(owned, as_user, user):
    """msgrcv() succeeds with only the read permission of the caller's class, and fails with EACCES without it."""
    uid, gid, shift = CLASSES[user]
    readable, not_readable = owned(0o4 << shift), owned(0o777 & ~(0o4 << shift))
    assert as_user(uid, gid, outcome, msgrcv, readable.id, 100, 0, IPC_NOWAIT) == "done"
    assert as_user(uid, gid, outcome, msgrcv, not_readable.id, 100, 0, IPC_NOWAIT) == "EACCES"
    assert count(not_readable) == 1


@clause("msgrcv.copy-needs-read", "msgop(2)", "ERRORS", errno=EACCES, since="3.8")
def test_copy_needs_read_permission(owned, as_user):
    """msgrcv() with MSG_COPY fails with EACCES without read permission."""
    readable, not_readable = owned(0o004), owned(0o773)

    def copy() -> str:
        with fails_with(EACCES):
            msgrcv(not_readable.id, 100, 0, MSG_COPY | IPC_NOWAIT)
        return msgrcv(readable.id, 100, 0, MSG_COPY | IPC_NOWAIT).text.decode()

    assert as_user(STRANGER, OTHER_GROUP, copy) == "text"


@clause("msgrcv.write-only-sender", "msgop(2)", "DESCRIPTION")
def test_permissions_of_sending_and_receiving_are_independent(owned, as_user):
    """A class with only write permission can send and not receive;
    one with only read permission can receive and not send.
    """
    queue = owned(0o642)
    assert as_user(STRANGER, OTHER_GROUP, sending_and_receiving, queue) == ("done", "EACCES")
    assert as_user(MEMBER, GROUP, sending_and_receiving, queue) == ("EACCES", "done")
    queue.set_status(mode=0o777)
    assert contents(queue) == [(2, b"more")]


@clause("msgrcv.perm-revoked-while-blocked", "msgop(2)", "ERRORS", errno=EACCES)
def test_revoked_permission_fails_a_blocked_receiver(owned, fork):
    """A blocked msgrcv() fails with EACCES when IPC_SET revokes its read permission."""
    queue = owned(0o777)

    def receive() -> None:
        become(STRANGER, OTHER_GROUP)
        with fails_with(EACCES):
            msgrcv(queue.id, 100, 2)

    receiver = fork(receive)
    receiver.wait_blocked("msgrcv")
    queue.set_status(mode=0o700)
    receiver.result()


@clause("msgget.eacces-mode", "msgget(2)", "ERRORS", errno=EACCES)
def test_msgget_checks_the_requested_mode(owned, as_user):
    """msgget() for an existing queue fails with EACCES if the flags request permissions that the caller lacks."""
    queue = owned(0o640)

    def look_up() -> int:
        with fails_with(EACCES):
            msgget(queue.key, 0o060)
        return msgget(queue.key, 0o040)

    assert as_user(MEMBER, GROUP, look_up) == queue.id


@clause("msgctl.stat-needs-read", "msgctl(2)", "ERRORS", errno=EACCES)
def test_stat_needs_read_permission(owned, as_user):
    """msgctl() with IPC_STAT succeeds with only read permission, and fails with EACCES without it."""
    unreadable, readable = owned(0o733), owned(0o004)

    def ask() -> int:
        with fails_with(EACCES):
            msgctl_stat(unreadable.id)
        return msgctl_stat(readable.id).qnum

    assert as_user(STRANGER, OTHER_GROUP, ask) == 1


@clause("msgctl.eperm-set-rmid", "msgctl(2)", "ERRORS", errno=EPERM)
def test_set_and_rmid_need_ownership(owned, as_user):
    """msgctl() with IPC_SET or IPC_RMID fails with EPERM for a caller that is neither owner nor creator."""
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
def test_new_owner_is_effective_at_once(owned, as_user):
    """msgctl() with IPC_SET changes owner and group, which later checks use, and keeps the creator."""
    queue = owned(0o600)
    creator = queue.stat().perm
    assert as_user(OWNER, OTHER_GROUP, outcome, msgsnd, queue.id, 1, b"", IPC_NOWAIT) == "done"
    queue.set_status(uid=STRANGER, gid=OTHER_GROUP)
    perm = queue.stat().perm
    assert (perm.uid, perm.gid, perm.cuid, perm.cgid) == (STRANGER, OTHER_GROUP, creator.cuid, creator.cgid)
    assert as_user(OWNER, GROUP, outcome, msgsnd, queue.id, 1, b"", IPC_NOWAIT) == "EACCES"
    assert as_user(STRANGER, OTHER_GROUP, outcome, msgsnd, queue.id, 1, b"", IPC_NOWAIT) == "done"


@clause("msgctl.creator-keeps-control", "msgctl(2)", "ERRORS")
def test_the_creator_keeps_control(fork, on_record):
    """The creator of a queue can change and remove it after giving it to another owner."""

    def give_away_and_take_back() -> str:
        become(OWNER, GROUP)
        msqid = on_record.msgget(unused_key(), IPC_CREAT | 0o600)
        msgctl_set(msqid, uid=STRANGER, gid=OTHER_GROUP, mode=0o666)
        msgctl_set(msqid, mode=0o600)
        msgctl_rmid(msqid)
        return outcome(msgctl_stat, msqid)

    assert fork(give_away_and_take_back).result() in ("EINVAL", "EIDRM")


@clause("msgctl.set-qbytes-raise-eperm", "msgctl(2)", "ERRORS", errno=EPERM)
def test_qbytes_above_msgmnb_needs_privilege(owned, as_user):
    """msgctl() with IPC_SET without CAP_SYS_RESOURCE sets msg_qbytes to MSGMNB, and fails with EPERM for one more."""
    queue, most = owned(0o600), msgctl_limits().msgmnb
    queue.set_status(qbytes=most - 1)

    def enlarge() -> tuple[int, int]:
        with fails_with(EPERM):
            msgctl_set(queue.id, qbytes=most + 1)
        refused = msgctl_stat(queue.id).qbytes
        msgctl_set(queue.id, qbytes=most)
        return refused, msgctl_stat(queue.id).qbytes

    assert as_user(OWNER, GROUP, enlarge) == (most - 1, most)


@clause("msgctl.msg_stat_any-no-perm", "msgctl(2)", "MSG_STAT_ANY", since="4.17")
def test_stat_any_needs_no_permission(in_ipc_namespace):
    """msgctl() with MSG_STAT_ANY succeeds without read permission; MSG_STAT fails with EACCES."""

    def ask() -> int:
        msqid = msgget(unused_key(), IPC_CREAT | 0o200)
        msgsnd(msqid, 1, b"text")
        highest = msgctl_info().highest
        become(STRANGER, OTHER_GROUP)
        with fails_with(EACCES):
            msgctl_stat(highest, MSG_STAT)
        return msgctl_stat(highest, MSG_STAT_ANY).cbytes

    assert in_ipc_namespace({}, ask) == 4
