"""Event counters: counted, waited for, shared with children, and closed."""

from __future__ import annotations

import os

import pytest

from pytest_ipc import EventFd
from pytest_ipc.kernel import EFD_NONBLOCK, EFD_SEMAPHORE, EVENTFD_MAX, eventfd_read, open_descriptors


def test_added_value_is_read_at_once():
    with EventFd.create(3) as counter:
        counter.write(4)
        counter.write()
        assert counter.read() == 8
        with pytest.raises(
            TimeoutError, match=r"waited 0 s for an event from <event counter, descriptor .*>; its count is 0"
        ):
            counter.read(timeout=0)


def test_a_semaphore_gives_one_at_a_time():
    with EventFd.create(2, flags=EFD_SEMAPHORE | EFD_NONBLOCK) as counter:
        assert [counter.read(), counter.read()] == [1, 1]
        with pytest.raises(TimeoutError):
            counter.read(timeout=0.01)


def test_a_full_counter_is_waited_for():
    with EventFd.create() as counter:
        counter.write(EVENTFD_MAX)
        with pytest.raises(
            TimeoutError, match=r"waited 0 s for room in <event counter, .*>; its count is 18446744073709551614"
        ):
            counter.write(timeout=0)
        assert counter.read() == EVENTFD_MAX


@pytest.mark.parametrize("value", [-1, EVENTFD_MAX + 1])
def test_value_beyond_the_maximum_is_rejected(value):
    with EventFd.create(1) as counter:
        with pytest.raises(ValueError, match=r"value must be from 0 to 18446744073709551614 \(EVENTFD_MAX\), not"):
            counter.write(value)
        assert counter.read() == 1


def test_a_child_waits_for_its_parent(fork, eventfd):
    counter = eventfd()
    child = fork(lambda: counter.read())
    child.wait_blocked("poll")
    counter.write(9)
    assert child.result() == 9


def test_a_child_closes_its_own_copy(fork, eventfd):
    counter = eventfd(5)
    assert fork(lambda: counter.close()).wait() == 0
    assert counter.read() == 5


def test_it_is_closed_once_and_then_refused():
    before = open_descriptors()
    counter = EventFd.create()
    counter.close()
    counter.close()
    assert open_descriptors() == before
    for use in (counter.fileno, counter.read, counter.write):
        with pytest.raises(ValueError, match="is closed"):
            use()


def test_signals_do_not_end_a_wait(fork, eventfd, signals):
    counter, reported = eventfd(), eventfd()

    def life():
        signals.catch(10, lambda *_: reported.write())
        return counter.read()

    child = fork(life)
    child.wait_blocked("poll")
    child.signal(10)
    reported.read()
    counter.write(2)
    assert child.result() == 2


def test_the_standard_library_works_on_it_and_the_other_way_round():
    with EventFd.create() as counter:
        os.eventfd_write(counter.fd, 6)
        assert counter.read() == 6
        counter.write(7)
        assert os.eventfd_read(counter.fd) == 7
    fd = os.eventfd(8, os.EFD_CLOEXEC)
    try:
        assert eventfd_read(fd) == 8
    finally:
        os.close(fd)
