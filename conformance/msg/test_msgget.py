"""msgget(2): which queue a key leads to, and how a new one begins."""

from __future__ import annotations

import os
import time
from errno import EEXIST, ENOENT

from pytest_ipc import clause, fails_with, unused_key
from pytest_ipc.kernel import IPC_CREAT, IPC_EXCL, IPC_PRIVATE, msgctl_stat, msgget

from ..credentials import OTHER_GROUP, STRANGER, act_as_another


@clause("msgget.create-private", "msgget(2)", "DESCRIPTION")
def test_private_is_new_every_time(on_record):
    """With the key IPC_PRIVATE every call makes a new queue."""
    made = {on_record.msgget(IPC_PRIVATE, 0o600) for _ in range(3)}
    assert len(made) == 3


@clause("msgget.private-ignores-flags", "msgget(2)", "NOTES")
def test_private_needs_no_creat(on_record):
    """With IPC_PRIVATE only the nine mode bits of the flags count: IPC_CREAT is not needed, IPC_EXCL does no harm."""
    first = on_record.msgget(IPC_PRIVATE, 0o600)
    second = on_record.msgget(IPC_PRIVATE, IPC_EXCL | 0o640)
    assert [msgctl_stat(msqid).perm.mode for msqid in (first, second)] == [0o600, 0o640]


@clause("msgget.id-not-negative", "msgget(2)", "RETURN VALUE")
def test_an_identifier_is_not_negative(on_record):
    """The identifier that msgget gives is not negative, with a key and without, for a new queue and for one that exists."""
    key = unused_key()
    made = [on_record.msgget(IPC_PRIVATE, 0o600), on_record.msgget(key, IPC_CREAT | 0o600), msgget(key, 0)]
    assert min(made) >= 0


@clause("msgget.lookup-existing", "msgget(2)", "DESCRIPTION")
def test_a_key_leads_to_its_queue(sysv_msg):
    """The key of an existing queue gives that queue's identifier, with no flags and with IPC_CREAT alone."""
    queue = sysv_msg()
    assert msgget(queue.key, 0) == queue.id
    assert msgget(queue.key, IPC_CREAT | 0o600) == queue.id


@clause("msgget.excl-existing-key-eexist", "msgget(2)", "ERRORS", errno=EEXIST)
def test_excl_fails_when_the_key_has_a_queue(sysv_msg):
    """IPC_CREAT with IPC_EXCL fails when a queue with the key exists."""
    queue = sysv_msg()
    with fails_with(EEXIST):
        msgget(queue.key, IPC_CREAT | IPC_EXCL | 0o600)
    assert queue.exists()


@clause("msgget.nocreat-enoent", "msgget(2)", "ERRORS", errno=ENOENT)
def test_a_key_without_queue_is_not_found():
    """A key that no queue has fails without IPC_CREAT, and makes nothing."""
    key = unused_key()
    for _ in range(2):
        with fails_with(ENOENT):
            msgget(key, 0o600)


@clause("msgget.init-effective-ids", "msgget(2)", "DESCRIPTION")
def test_the_effective_ids_of_the_maker_own_it(fork, on_record):
    """Owner and creator of a new queue are the effective user and group of its maker, not the real ones."""

    def make() -> tuple[int, int, int, int]:
        act_as_another()
        perm = msgctl_stat(on_record.msgget(IPC_PRIVATE, 0o600)).perm
        return perm.cuid, perm.uid, perm.cgid, perm.gid

    assert fork(make).result() == (STRANGER, STRANGER, OTHER_GROUP, OTHER_GROUP)


@clause("msgget.init-mode-low9", "msgget(2)", "DESCRIPTION")
def test_the_mode_is_the_flags_low_nine_bits(fork, on_record):
    """The mode of a new queue is the low nine bits of the flags, and the umask takes nothing from them."""

    def make() -> int:
        os.umask(0o777)
        return msgctl_stat(on_record.msgget(unused_key(), IPC_CREAT | IPC_EXCL | 0o753)).perm.mode

    assert oct(fork(make).result()) == oct(0o753)


@clause("msgget.init-zero-fields", "msgget(2)", "DESCRIPTION")
def test_what_has_not_happened_is_zero(sysv_msg):
    """A new queue is empty and has no sender, no receiver and no time of either: all are 0."""
    ds = sysv_msg().stat()
    assert (ds.qnum, ds.cbytes, ds.lspid, ds.lrpid, ds.stime, ds.rtime) == (0, 0, 0, 0, 0, 0)


@clause("msgget.init-ctime-now", "msgget(2)", "DESCRIPTION")
def test_the_time_of_change_starts_as_now(sysv_msg):
    """The time of change of a new queue is the time of its making."""
    before = int(time.time()) - 1  # the kernel's coarse clock may lag behind by a tick
    ctime = sysv_msg().stat().ctime
    assert before <= ctime <= time.time()
