"""System V message queues: messages, timeouts, ownership and removal."""

from __future__ import annotations

import os
import signal
from errno import E2BIG, EAGAIN, EIDRM, EINVAL, ENOMSG

import pytest

from pytest_ipc import MessageQueue, NotAllowedHere, fails_with, scope, unused_key
from pytest_ipc.kernel import (
    IPC_CREAT,
    IPC_NOWAIT,
    IPC_PRIVATE,
    MSG_COPY,
    MSG_EXCEPT,
    MSG_NOERROR,
    msgctl_rmid,
    msgget,
    msgsnd,
)


@pytest.fixture
def queue():
    with MessageQueue.create() as queue:
        yield queue


@pytest.fixture
def inside(ipc_namespace):
    """Run a function in an IPC namespace with these limits."""

    def run(function, **limits):
        try:
            namespace = ipc_namespace(**limits)
        except NotAllowedHere as error:
            pytest.skip(f"no new IPC namespace here: {error}")
        namespace.fork(function).result()

    return run


def test_a_queue_lives_as_long_as_its_block():
    with MessageQueue.create() as queue:
        assert (queue.exists(), queue.stat().qnum, queue.stat().perm.mode) == (True, 0, 0o600)
        assert msgget(queue.key, 0) == queue.id
        assert repr(queue) == f"<MessageQueue id={queue.id} key={queue.key:#x}>"
    assert not queue.exists()


def test_messages_go_through_with_their_types(queue):
    for type, text in ((5, b"five"), (1, bytearray(b"one")), (3, memoryview(b"three"))):
        queue.send(text, type)
    assert queue.receive() == (5, b"five")
    assert queue.receive(-3) == (1, b"one")
    message = queue.receive(3)
    assert (message.type, message.text) == (3, b"three")


def test_the_flags_are_the_kernels(queue):
    for type in (1, 2):
        queue.send(b"text", type)
    assert queue.receive(1, flags=MSG_COPY | IPC_NOWAIT) == (2, b"text")
    assert queue.receive(1, flags=MSG_EXCEPT) == (2, b"text")
    assert queue.receive(size=2, flags=MSG_NOERROR) == (1, b"te")
    with fails_with(ENOMSG):
        queue.receive(flags=IPC_NOWAIT)
    queue.set_status(qbytes=1)
    with fails_with(EAGAIN):
        queue.send(b"text", flags=IPC_NOWAIT)


def test_a_text_of_any_size_is_received_whole(inside):
    def life():
        with MessageQueue.create() as queue:
            queue.set_status(qbytes=200_000)
            texts = [os.urandom(size) for size in (0, 8191, 8192, 8193, 100_000)]
            for text in texts:
                queue.send(text)
            assert queue.receive(flags=MSG_NOERROR).text == texts[0]
            assert [queue.receive().text for _ in texts[1:4]] == texts[1:4]
            assert queue.receive(flags=MSG_NOERROR, timeout=5).text == texts[4]

    inside(life, msgmax=100_000, msgmnb=200_000)


def test_a_size_is_a_limit(queue):
    queue.send(b"text")
    with fails_with(E2BIG):
        queue.receive(size=3)
    assert queue.receive(size=4) == (1, b"text")


def test_timeout_without_a_message(queue):
    queue.send(b"for others", 7)
    for type, text in ((3, "a message for type 3 in"), (-3, "a message for type -3 in")):
        with pytest.raises(
            TimeoutError, match=f"^waited 0.02 s for {text} {queue!r}; it holds 1 messages, 10 of [0-9]+ bytes"
        ):
            queue.receive(type, timeout=0.02)
    queue.receive()
    with pytest.raises(TimeoutError, match=f"^waited 0 s for a message in {queue!r}; it holds 0 messages, 0 of "):
        queue.receive(timeout=0)


def test_timeout_of_a_full_queue(queue):
    queue.set_status(qbytes=4)
    queue.send(b"text", timeout=0)
    with pytest.raises(
        TimeoutError, match=f"^waited 0.02 s for room for 2 bytes in {queue!r}; it holds 1 messages, 4 of 4 bytes"
    ):
        queue.send(b"xx", timeout=0.02)
    assert queue.stat().qnum == 1


def test_message_before_the_timeout_is_received(fork, queue, pipe):
    gate = pipe()

    def life():
        gate.read(timeout=None)
        queue.send(b"late", 5)

    sender = fork(life)
    sender.wait_blocked("read")
    gate.write(b"!")
    assert queue.receive(5, timeout=10) == (5, b"late")
    sender.result()


def test_space_before_the_timeout_is_used(fork, queue):
    queue.set_status(qbytes=4)
    queue.send(b"full", 5)
    sender = fork(queue.send, b"more", 6, timeout=10)
    assert queue.receive(5) == (5, b"full")
    sender.result()
    assert queue.receive() == (6, b"more")


def test_without_a_time_it_waits_in_the_kernel(fork, queue):
    reader = fork(queue.receive, 2, timeout=None)
    reader.wait_blocked("msgrcv")
    queue.set_status(qbytes=4)
    queue.send(b"full")
    writer = fork(queue.send, b"more", 2, timeout=None)
    writer.wait_blocked("msgsnd")
    queue.receive(1)
    assert reader.result() == (2, b"more")
    writer.result()


@pytest.mark.parametrize("call", ["msgrcv", "msgsnd"])
def test_signal_handler_does_not_end_a_wait(fork, signals, queue, call):
    def life():
        caught = signals.catch(signal.SIGUSR1)
        if call == "msgrcv":
            queue.receive(2, timeout=None)
        else:
            queue.send(b"text", 2, timeout=None)
        return caught.count

    if call == "msgsnd":
        queue.set_status(qbytes=4)
        queue.send(b"full")
    child = fork(life)
    child.wait_blocked(call)
    child.signal(signal.SIGUSR1)
    child.wait_blocked(call)
    if call == "msgrcv":
        queue.send(b"text", 2)
    else:
        queue.receive(1)
    assert child.result() == 1


@pytest.mark.parametrize("timeout", [None, 10])
def test_waiters_are_released_at_the_end(fork, timeout):
    with MessageQueue.create() as queue:
        queue.set_status(qbytes=4)
        queue.send(b"full")

        def life(call, *args):
            with pytest.raises(OSError) as failure:
                call(*args, timeout=timeout)
            return failure.value.errno, failure.value.__notes__[0]

        children = [fork(life, queue.receive, 2), fork(life, queue.send, b"more")]
        if timeout is None:
            for child, call in zip(children, ("msgrcv", "msgsnd"), strict=True):
                child.wait_blocked(call)
    # # A polling receiver may get EINVAL, where one blocked in the kernel gets EIDRM.
    wanted = {EIDRM} if timeout is None else {EIDRM, EINVAL}
    (received, receiving), (sent, sending) = [child.result() for child in children]
    assert {received, sent} <= wanted
    assert (receiving, sending) == (f"while receiving from {queue!r}", f"while sending 4 bytes to {queue!r}")


def test_owner_mode_and_capacity_can_be_changed(queue):
    queue.set_status(mode=0o640, qbytes=1000)
    ds = queue.stat()
    assert (ds.perm.mode, ds.qbytes, ds.perm.uid) == (0o640, 1000, os.geteuid())


def test_only_one_removal_is_the_one():
    with MessageQueue.create() as queue:
        other = MessageQueue.create(key=queue.key, flags=0)
        assert [other.remove(), other.remove(), queue.remove(), queue.remove()] == [True, False, False, False]
        assert not queue.exists()


def test_foreign_removal_is_harmless():
    with MessageQueue.create() as queue:
        msgctl_rmid(queue.id)
        assert not queue.remove()


@pytest.mark.parametrize("flags", [0, IPC_CREAT])
def test_a_queue_that_was_found_is_not_removed(flags):
    with MessageQueue.create() as theirs:
        with MessageQueue.create(key=theirs.key, flags=flags) as found:
            assert found.id == theirs.id
            found.send(b"text")
        assert theirs.receive() == (1, b"text")


def test_creat_without_excl_owns_a_new_object():
    with MessageQueue.create(key=unused_key(), flags=IPC_CREAT) as queue:
        assert queue.exists()
    assert not queue.exists()


@pytest.mark.parametrize("mode", [0o600, 0o642, 0o751])
def test_private_queue_has_its_mode_and_is_removed(mode):
    with MessageQueue.create(key=IPC_PRIVATE, flags=0, mode=mode) as queue:
        ds = queue.stat()
        assert (queue.key, ds.perm.key, ds.perm.mode, ds.qnum) == (0, 0, mode, 0)
        queue.send(b"text")
        assert queue.receive() == (1, b"text")
    assert not queue.exists()


def test_missing_object_is_not_created_without_creat():
    key = unused_key()
    for _ in range(2):
        with pytest.raises(FileNotFoundError) as failure:
            MessageQueue.create(key=key, flags=0)
        assert f"key {key:#x}" in failure.value.__notes__[0]


def test_enospc_names_the_limit(inside):
    def life():
        with pytest.raises(OSError, match="No space left on device") as failure:
            MessageQueue.create()
        assert "kernel.msgmni is 0 (queues; msgget(2))" in failure.value.__notes__
        assert "`ipcs -q` lists the message queues of this IPC namespace" in failure.value.__notes__

    inside(life, msgmni=0)


def test_a_child_uses_it_and_does_not_end_it(fork):
    with scope() as ipc:
        queue = ipc.sysv_msg()

        def life():
            queue.send(b"from the child")
            queue.close()
            return queue.exists()

        assert fork(life).result()
        assert queue.receive() == (1, b"from the child")
    assert not queue.exists()


def test_message_of_another_process_is_received(queue):
    msgsnd(queue.id, 9, b"raw")
    assert queue.receive() == (9, b"raw")
