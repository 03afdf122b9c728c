"""msgctl(2): status, changes and removal of a queue."""

from __future__ import annotations

from errno import EAGAIN, EFAULT, EIDRM, EINVAL, ENOENT

import pytest

from pytest_ipc import Need, clause, disputed, fails_with, untested
from pytest_ipc.kernel import (
    IPC_CREAT,
    IPC_EXCL,
    IPC_NOWAIT,
    IPC_PRIVATE,
    IPC_SET,
    IPC_STAT,
    MSG_STAT,
    errno_name,
    limit,
    msgctl,
    msgctl_info,
    msgctl_limits,
    msgctl_rmid,
    msgctl_set,
    msgctl_stat,
    msgget,
    msgsnd,
    sysvipc_msg,
)

from ..raw_syscalls import NOBODYS, raw
from .conftest import contents, take

pytestmark = pytest.mark.usefixtures("message_limits")


@clause("msgctl.stat-counts", "msgctl(2)", "IPC_STAT")
def test_stat_counts_messages_and_bytes(holding):
    """msgctl() with IPC_STAT returns the present number of messages and of bytes in the queue."""
    queue = holding((1, b"12345"), (2, b"123"))
    ds = queue.stat()
    assert (ds.qnum, ds.cbytes, ds.perm.key) == (2, 8, queue.key)
    take(queue)
    ds = queue.stat()
    assert (ds.qnum, ds.cbytes) == (1, 3)


@clause("msgctl.set-mode", "msgctl(2)", "IPC_SET")
def test_set_changes_the_nine_mode_bits(sysv_msg):
    """msgctl() with IPC_SET changes the nine permission bits and no other bit of the mode."""
    queue = sysv_msg(mode=0o600)
    msgctl_set(queue.id, mode=0o640)
    assert oct(queue.stat().perm.mode) == oct(0o640)
    msgctl_set(queue.id, mode=0o7777)
    assert oct(queue.stat().perm.mode) == oct(0o777)


@clause("msgctl.set-ctime", "msgctl(2)", "IPC_SET")
def test_set_updates_ctime(aged):
    """msgctl() with IPC_SET sets msg_ctime to the current time."""
    queue = aged("sysv_msg")
    made = queue.stat().ctime
    msgctl_set(queue.id, mode=0o640)
    assert queue.stat().ctime > made


@clause("msgctl.set-qbytes-lower", "msgctl(2)", "IPC_SET")
def test_set_can_lower_qbytes(holding):
    """msgctl() with IPC_SET can lower msg_qbytes below the bytes in the
    queue; they stay, and msgsnd() fails until enough are received.
    """
    queue = holding((1, bytes(60)), (1, bytes(40)))
    msgctl_set(queue.id, qbytes=50)
    assert queue.stat().qbytes == 50
    with fails_with(EAGAIN):
        msgsnd(queue.id, 2, b"x", IPC_NOWAIT)
    take(queue)
    msgsnd(queue.id, 2, bytes(10), IPC_NOWAIT)
    assert contents(queue) == [(1, bytes(40)), (2, bytes(10))]


@clause("msgctl.set-only-its-fields", "msgctl(2)", "IPC_SET")
def test_set_changes_only_its_fields(holding):
    """msgctl() with IPC_SET changes owner, group, mode, msg_qbytes and msg_ctime, and no other field."""
    queue = holding((1, b"text"))
    before = queue.stat()
    msgctl_set(queue.id, mode=0o640, qbytes=before.qbytes - 1)
    after = queue.stat()
    untouched = ("qnum", "cbytes", "lspid", "lrpid", "stime", "rtime")
    assert [getattr(after, name) for name in untouched] == [getattr(before, name) for name in untouched]
    assert (after.perm.key, after.perm.cuid, after.perm.cgid) == (queue.key, before.perm.cuid, before.perm.cgid)
    assert (after.perm.uid, after.perm.gid) == (before.perm.uid, before.perm.gid)
    assert contents(queue) == [(1, b"text")]


@clause("msgctl.rmid-at-once", "msgctl(2)", "IPC_RMID")
def test_removal_is_immediate(holding, on_record):
    """msgctl() with IPC_RMID removes the queue and its messages at
    once: its key is free, and a new queue with it is empty.
    """
    queue = holding((1, b"text"))
    msgctl_rmid(queue.id)
    with fails_with(ENOENT):
        msgget(queue.key, 0)
    new = on_record.msgget(queue.key, IPC_CREAT | IPC_EXCL | 0o600)
    assert new != queue.id
    assert msgctl_stat(new).qnum == 0


@clause("msgctl.removed-id-eidrm", "msgctl(2)", "ERRORS", errno=EIDRM, disputed="EINVAL")
def test_removed_id_fails(sysv_msg):
    """msgctl() with the identifier of a removed queue fails with EIDRM for IPC_STAT, IPC_SET and IPC_RMID."""
    queue = sysv_msg()
    msgctl_rmid(queue.id)
    found = set()
    for call in (msgctl_stat, msgctl_set, msgctl_rmid):
        with pytest.raises(OSError) as failure:
            call(queue.id)
        found.add(failure.value.errno)
    assert found in ({EIDRM}, {EINVAL}), sorted(map(errno_name, found))
    if found == {EINVAL}:
        disputed(manual="EIDRM", linux="fails with EINVAL, as for an id that was never used")


@clause("msgctl.efault", "msgctl(2)", "ERRORS", errno=EFAULT)
def test_invalid_buffer_fails(sysv_msg):
    """msgctl() with IPC_STAT or IPC_SET fails with EFAULT for an inaccessible buffer, and changes nothing."""
    queue = sysv_msg()
    for command in (IPC_STAT, IPC_SET):  # a raw syscall: a 32-bit libc copies the structure itself
        with fails_with(EFAULT):
            raw("msgctl", queue.id, command, NOBODYS)
    assert queue.stat().perm.mode == 0o600


@clause("msgctl.einval-cmd-id", "msgctl(2)", "ERRORS", errno=EINVAL)
def test_invalid_command_or_id_fails(sysv_msg):
    """msgctl() fails with EINVAL for an unknown command and for a negative identifier."""
    queue = sysv_msg()
    with fails_with(EINVAL):
        msgctl(queue.id, 0x7F00)
    with fails_with(EINVAL):
        msgctl_stat(-1)
    with fails_with(EINVAL):
        msgctl_rmid(-1)
    assert queue.exists()


@clause("msgctl.ipc_info-matches-proc", "msgctl(2)", "IPC_INFO")
def test_ipc_info_matches_proc():
    """msgctl() with IPC_INFO returns the limits of /proc/sys/kernel."""
    limits = msgctl_limits()
    shown = {name: limit(f"kernel/{name}") for name in ("msgmax", "msgmnb", "msgmni")}
    if None in shown.values():
        untested(Need.PROC_FILES, "needs /proc/sys/kernel/msgmax, msgmnb and msgmni")
    assert {name: getattr(limits, name) for name in shown} == shown


@clause("msgctl.msg_info-sums", "msgctl(2)", "MSG_INFO")
def test_msg_info_counts_all_queues(in_ipc_namespace):
    """msgctl() with MSG_INFO returns the number of queues, and of the messages and bytes in all of them."""

    def sums() -> tuple[int, int, int]:
        for texts in ([b"12345", b"123"], [b"1"], []):
            msqid = msgget(IPC_PRIVATE, 0o600)
            for text in texts:
                msgsnd(msqid, 1, text)
        info = msgctl_info()
        return info.queues, info.messages, info.bytes

    assert in_ipc_namespace({}, sums) == (3, 3, 9)


@clause("msgctl.msg_stat-index", "msgctl(2)", "MSG_STAT")
def test_msg_stat_takes_an_index(in_ipc_namespace):
    """msgctl() with MSG_STAT takes an index and returns the
    identifier at it, and fails with EINVAL for an unused index.
    """

    def by_index() -> bool:
        msqid = msgget(IPC_PRIVATE, 0o600)
        msgsnd(msqid, 1, b"text")
        highest = msgctl_info().highest
        found = msgctl_stat(highest, MSG_STAT)
        with fails_with(EINVAL):
            msgctl_stat(highest + 1, MSG_STAT)
        return (found.id, found.qnum, found.cbytes) == (msqid, 1, 4)

    assert in_ipc_namespace({}, by_index)


@clause("msgctl.info-highest-index", "msgctl(2)", "RETURN VALUE")
def test_all_queues_are_found_by_index(in_ipc_namespace):
    """msgctl() with IPC_INFO or MSG_INFO returns the highest used index, up to which MSG_STAT finds every queue."""

    def find_all() -> tuple[set[int], set[int], bool]:
        made = {msgget(IPC_PRIVATE, 0o600) for _ in range(4)}
        highest = msgctl_info().highest
        found = {msgctl_stat(index, MSG_STAT).id for index in range(highest + 1)}
        return made, found, msgctl_limits().highest == highest

    made, found, same = in_ipc_namespace({}, find_all)
    assert found == made
    assert same


@clause("proc.sysvipc-msg-row", "proc_sysvipc(5)", "/proc/sysvipc/")
def test_proc_shows_the_queue(holding):
    """/proc/sysvipc/msg has one row for each queue, with the values of IPC_STAT."""
    queue = holding((1, b"12345"), (2, b"123"))
    take(queue)
    rows = sysvipc_msg()
    if rows is None:
        untested(Need.PROC_FILES, "needs /proc/sysvipc")
    found = [row for row in rows if row.msqid == queue.id]
    assert len(found) == 1, f"{len(found)} rows show the queue"
    row = found[0]
    ds = queue.stat()
    assert (row.key, row.perms, row.cbytes, row.qnum) == (queue.key, 0o600, 3, 1)
    assert (row.lspid, row.lrpid) == (ds.lspid, ds.lrpid)
    assert (row.uid, row.gid, row.cuid, row.cgid) == (ds.perm.uid, ds.perm.gid, ds.perm.cuid, ds.perm.cgid)
    assert (row.stime, row.rtime, row.ctime) == (ds.stime, ds.rtime, ds.ctime)
