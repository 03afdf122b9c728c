"""POSIX semaphores and queues with posix_ipc and multiprocessing, which have their own C, in both directions."""

from __future__ import annotations

import os
import signal
from multiprocessing import get_context

import pytest

from pytest_ipc import PosixQueue, PosixSemaphore, unused_name
from pytest_ipc.kernel import MQ_PRIO_MAX, SEM_VALUE_MAX

posix_ipc = pytest.importorskip("posix_ipc", reason="posix_ipc is not installed")


def test_our_semaphore_is_theirs(posix_sem):
    ours = posix_sem(2)
    theirs = posix_ipc.Semaphore(ours.name)
    try:
        theirs.acquire(0)
        assert (ours.value, theirs.value) == (1, 1)
        ours.post()
        ours.post()
        assert theirs.value == 3
        with pytest.raises(posix_ipc.ExistentialError):
            posix_ipc.Semaphore(ours.name, posix_ipc.O_CREX)
    finally:
        theirs.close()


def test_their_semaphore_is_ours_and_we_leave_it():
    theirs = posix_ipc.Semaphore(unused_name(), posix_ipc.O_CREX, initial_value=5)
    try:
        with PosixSemaphore.create(name=theirs.name, flags=os.O_CREAT) as ours:
            ours.wait(timeout=0)
            assert (ours.value, theirs.value) == (4, 4)
        assert theirs.value == 4
        with pytest.raises(FileExistsError):
            PosixSemaphore.create(name=theirs.name)
    finally:
        theirs.unlink()
        theirs.close()


def test_their_wait_ends_with_our_post(posix_sem, fork):
    ours = posix_sem(0)
    waiter = fork(lambda: posix_ipc.Semaphore(ours.name).acquire())
    waiter.wait_blocked("futex")
    ours.post()
    waiter.result()


def test_our_wait_ends_with_a_post_of_multiprocessings():
    """The stdlib's semaphores are named ones that are unlinked at once: only forked children share them."""
    theirs = get_context("fork").Semaphore(1)
    assert theirs.get_value() == 1
    address = theirs._semlock.handle  # type: ignore[attr-defined]
    theirs.acquire()
    with pytest.raises(TimeoutError):
        PosixSemaphore(address, None).wait(timeout=0.01)
    theirs.release()
    PosixSemaphore(address, None).wait(timeout=5)
    assert theirs.get_value() == 0


def test_our_queue_is_theirs(posix_mq):
    ours = posix_mq(maxmsg=3, msgsize=64)
    theirs = posix_ipc.MessageQueue(ours.name)
    try:
        assert (theirs.max_messages, theirs.max_message_size) == (3, 64)
        theirs.send(b"low", priority=1)
        ours.send(b"high", 2)
        assert theirs.current_messages == ours.attributes.curmsgs == 2
        assert theirs.receive(0) == (b"high", 2)
        assert ours.receive(timeout=0) == (b"low", 1)
        with pytest.raises(posix_ipc.BusyError):
            theirs.receive(0)
    finally:
        theirs.close()


def test_their_queue_is_ours_and_we_leave_it():
    theirs = posix_ipc.MessageQueue(unused_name(), posix_ipc.O_CREX, max_messages=2, max_message_size=16)
    try:
        with PosixQueue.create(name=theirs.name, flags=os.O_CREAT | os.O_RDWR) as ours:
            assert (ours.maxmsg, ours.msgsize) == (2, 16)
            ours.send(b"from us", 32767)
        assert theirs.receive(0) == (b"from us", 32767)
        with pytest.raises(FileExistsError):
            PosixQueue.create(name=theirs.name)
    finally:
        theirs.unlink()
        theirs.close()


def test_their_notification_is_sent_by_our_message(posix_mq, fork, signals):
    ours = posix_mq(maxmsg=1, msgsize=8)

    def child() -> None:
        signals.block(signal.SIGUSR1)
        theirs = posix_ipc.MessageQueue(ours.name)
        theirs.request_notification(signal.SIGUSR1)
        signal.sigwait({signal.SIGUSR1})

    waiter = fork(child)
    waiter.wait_blocked("sigwait")
    ours.send(b"x")
    waiter.result()


def test_both_know_the_same_limits():
    assert posix_ipc.SEMAPHORE_VALUE_MAX == SEM_VALUE_MAX
    assert posix_ipc.QUEUE_PRIORITY_MAX == MQ_PRIO_MAX - 1
