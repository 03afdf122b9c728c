"""Records arrive: each once, in order, whatever the number of processes and the size."""

from __future__ import annotations

from collections import Counter
from mmap import PAGESIZE

import pytest

HEADER, LENGTH = 16, 8  # bytes of the ring, and of each slot


def test_record_arrives(new_ring):
    ring = new_ring(4)
    assert ring.produce("hello").wait() == 0
    consumer = ring.consume(1)
    assert (consumer.wait(), consumer.stdout) == (0, "hello\n")


def test_empty_record_arrives(new_ring):
    ring = new_ring(4)
    ring.produce("", "x")
    consumer = ring.consume(2)
    assert (consumer.wait(), consumer.stdout) == (0, "\nx\n")


@pytest.mark.parametrize("slots", [1, 2, 3, 32767])
def test_order_is_kept_around_the_end_of_the_ring(new_ring, slots):
    ring = new_ring(slots)
    lines = [f"record {number}" for number in range(200)]
    consumer = ring.consume(len(lines))
    producer = ring.produce(*lines)
    assert consumer.wait() == producer.wait() == 0
    assert consumer.stdout.splitlines() == lines
    assert ring.semaphores.values == [1, slots, 0, 200 % slots]


@pytest.mark.parametrize(("producers", "consumers"), [(3, 1), (1, 3), (3, 3)])
def test_each_record_arrives_once(new_ring, producers, consumers):
    ring = new_ring(5)
    each = 60
    receiving = [ring.consume(producers * each // consumers) for _ in range(consumers)]
    sending = [ring.produce(*(f"{name}:{number}" for number in range(each))) for name in range(producers)]
    assert {program.wait() for program in (*sending, *receiving)} == {0}
    arrived = Counter(line for consumer in receiving for line in consumer.stdout.splitlines())
    assert arrived == Counter(f"{name}:{number}" for name in range(producers) for number in range(each))


def test_order_of_each_producer_is_kept(new_ring):
    ring = new_ring(2)
    consumer = ring.consume(100)
    for name in "ab":
        ring.produce(*(f"{name} {number}" for number in range(50)))
    assert consumer.wait() == 0
    for name in "ab":
        assert [line for line in consumer.stdout.splitlines() if line[0] == name] == [f"{name} {n}" for n in range(50)]


@pytest.mark.parametrize("size", [PAGESIZE - 8, PAGESIZE, PAGESIZE + 8, 3 * PAGESIZE])
def test_record_fills_a_segment_around_the_page_size(ipc, new_ring, size):
    room = size - HEADER - LENGTH
    ring = new_ring(1, room)
    assert ipc.sysv_shm(size, key=ring.key, flags=0).stat().segsz == size
    record = "0123456789abcdef" * (room // 16) + "x" * (room % 16)
    ring.produce(record, record[::-1])
    consumer = ring.consume(2)
    assert consumer.wait() == 0
    assert consumer.stdout.splitlines() == [record, record[::-1]]


def test_too_long_record_is_refused_and_changes_nothing(new_ring):
    ring = new_ring(4, 8)
    producer = ring.produce("12345678", "123456789")
    assert producer.wait() == 1
    assert producer.stderr == "put: Message too long\n"
    assert ring.semaphores.values == [1, 3, 1, 0]
