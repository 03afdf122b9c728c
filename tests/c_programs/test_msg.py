"""A C program at the other side of a message queue, which it finds by its key."""

from __future__ import annotations

from ctypes import c_long
from typing import Any

from pytest_ipc import Child, MessageQueue, unused_key


def ended(child: Child[Any]) -> str:
    assert child.wait() == 0, child.output
    return child.output


def test_program_echoes_with_the_given_type(sysv_msg, peer):
    queue = sysv_msg()
    echo = peer("msg", queue.key, "echo")
    echo.wait_blocked("msgrcv")
    for type, text in ((2, b"water"), (2**31 - 1, bytes(range(256))), (7, b""), (2, bytes(8000))):
        queue.send(bytes(c_long(type)) + text)
        assert queue.receive(type, timeout=10) == (type, text[::-1])
    ds = queue.stat()
    assert (ds.qnum, ds.lspid) == (0, echo.pid)
    queue.send(b"")
    ended(echo)


def test_message_of_the_program_arrives_unchanged(sysv_msg, peer):
    queue = sysv_msg()
    ended(peer("msg", queue.key, "send", 100))
    assert queue.stat().qnum == 100
    assert [queue.receive(type, timeout=0) for type in range(1, 101)] == [(n, bytes([n]) * n) for n in range(1, 101)]


def test_program_waits_for_space_in_a_full_queue(sysv_msg, peer):
    queue = sysv_msg()
    queue.set_status(qbytes=3)
    sender = peer("msg", queue.key, "send", 3)
    sender.wait_blocked("msgsnd")
    assert [queue.receive(timeout=10).type for _ in range(3)] == [1, 2, 3]
    ended(sender)


def test_program_receives_our_messages_in_order(sysv_msg, peer):
    queue = sysv_msg()
    sent = [(5, 0), (1, 8192), (2**31 - 1, 7)]
    for type, size in sent:
        queue.send(bytes(size), type)
    assert ended(peer("msg", queue.key, "drain")) == "".join(f"{type} {size}\n" for type, size in sent)
    assert queue.stat().qnum == 0


def test_its_queue_is_used_by_us_and_removed_by_it(peer):
    key = unused_key()
    id = int(ended(peer("msg", key, "make")))
    try:
        with MessageQueue.create(key=key, flags=0) as queue:
            assert (queue.id, queue.stat().perm.mode) == (id, 0o640)
            queue.send(b"text", 9)
        assert ended(peer("msg", key, "drain")) == "9 4\n"
    finally:
        ended(peer("msg", key, "remove"))
    assert not queue.exists()


def test_it_is_woken_by_the_end_of_the_queue(peer):
    with MessageQueue.create() as queue:
        echo = peer("msg", queue.key, "echo")
        echo.wait_blocked("msgrcv")
    assert echo.wait() == 1
    assert "msgrcv: Identifier removed" in echo.output
