"""A C program at the other side of POSIX semaphores and message queues."""

from __future__ import annotations

import os
from typing import Any

from pytest_ipc import Child, PosixQueue, PosixSemaphore, unused_name
from pytest_ipc.kernel import SEM_BYTES, mq_unlink, sem_init, sem_post, sem_trywait, sem_unlink


def ended(child: Child[Any]) -> str:
    assert child.wait() == 0, child.output
    return child.output


def test_program_waits_and_posts(posix_sem, peer):
    semaphore = posix_sem(0)
    other = peer("posix", "sem", semaphore.name, "pass", 1)
    other.wait_blocked("futex")
    semaphore.post()
    ended(other)
    assert semaphore.value == 1


def test_two_of_them_pass_one_unit_on_thousands_of_times(posix_sem, peer):
    semaphore = posix_sem(1)
    for other in [peer("posix", "sem", semaphore.name, "pass", 5000) for _ in range(2)]:
        ended(other)
    assert semaphore.value == 1


def test_semaphore_of_the_program_opens_with_its_value(peer):
    name = unused_name()
    try:
        ended(peer("posix", "sem", name, "make", 12))
        with PosixSemaphore.create(name=name, flags=0) as semaphore:
            assert semaphore.value == 12
    finally:
        sem_unlink(name)


def test_a_semaphore_in_shared_memory_is_one_for_both(posix_shm, peer):
    shared = posix_shm()
    there = shared.map().address
    back = there + SEM_BYTES
    for address in (there, back):
        sem_init(address, 1, 0)
    other = peer("posix", "mem", shared.name)
    other.wait_blocked("futex")
    sem_post(there)
    ended(other)
    sem_trywait(back)


def test_program_echoes_our_message(posix_mq, peer):
    queue = posix_mq(maxmsg=2, msgsize=8192)
    for data, priority in ((b"water", 3), (bytes(range(256)), 0), (b"", 5), (bytes(8192), 32766)):
        echo = peer("posix", "mq", queue.name, "echo")
        echo.wait_blocked("mq_receive")
        queue.send(data, priority)  # to the one who waits for it, and not into the queue
        assert queue.receive(timeout=10) == (data[::-1], priority + 1)
        ended(echo)


def test_message_of_the_program_is_received(peer):
    name = unused_name()
    try:
        ended(peer("posix", "mq", name, "make"))
        with PosixQueue.create(name=name, flags=os.O_RDWR) as queue:
            assert (queue.maxmsg, queue.msgsize) == (3, 8)
            assert queue.receive(timeout=0) == (b"made", 9)
    finally:
        mq_unlink(name)


def test_program_is_notified_of_our_message(posix_mq, peer):
    queue = posix_mq(maxmsg=2, msgsize=8)
    other = peer("posix", "mq", queue.name, "told")
    other.wait_blocked("sigwaitinfo")
    queue.send(b"x")
    assert ended(other).split() == ["1", str(os.getpid()), "77"]
