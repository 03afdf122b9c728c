"""Message queues with sysv_ipc, which has its own C: found, used and described alike in both directions."""

from __future__ import annotations

import os
from errno import EAGAIN
from typing import Any

import pytest

from pytest_ipc import MessageQueue, fails_with, unused_key
from pytest_ipc.kernel import IPC_NOWAIT, msgctl_limits, msgctl_stat

sysv_ipc = pytest.importorskip("sysv_ipc", reason="sysv_ipc is not installed")


@pytest.fixture
def theirs():
    """Yield a queue that sysv_ipc has made."""
    queue = sysv_ipc.MessageQueue(unused_key(), sysv_ipc.IPC_CREX, mode=0o640, max_message_size=8192)
    yield queue
    queue.remove()


def account(queue: Any) -> dict[str, int]:
    """Return the attributes of a queue in sysv_ipc, with our names."""
    return {
        "uid": queue.uid,
        "gid": queue.gid,
        "cuid": queue.cuid,
        "cgid": queue.cgid,
        "mode": queue.mode & 0o777,
        "qnum": queue.current_messages,
        "qbytes": queue.max_size,
        "lspid": queue.last_send_pid,
        "lrpid": queue.last_receive_pid,
        "stime": queue.last_send_time,
        "rtime": queue.last_receive_time,
        "ctime": queue.last_change_time,
    }


def ours_of(id: int) -> dict[str, int]:
    ds = msgctl_stat(id)
    perm = ds.perm
    names = ("qnum", "qbytes", "lspid", "lrpid", "stime", "rtime", "ctime")
    owners = {"uid": perm.uid, "gid": perm.gid, "cuid": perm.cuid, "cgid": perm.cgid, "mode": perm.mode}
    return owners | {name: getattr(ds, name) for name in names}


@pytest.mark.parametrize("text", [b"", b"\0binary\xff", bytes(range(256)) * 8], ids=["none", "binary", "2048 bytes"])
@pytest.mark.parametrize("type", [1, 7, 2**31 - 1])
def test_other_binding_receives_our_message(sysv_msg, type, text):
    queue = sysv_msg()
    other = sysv_ipc.MessageQueue(queue.key, max_message_size=8192)
    assert other.id == queue.id
    queue.send(text, type)
    assert account(other) == ours_of(queue.id)
    assert other.receive(type=type) == (text, type)
    other.send(text, type=type)
    assert queue.receive() == (type, text)
    assert account(other) == ours_of(queue.id)


def test_its_queue_is_found_and_used_and_not_removed(theirs):
    with MessageQueue.create(key=theirs.key, flags=0) as found:
        assert (found.id, found.stat().perm.mode) == (theirs.id, 0o640)
        theirs.send(b"from it", type=3)
        assert found.receive(3) == (3, b"from it")
        found.send(b"from us", 4)
        assert account(theirs) == ours_of(found.id)
    assert theirs.receive() == (b"from us", 4)


def test_a_receiver_of_its_own_process_is_on_both_records(theirs, fork):
    theirs.send(b"for the child", type=3)
    child = fork(theirs.receive, type=-5)
    assert child.result() == (b"for the child", 3)
    assert (theirs.last_receive_pid, msgctl_stat(theirs.id).lrpid) == (child.pid, child.pid)
    assert theirs.last_send_pid == os.getpid()


def test_both_choose_by_the_same_rule(sysv_msg):
    first, second = sysv_msg(), sysv_msg()
    other = sysv_ipc.MessageQueue(second.key, max_message_size=8192)
    sent = [(5, b"a"), (2, b"b"), (9, b"c"), (2, b"d"), (1, b"e"), (9, b"f")]
    for type, text in sent:
        first.send(text, type)
        other.send(text, type=type)
    for asked in (-4, 9, 0, -100, 9, 0):
        assert other.receive(type=asked) == tuple(reversed(first.receive(asked)))


def test_a_queue_that_is_full_for_us_is_full_for_it(sysv_msg):
    queue = sysv_msg()
    other = sysv_ipc.MessageQueue(queue.key)
    other.max_size = 10
    assert queue.stat().qbytes == 10
    queue.send(bytes(10))
    with pytest.raises(sysv_ipc.BusyError):
        other.send(b"x", block=False)
    with fails_with(EAGAIN):
        queue.send(b"x", flags=IPC_NOWAIT)


def test_removal_by_the_other_binding_is_harmless(sysv_msg):
    queue = sysv_msg()
    sysv_ipc.remove_message_queue(queue.id)
    assert not queue.exists()
    assert not queue.remove()


def test_new_queue_has_the_default_capacity(theirs):
    assert theirs.max_size == msgctl_limits().msgmnb
