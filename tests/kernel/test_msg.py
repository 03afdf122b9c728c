"""Calls on message queues: a round trip, values beyond their C type are refused, and /proc agrees with msgctl(2)."""

from __future__ import annotations

import ctypes
import os
from errno import E2BIG, EACCES, EEXIST, EINTR, EINVAL, ENOENT, ENOMSG
from signal import SIGUSR1

import pytest

from pytest_ipc import fails_with, unused_key
from pytest_ipc import kernel as ipc
from pytest_ipc.kernel import libc, proc

LONG_MAX = libc.LONG[1]


@pytest.fixture
def msqid(sysv_msg):
    return sysv_msg().id


def test_queue_is_created_found_and_removed():
    key = unused_key()
    msqid = ipc.msgget(key, ipc.IPC_CREAT | ipc.IPC_EXCL | 0o600)
    assert ipc.msgget(key, 0) == msqid
    with fails_with(EEXIST):
        ipc.msgget(key, ipc.IPC_CREAT | ipc.IPC_EXCL)
    ipc.msgctl_rmid(msqid)
    with fails_with(ENOENT):
        ipc.msgget(key, 0)
    with fails_with(EINVAL):
        ipc.msgctl_stat(msqid)


@pytest.mark.parametrize("type", sorted({1, 2**31 - 1, LONG_MAX}))
@pytest.mark.parametrize("text", [b"", b"\0", b"text", bytes(range(256))], ids=["none", "NUL", "text", "256 bytes"])
def test_sent_message_is_received(msqid, type, text):
    ipc.msgsnd(msqid, type, text)
    ds = ipc.msgctl_stat(msqid)
    assert (ds.qnum, ds.cbytes, ds.lspid) == (1, len(text), os.getpid())
    type_received, text_received = ipc.msgrcv(msqid, 256)
    assert (type_received, text_received) == (type, text)


def test_msgrcv_flags_select_and_truncate_messages(msqid):
    for type in (3, 1, 2):
        ipc.msgsnd(msqid, type, b"text", ipc.IPC_NOWAIT)
    assert ipc.msgrcv(msqid, 9, 1, ipc.MSG_COPY | ipc.IPC_NOWAIT) == ipc.Msgbuf(1, b"text")
    assert ipc.msgrcv(msqid, 9, 3, ipc.MSG_EXCEPT).type == 1
    with fails_with(E2BIG):
        ipc.msgrcv(msqid, 3)
    assert ipc.msgrcv(msqid, 3, -3, ipc.MSG_NOERROR) == (2, b"tex")
    with fails_with(ENOMSG):
        ipc.msgrcv(msqid, 9, 1, ipc.IPC_NOWAIT)


def test_raw_calls_take_addresses(msqid):
    buffer = ctypes.create_string_buffer(bytes(ctypes.c_long(5)) + b"text")
    ipc.msgsnd_raw(msqid, ctypes.addressof(buffer), 4)
    room = ctypes.create_string_buffer(100)
    assert ipc.msgrcv_raw(msqid, ctypes.addressof(room), 4) == 4
    assert room.raw[: len(buffer.raw) - 1] == buffer.raw[:-1]


def test_msgctl_set_changes_only_the_given_values(msqid):
    before = ipc.msgctl_stat(msqid)
    ipc.msgctl_set(msqid, qbytes=1000)
    ipc.msgctl_set(msqid, mode=0o640)
    after = ipc.msgctl_stat(msqid)
    assert (after.qbytes, after.perm.mode, after.perm.uid) == (1000, 0o640, before.perm.uid)


def test_msgctl_set_of_all_values_needs_no_read_permission(fork):
    def life():
        try:
            os.setresuid(65534, 65534, 65534)
        except OSError as error:
            pytest.skip(f"needs another user: {error.strerror}")
        made = ipc.msgget(ipc.IPC_PRIVATE, 0)
        try:
            with fails_with(EACCES):
                ipc.msgctl_set(made, mode=0o600)
            ipc.msgctl_set(made, uid=65534, gid=os.getgid(), mode=0o640, qbytes=77)
            ds = ipc.msgctl_stat(made)
        finally:
            ipc.msgctl_rmid(made)
        return ds.perm.mode, ds.qbytes

    try:
        assert fork(life).result() == (0o640, 77)
    except PermissionError as error:
        pytest.skip(f"needs a second user: {error.strerror}")


def test_msgctl_limits_and_info(msqid):
    for _ in range(3):
        ipc.msgsnd(msqid, 1, b"text")
    limits, info = ipc.msgctl_limits(), ipc.msgctl_info()
    assert (limits.msgmax, limits.msgmnb, limits.msgmni) == tuple(
        ipc.limit(f"kernel/{name}") for name in ("msgmax", "msgmnb", "msgmni")
    )
    assert info.queues >= 1
    assert (info.messages >= 3, info.bytes >= 12) == (True, True)
    every = [found for index in range(info.highest + 1) if (found := at_index(index))]
    assert [found for found in every if found.id == msqid] == [ipc.msgctl_stat(msqid)]


def at_index(index: int) -> ipc.MsqidDs | None:
    try:
        return ipc.msgctl_stat(index, ipc.MSG_STAT_ANY)
    except OSError:
        return None


def test_sysvipc_msg_agrees_with_msgctl(msqid, monkeypatch):
    ipc.msgsnd(msqid, 1, b"first")
    ipc.msgsnd(msqid, 1, b"second")
    ipc.msgrcv(msqid, 100)
    ds, rows = ipc.msgctl_stat(msqid), ipc.sysvipc_msg()
    if rows is None:
        pytest.skip("there is no /proc/sysvipc/msg here")
    (row,) = (row for row in rows if row.msqid == msqid)
    perm = ds.perm
    assert (row.key, row.perms) == (perm.key, perm.mode) == (perm.key, 0o600)
    assert (row.cbytes, row.qnum, row.lspid, row.lrpid) == (ds.cbytes, ds.qnum, ds.lspid, ds.lrpid)
    assert (row.uid, row.gid, row.cuid, row.cgid) == (perm.uid, perm.gid, perm.cuid, perm.cgid)
    assert (row.stime, row.rtime, row.ctime) == (ds.stime, ds.rtime, ds.ctime)
    assert min(row.stime, row.rtime, row.ctime) > 0
    monkeypatch.setattr(proc, "_read", lambda _path: None)
    assert ipc.sysvipc_msg() is None


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: ipc.msgget(1 << 31, 0), OverflowError),
        (lambda: ipc.msgget("1", 0), TypeError),  # type: ignore[arg-type]
        (lambda: ipc.msgsnd(1 << 31, 1, b""), OverflowError),
        (lambda: ipc.msgsnd(-1, LONG_MAX + 1, b""), OverflowError),
        (lambda: ipc.msgsnd(-1, 1.0, b""), TypeError),  # type: ignore[arg-type]
        (lambda: ipc.msgsnd(-1, 1, "text"), TypeError),  # type: ignore[arg-type]
        (lambda: ipc.msgsnd(-1, 1, 5), TypeError),  # type: ignore[arg-type]
        (lambda: ipc.msgsnd_raw(-1, -1, 0), OverflowError),
        (lambda: ipc.msgsnd_raw(-1, b"text", 0), TypeError),  # type: ignore[arg-type]
        (lambda: ipc.msgsnd_raw(-1, None, -1), OverflowError),
        (lambda: ipc.msgrcv(-1, -1), OverflowError),
        (lambda: ipc.msgrcv(-1, 1 << 64), OverflowError),
        (lambda: ipc.msgrcv(-1, 1, -LONG_MAX - 2), OverflowError),
        (lambda: ipc.msgrcv_raw(-1, 1 << 64, 0), OverflowError),
        (lambda: ipc.msgctl(-1, 0, 1 << 64), OverflowError),
        (lambda: ipc.msgctl_set(-1, mode=1 << 16), OverflowError),
        (lambda: ipc.msgctl_set(-1, uid=-1), OverflowError),
        (lambda: ipc.msgctl_set(-1, qbytes=1 << 64), OverflowError),
    ],
    ids=range(18),
)
def test_value_beyond_the_c_type_raises_overflow_error(call, error):
    with pytest.raises(error):
        call()


@pytest.mark.parametrize("call", ["msgrcv", "msgsnd"])
def test_interrupted_call_fails_with_eintr(fork, signals, msqid, call):
    if call == "msgsnd":
        ipc.msgctl_set(msqid, qbytes=1)
        ipc.msgsnd(msqid, 1, b"x")

    def life():
        signals.catch(SIGUSR1)
        with fails_with(EINTR):
            ipc.msgrcv(msqid, 1, 2) if call == "msgrcv" else ipc.msgsnd(msqid, 1, b"x")

    child = fork(life)
    child.wait_blocked(call)
    child.signal(SIGUSR1)
    child.result()
