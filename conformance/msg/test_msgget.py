"""msgget(2): finding the queue of a key, and the state of a new queue."""

from __future__ import annotations

import os
import time
from errno import EEXIST, ENOENT

from pytest_ipc import clause, fails_with, unused_key
from pytest_ipc.kernel import IPC_CREAT, IPC_EXCL, IPC_PRIVATE, msgctl_stat, msgget

from ..credentials import OTHER_GROUP, STRANGER, act_as_another


@clause("msgget.create-private", "msgget(2)", "DESCRIPTION")
def test_private_is_new_every_time(on_record):
    """msgget() with IPC_PRIVATE creates a new queue at every call."""
    made = {on_record.msgget(IPC_PRIVATE, 0o600) for _ in range(3)}
    assert len(made) == 3


@clause("msgget.private-ignores-flags", "msgget(2)", "NOTES")
def test_private_needs_no_creat(on_record):
    """msgget() with IPC_PRIVATE uses only the mode bits of the flags: it needs no IPC_CREAT and ignores IPC_EXCL."""
    first = on_record.msgget(IPC_PRIVATE, 0o600)
    second = on_record.msgget(IPC_PRIVATE, IPC_EXCL | 0o640)
    assert [msgctl_stat(msqid).perm.mode for msqid in (first, second)] == [0o600, 0o640]


@clause("msgget.id-not-negative", "msgget(2)", "RETURN VALUE")
def test_an_identifier_is_not_negative(on_record):
    """msgget() returns a non-negative identifier, for a new queue and for an existing one."""
    key = unused_key()
    made = [on_record.msgget(IPC_PRIVATE, 0o600), on_record.msgget(key, IPC_CREAT | 0o600), msgget(key, 0)]
    assert min(made) >= 0


@clause("msgget.lookup-existing", "msgget(2)", "DESCRIPTION")
def test_key_finds_its_queue(sysv_msg):
    """msgget() with the key of an existing queue returns its identifier, without flags and with IPC_CREAT."""
    queue = sysv_msg()
    assert msgget(queue.key, 0) == queue.id
    assert msgget(queue.key, IPC_CREAT | 0o600) == queue.id


@clause("msgget.excl-existing-key-eexist", "msgget(2)", "ERRORS", errno=EEXIST)
def test_excl_fails_if_key_exists(sysv_msg):
    """msgget() with IPC_CREAT | IPC_EXCL fails with EEXIST if a queue exists for the key."""
    queue = sysv_msg()
    with fails_with(EEXIST):
        msgget(queue.key, IPC_CREAT | IPC_EXCL | 0o600)
    assert queue.exists()


@clause("msgget.nocreat-enoent", "msgget(2)", "ERRORS", errno=ENOENT)
def test_key_without_queue_fails():
    """msgget() without IPC_CREAT fails with ENOENT if no queue exists for the key, and creates none."""
    key = unused_key()
    for _ in range(2):
        with fails_with(ENOENT):
            msgget(key, 0o600)


@clause("msgget.init-effective-ids", "msgget(2)", "DESCRIPTION")
def test_new_queue_has_the_effective_ids(fork, on_record):
    """msgget() sets owner and creator of a new queue to the effective user and group IDs of the caller."""

    def make() -> tuple[int, int, int, int]:
        act_as_another()
        perm = msgctl_stat(on_record.msgget(IPC_PRIVATE, 0o600)).perm
        return perm.cuid, perm.uid, perm.cgid, perm.gid

    assert fork(make).result() == (STRANGER, STRANGER, OTHER_GROUP, OTHER_GROUP)


@clause("msgget.init-mode-low9", "msgget(2)", "DESCRIPTION")
def test_new_queue_has_the_low_nine_mode_bits(fork, on_record):
    """msgget() sets the mode of a new queue to the low nine bits of the flags, without applying the umask."""

    def make() -> int:
        os.umask(0o777)
        return msgctl_stat(on_record.msgget(unused_key(), IPC_CREAT | IPC_EXCL | 0o753)).perm.mode

    assert oct(fork(make).result()) == oct(0o753)


@clause("msgget.init-zero-fields", "msgget(2)", "DESCRIPTION")
def test_new_queue_has_zero_fields(sysv_msg):
    """msgget() sets msg_qnum, msg_lspid, msg_lrpid, msg_stime and msg_rtime of a new queue to 0."""
    ds = sysv_msg().stat()
    assert (ds.qnum, ds.cbytes, ds.lspid, ds.lrpid, ds.stime, ds.rtime) == (0, 0, 0, 0, 0, 0)


@clause("msgget.init-ctime-now", "msgget(2)", "DESCRIPTION")
def test_new_queue_has_the_current_ctime(sysv_msg):
    """msgget() sets msg_ctime of a new queue to the current time."""
    before = int(time.time()) - 1  # the kernel's coarse clock may lag behind by a tick
    ctime = sysv_msg().stat().ctime
    assert before <= ctime <= time.time()
