"""Processes wait for each other, and nobody waits for a dead one."""

from __future__ import annotations

import signal

import pytest


def test_full_ring_blocks_the_producer(new_ring):
    ring = new_ring(2)
    producer = ring.produce("1", "2", "3")
    producer.wait_blocked("semop")
    assert ring.semaphores.values == [1, 0, 2, 0]
    assert ring.consume(1).wait() == 0
    assert producer.wait() == 0
    assert ring.semaphores.values == [1, 0, 2, 1]


def test_empty_ring_blocks_the_consumer(new_ring):
    ring = new_ring(2)
    consumer = ring.consume(1)
    consumer.wait_blocked("semop")
    assert consumer.stdout == ""
    ring.produce("at last")
    assert (consumer.wait(), consumer.stdout) == (0, "at last\n")


def test_killed_producer_gives_slot_and_lock_back(new_ring):
    ring = new_ring(1)
    killed = ring.produce("lost", pause=True)
    killed.wait_blocked("pause")
    assert ring.semaphores.values == [0, 0, 0, 0]
    consumer, other = ring.consume(1), ring.produce("after")
    consumer.wait_blocked("semop")
    other.wait_blocked("semop")
    killed.signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert other.wait() == consumer.wait() == 0
    assert consumer.stdout == "after\n"
    assert ring.semaphores.values == [1, 1, 0, 0]


@pytest.mark.parametrize("slots", [1, 3])
def test_record_of_a_killed_consumer_goes_to_the_next(new_ring, slots):
    ring = new_ring(slots)
    assert ring.produce("precious").wait() == 0
    killed = ring.consume(1, pause=True)
    killed.wait_blocked("pause")
    killed.signal(signal.SIGKILL)
    assert (killed.wait(), killed.stdout) == (-signal.SIGKILL, "")
    consumer = ring.consume(1)
    assert (consumer.wait(), consumer.stdout) == (0, "precious\n")


@pytest.mark.parametrize("waiting", ["produce", "consume"])
def test_process_killed_while_it_waits_changes_nothing(new_ring, waiting):
    ring = new_ring(1)
    if waiting == "produce":
        assert ring.produce("1").wait() == 0
    before = ring.semaphores.values
    program = ring.produce("2") if waiting == "produce" else ring.consume()
    program.wait_blocked("semop")
    program.signal(signal.SIGKILL)
    program.wait()
    assert ring.semaphores.values == before
    assert ring.semaphores.waiters(1) == ring.semaphores.waiters(2) == 0


def test_stopped_producer_holds_the_ring_until_it_is_killed(new_ring):
    ring = new_ring(4)
    stopped = ring.produce("slow", pause=True)
    stopped.wait_blocked("pause")
    stopped.signal(signal.SIGSTOP)
    stopped.wait_state("T")
    other, consumer = ring.produce("quick"), ring.consume(1)
    other.wait_blocked("semop")
    stopped.signal(signal.SIGKILL)
    assert other.wait() == consumer.wait() == 0
    assert consumer.stdout == "quick\n"


def test_sigterm_ends_a_waiting_consumer_in_an_orderly_way(new_ring):
    ring = new_ring(4)
    consumer = ring.consume()
    consumer.wait_blocked("semop")
    assert consumer.terminate() == 0
    assert ring.semaphores.values == [1, 4, 0, 0]


def test_removal_ends_those_that_wait(new_ring):
    ring = new_ring(1)
    consumers = [ring.consume(), ring.consume()]
    for consumer in consumers:
        consumer.wait_blocked("semop")
    assert ring.control("remove").wait() == 0
    assert [(consumer.wait(), consumer.stderr) for consumer in consumers] == [(1, "get: Identifier removed\n")] * 2


def test_waiting_consumer_uses_one_segment_and_one_set(ipc, new_ring):
    ring = new_ring(4)
    consumer = ring.consume(2)
    ring.produce("first")
    consumer.wait_for_output("first")
    consumer.wait_blocked("semop")
    used = consumer.ipc_objects()
    assert used.segments == {ipc.sysv_shm(key=ring.key, flags=0).id}
    assert used.sets == {ring.semaphores.id}
