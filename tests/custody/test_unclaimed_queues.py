"""Message queues, whose creator the kernel does not keep: proven by other attributes, or kept.

What they share with semaphore sets is tried on those, in test_unclaimed.py; this is what a queue's own row must get
right.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_ipc import MessageQueue, unused_key
from pytest_ipc.custody.sweep import sweep
from pytest_ipc.kernel import (
    IPC_NOWAIT,
    IPC_PRIVATE,
    IPC_SET,
    msg,
    msgctl_rmid,
    msgctl_set,
    msgctl_stat,
    msgget,
    msgrcv,
    msgsnd,
)
from pytest_ipc.resources.sysv import unusual_mode

from .forging import about_queue, forge, made, one_line

NOW = time.time


@pytest.fixture
def private() -> Iterator[int]:
    """Yield an IPC_PRIVATE queue such as a process leaves that is killed between the call and its record."""
    msqid = msgget(IPC_PRIVATE, 0o200 | unusual_mode())
    yield msqid
    if exists(msqid):
        msgctl_rmid(msqid)


@pytest.fixture
def keyed() -> Iterator[int]:
    """Yield the same, with a key."""
    msqid = msgget(unused_key(), 0o3600)
    yield msqid
    if exists(msqid):
        msgctl_rmid(msqid)


def exists(msqid: int) -> bool:
    try:
        msgctl_stat(msqid)
    except OSError:
        return False
    return True


def intended(msqid: int, **changes: Any) -> str:
    """Return what the queue's intent would have said."""
    perm = msgctl_stat(msqid).perm
    return about_queue(**{"key": perm.key, "mode": perm.mode, "at": NOW() - 1} | changes)


def test_a_private_queue_is_found_by_its_mode(state_dir, private, keyed):
    forge(state_dir, intended(private))
    (line,) = sweep().removed
    assert line.startswith("System V message queue (key 0x0), made in process ")
    assert (exists(private), exists(keyed)) == (False, True)


def test_a_queue_with_a_key_is_found_by_it(state_dir, private, keyed):
    forge(state_dir, intended(keyed))
    assert len(sweep().removed) == 1
    assert (exists(private), exists(keyed)) == (True, False)


@pytest.mark.parametrize(
    "change", [{"mode": 0o123}, {"uid": 65533}, {"at": NOW() + 3600}], ids=["mode", "creator", "time"]
)
def test_a_private_queue_that_differs_is_not_it(state_dir, private, change):
    forge(state_dir, intended(private, **change))
    done = sweep()
    assert (done.removed, done.left, done.refused) == ([], [], [])
    assert exists(private)


@pytest.mark.parametrize("use", ["sent to", "emptied again"])
def test_used_queue_is_kept(state_dir, private, keyed, use):
    for msqid in (private, keyed):
        msgsnd(msqid, 1, b"theirs", IPC_NOWAIT)
        if use == "emptied again":
            msgrcv(msqid, 100, 0, IPC_NOWAIT)
    forge(state_dir, intended(private))
    assert sweep().removed == []
    forge(state_dir, intended(keyed))
    assert "it is in use, and its creator is unknown" in one_line(sweep())
    assert (exists(private), exists(keyed)) == (True, True)


def test_two_candidates_are_both_kept(state_dir, private):
    other = msgget(IPC_PRIVATE, msgctl_stat(private).perm.mode)
    try:
        forge(state_dir, intended(private))
        assert ": 2 objects fit its record" in one_line(sweep())
        assert (exists(private), exists(other)) == (True, True)
    finally:
        msgctl_rmid(other)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"uid": 65533}, f"its creating user is {os.geteuid()}, not 65533"),
        ({"key": 0x1111}, "its key is"),
        ({"at": NOW() + 3600}, "it is older than the record"),
    ],
    ids=["creator", "key", "time"],
)
def test_a_recycled_id_is_another_queue(state_dir, keyed, change, sentence):
    forge(state_dir, intended(keyed, **change), made(id=keyed))
    assert sentence in one_line(sweep())
    assert exists(keyed)


def test_the_id_proves_it_though_it_is_used_and_changed(state_dir, keyed):
    record = intended(keyed)
    msgsnd(keyed, 1, b"ours", IPC_NOWAIT)
    msgctl_set(keyed, mode=0)
    forge(state_dir, record, made(id=keyed))
    assert len(sweep().removed) == 1
    assert not exists(keyed)


def test_the_next_one_under_the_key_is_not_taken_for_it(state_dir, keyed):
    """Removed by the test and created again by another process: the recorded id is another queue's."""
    record, key = intended(keyed), msgctl_stat(keyed).perm.key
    msgctl_rmid(keyed)
    with MessageQueue.create(key=key) as other:
        forge(state_dir, record, made(id=keyed))
        done = sweep()
        assert (done.removed, done.left, other.exists()) == ([], [], True)


def test_failed_change_of_mode_leaks_nothing(monkeypatch):
    """If the second call fails, the queue of the first has no owner."""
    given: list[int] = []
    get, control = msg._msgget, msg._msgctl

    def getting(*arguments):
        given.append(get(*arguments))
        return given[-1]

    def refusing(msqid, cmd, buf):
        if cmd == IPC_SET:
            raise PermissionError(1, "msgctl: Operation not permitted")
        return control(msqid, cmd, buf)

    monkeypatch.setattr(msg, "_msgget", getting)
    monkeypatch.setattr(msg, "_msgctl", refusing)
    with pytest.raises(PermissionError):
        MessageQueue.create(key=IPC_PRIVATE)
    monkeypatch.undo()
    assert [exists(msqid) for msqid in given] == [False]
