"""A C program at the other side of a semaphore set, which it finds by its key."""

from __future__ import annotations

import os
import signal
from typing import Any

from pytest_ipc import Child, SemaphoreSet, unused_key


def ended(child: Child[Any]) -> str:
    assert child.wait() == 0, child.output
    return child.output


def test_it_waits_until_we_give(sysv_sem, peer):
    semaphores = sysv_sem(2)
    taker = peer("sem", semaphores.key, "wait", 3)
    taker.wait_blocked("semop")
    assert semaphores.waiters() == 1
    semaphores.op((0, 2))
    taker.wait_blocked("semop")
    semaphores.release()
    ended(taker)
    assert (semaphores.values, semaphores.last_pid(1)) == ([0, 3], taker.pid)


def test_we_wait_until_it_gives(sysv_sem, peer):
    semaphores = sysv_sem(2, values=[5, 0])
    taker = peer("sem", semaphores.key, "wait", 5)
    semaphores.op((1, -5), timeout=10)
    ended(taker)
    assert semaphores.values == [0, 0]


def test_it_waits_for_our_zero(sysv_sem, peer):
    semaphores = sysv_sem(values=[1])
    waiter = peer("sem", semaphores.key, "zero")
    waiter.wait_blocked("semop")
    assert semaphores.zero_waiters() == 1
    semaphores.acquire()
    ended(waiter)


def test_lock_of_a_dead_program_is_available(sysv_sem, peer):
    semaphores = sysv_sem(2, values=[1, 0])
    holder = peer("sem", semaphores.key, "lock")
    semaphores.acquire(1, timeout=10)
    assert semaphores.values == [0, 0]
    holder.signal(signal.SIGKILL)
    semaphores.acquire(0, timeout=10)
    assert holder.wait() == -signal.SIGKILL


def test_its_time_is_over_or_not(sysv_sem, peer):
    semaphores = sysv_sem()
    assert ended(peer("sem", semaphores.key, "poll")) == "EAGAIN\n"
    semaphores.release()
    assert ended(peer("sem", semaphores.key, "poll")) == "taken\n"


def test_program_reads_the_same_values(sysv_sem, peer, fork):
    semaphores = sysv_sem(3, values=[0, 7, 32767])
    taker, waiter = fork(semaphores.acquire, 0), fork(semaphores.wait_for_zero, 1)
    for child in (taker, waiter):
        child.wait_blocked("semop")
    me = os.getpid()
    assert ended(peer("sem", semaphores.key, "show")) == f"0 1 0 {me}\n7 0 1 {me}\n32767 0 0 {me}\n"
    setter = peer("sem", semaphores.key, "set", 1, 0, 9)
    ended(setter)
    taker.result()
    waiter.result()
    assert (semaphores.values, semaphores.last_pid(2)) == ([0, 0, 9], setter.pid)


def test_its_set_is_used_by_us_and_removed_by_it(peer):
    key = unused_key()
    id = int(ended(peer("sem", key, "make", 4)))
    try:
        with SemaphoreSet.create(key=key, flags=0) as semaphores:
            assert (semaphores.id, semaphores.count, semaphores.stat().perm.mode) == (id, 4, 0o640)
            semaphores.values = [2, 0, 0, 0]
        ended(peer("sem", key, "wait", 2))
    finally:
        ended(peer("sem", key, "remove"))
    assert not semaphores.exists()


def test_it_is_woken_by_the_end_of_the_set(peer):
    with SemaphoreSet.create(2) as semaphores:
        taker = peer("sem", semaphores.key, "wait", 1)
        taker.wait_blocked("semop")
    assert taker.wait() == 1
    assert "semop: Identifier removed" in taker.output
