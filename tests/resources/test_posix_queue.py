"""POSIX message queues: priorities, deadlines, notification, and only what is ours is unlinked."""

from __future__ import annotations

import os
import select
import signal
from errno import EAGAIN, EBUSY, EMFILE, EMSGSIZE
from resource import RLIMIT_MSGQUEUE, getrlimit, setrlimit

import pytest

from pytest_ipc import PosixQueue, fails_with, scope, unused_name
from pytest_ipc.kernel import CLONE_NEWIPC, MqAttr, mq_close, mq_open, mq_unlink, sigtimedwait, unshare


def is_there(name: str) -> bool:
    try:
        mq_close(mq_open(name, os.O_RDONLY))
    except FileNotFoundError:
        return False
    return True


@pytest.fixture
def queue(posix_mq):
    return posix_mq(maxmsg=2, msgsize=8)


def test_it_lives_as_long_as_its_block():
    with PosixQueue.create(maxmsg=3, msgsize=100) as queue:
        assert (queue.maxmsg, queue.msgsize, queue.fd) == (3, 100, queue.fileno())
        assert queue.attributes == MqAttr(flags=0, maxmsg=3, msgsize=100, curmsgs=0)
        assert repr(queue) == f"<PosixQueue {queue.name}>"
        assert (is_there(queue.name), queue.descriptors()) == (True, [queue.fd])
        fd = queue.fd
    assert (is_there(queue.name), queue.descriptors()) == (False, [])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_messages_come_by_priority(queue):
    queue.send(b"low")
    queue.send(bytearray(b"high"), 32767)
    assert [queue.receive(), queue.receive(timeout=0)] == [(b"high", 32767), (b"low", 0)]


def test_timeout_without_a_partner(queue):
    for timeout in (0, 0.02):
        with pytest.raises(
            TimeoutError,
            match=f"^waited {timeout} s for a message in <PosixQueue {queue.name}>; it holds 0 of 2 messages",
        ):
            queue.receive(timeout=timeout)
    queue.send(b"1", timeout=0)
    queue.send(b"2")
    for timeout in (0, 0.02):
        with pytest.raises(
            TimeoutError, match=f"^waited {timeout} s for room in <PosixQueue {queue.name}>; it holds 2 of 2 messages"
        ):
            queue.send(b"3", timeout=timeout)
    assert queue.attributes.curmsgs == 2


def test_a_signal_does_not_end_the_wait(queue, fork, signals):
    def child(timeout):
        signals.catch(signal.SIGUSR1)
        signals.unblock(signal.SIGUSR1)
        return queue.receive(timeout=timeout)

    for timeout in (None, 60):
        receiver = fork(child, timeout)
        receiver.wait_blocked("mq_receive")
        receiver.signal(signal.SIGUSR1)
        receiver.wait_blocked("mq_receive")
        queue.send(b"x")
        assert receiver.result() == (b"x", 0)


def test_without_waiting_it_fails_at_once(queue):
    queue.set_blocking(False)
    with fails_with(EAGAIN):
        queue.receive()
    with fails_with(EAGAIN):
        queue.receive(timeout=60)
    queue.set_blocking(True)
    assert queue.attributes.flags == 0


def test_message_beyond_msgsize_fails(queue):
    with fails_with(EMSGSIZE):
        queue.send(b"x" * 9)
    assert queue.attributes.curmsgs == 0


@pytest.mark.parametrize("what", ["text", 5, None])
def test_message_must_be_bytes(queue, what):
    with pytest.raises(TypeError, match="bytes-like"):
        queue.send(what)
    assert queue.attributes.curmsgs == 0


def test_it_can_be_polled(queue):
    assert select.select([queue], [queue], [], 0) == ([], [queue], [])
    queue.send(b"x")
    assert select.select([queue], [queue], [], 0) == ([queue], [queue], [])


def test_message_is_notified_by_a_signal(queue, fork, signals):
    def child():
        signals.block(signal.SIGUSR1)
        queue.notify(signal.SIGUSR1, 5)
        info = sigtimedwait({signal.SIGUSR1}, 60)
        return info.value, info.pid

    reported = fork(child)
    reported.wait_blocked("sigtimedwait")
    with fails_with(EBUSY):
        queue.notify(None)
    queue.send(b"x")
    assert reported.result() == (5, os.getpid())


def test_notification_is_registered_and_released(queue, fork):
    queue.notify(None)
    with pytest.raises(OSError, match="mq_notify") as caught:
        fork(queue.notify, None).result()
    assert caught.value.errno == EBUSY
    queue.cancel_notify()
    queue.cancel_notify()
    fork(queue.notify, None).result()


def test_only_one_removal_is_the_one(queue):
    other = PosixQueue.create(name=queue.name, flags=os.O_RDWR)
    assert [other.unlink(), other.unlink(), queue.unlink(), queue.unlink()] == [True, False, False, False]
    other.send(b"x")
    assert queue.receive() == (b"x", 0)
    other.close()


@pytest.mark.parametrize("flags", [os.O_RDWR, os.O_RDWR | os.O_CREAT])
def test_one_that_was_found_is_not_unlinked(queue, flags):
    queue.send(b"kept")
    with PosixQueue.create(name=queue.name, maxmsg=1, msgsize=1, flags=flags) as found:
        assert (found.maxmsg, found.msgsize) == (2, 8)
    assert is_there(queue.name)
    assert queue.receive() == (b"kept", 0)


def test_creat_without_excl_owns_a_new_object():
    name = unused_name()
    with PosixQueue.create(name=name, maxmsg=1, msgsize=8, flags=os.O_CREAT | os.O_WRONLY) as queue:
        queue.send(b"x")
    assert not is_there(name)


def test_existing_name_fails_and_is_kept(queue):
    queue.send(b"kept")
    with pytest.raises(FileExistsError, match="mq_open: File exists") as caught:
        PosixQueue.create(name=queue.name)
    assert queue.name in str(caught.value)
    assert queue.receive() == (b"kept", 0)


@pytest.mark.parametrize("mode", [0, 0o200])
def test_unopenable_queue_is_reported(fork, mode):
    """As an unprivileged user, who may not open it by its mode: it exists and is removed."""

    def life():
        if os.geteuid() == 0:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
        name = unused_name()
        with PosixQueue.create(name=name, maxmsg=1, msgsize=8, mode=mode), pytest.raises(FileExistsError):
            PosixQueue.create(name=name)
        return is_there(name)

    assert fork(life).result() is False


def test_another_in_its_place_is_not_unlinked():
    name = unused_name()
    with PosixQueue.create(name=name, maxmsg=1, msgsize=8):
        mq_unlink(name)
        other = mq_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600, MqAttr(maxmsg=1, msgsize=1))
    assert is_there(name)
    mq_close(other)
    mq_unlink(name)


def test_the_limit_that_was_met_is_named(fork):
    def life():
        setrlimit(RLIMIT_MSGQUEUE, (0, getrlimit(RLIMIT_MSGQUEUE)[1]))
        with pytest.raises(OSError, match="mq_open") as caught:
            PosixQueue.create(maxmsg=1, msgsize=8)
        assert caught.value.errno == EMFILE
        return "\n".join(caught.value.__notes__)

    assert "RLIMIT_MSGQUEUE" in fork(life).result()


def test_a_child_does_not_end_its_parents(fork, queue):
    fork(queue.close).result()
    queue.send(b"x")
    assert is_there(queue.name)


def test_object_of_a_child_ends_with_the_child():
    with scope() as ipc:
        name = ipc.fork(lambda: PosixQueue.create(maxmsg=1, msgsize=8).name).result()
    assert not is_there(name)


def test_it_is_one_of_its_namespace(queue, fork):
    def life():
        try:
            unshare(CLONE_NEWIPC)
        except PermissionError:
            return None
        with PosixQueue.create(name=queue.name, maxmsg=1, msgsize=8) as other:
            return other.maxmsg

    if (found := fork(life).result()) is None:
        pytest.skip("no new IPC namespace without the privilege")
    assert (found, queue.attributes.maxmsg) == (1, 2)
