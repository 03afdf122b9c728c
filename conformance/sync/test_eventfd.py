"""eventfd(2): the counter, what reading and writing do to it, when they wait, and who has it."""

from __future__ import annotations

import os
import sys
from errno import EAGAIN, EINTR, EINVAL, EMFILE
from pathlib import Path
from select import POLLIN, POLLOUT
from signal import SIGUSR1

import pytest

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import (
    EFD_CLOEXEC,
    EFD_NONBLOCK,
    EFD_SEMAPHORE,
    EVENTFD_MAX,
    eventfd_read,
    eventfd_write,
    open_descriptors,
    read,
    write,
)

from ..conftest import succeeded
from ..credentials import limit_process


@clause("eventfd.begins-with-initval", "eventfd(2)", "DESCRIPTION")
@pytest.mark.parametrize("value", [1, 7, 2**32 - 1])
def test_the_counter_begins_with_the_given_value(eventfd, value):
    """A new counter holds the value that the call was given."""
    assert eventfd_read(eventfd(value).fd) == value


@clause("eventfd.read-resets", "eventfd(2)", "DESCRIPTION")
def test_reading_takes_all(eventfd):
    """Reading a counter gives its value and leaves it at zero."""
    counter = eventfd(5, flags=EFD_NONBLOCK)
    assert eventfd_read(counter.fd) == 5
    with fails_with(EAGAIN):
        eventfd_read(counter.fd)


@clause("eventfd.write-adds", "eventfd(2)", "DESCRIPTION")
def test_writing_adds(eventfd):
    """What is written is added to the counter."""
    counter = eventfd(5)
    for value in (1, 2**40, 3):
        eventfd_write(counter.fd, value)
    assert eventfd_read(counter.fd) == 5 + 1 + 2**40 + 3


@clause("eventfd.semaphore-reads-one", "eventfd(2)", "EFD_SEMAPHORE")
def test_a_semaphore_gives_one_at_a_time(eventfd):
    """With EFD_SEMAPHORE reading gives 1 and takes 1, until the counter is at zero."""
    counter = eventfd(2, flags=EFD_SEMAPHORE | EFD_NONBLOCK)
    eventfd_write(counter.fd, 1)
    assert [eventfd_read(counter.fd) for _ in range(3)] == [1, 1, 1]
    with fails_with(EAGAIN):
        eventfd_read(counter.fd)


@clause("eventfd.host-byte-order", "eventfd(2)", "DESCRIPTION")
def test_the_number_is_the_hosts(eventfd):
    """Reading gives exactly eight bytes, a number in the byte order of the machine, however large the buffer is."""
    counter = eventfd()
    assert write(counter.fd, (0x0102030405060708).to_bytes(8, sys.byteorder)) == 8
    assert read(counter.fd, 64) == (0x0102030405060708).to_bytes(8, sys.byteorder)


@clause("eventfd.read-zero-eagain", "eventfd(2)", "DESCRIPTION", errno=EAGAIN)
@pytest.mark.parametrize("flags", [0, EFD_SEMAPHORE], ids=["counter", "semaphore"])
def test_there_is_nothing_to_read_at_zero(eventfd, flags):
    """Reading a non-blocking counter that is at zero fails, and leaves it at zero."""
    counter = eventfd(flags=EFD_NONBLOCK | flags)
    with fails_with(EAGAIN):
        eventfd_read(counter.fd)
    eventfd_write(counter.fd, 1)
    assert eventfd_read(counter.fd) == 1


@clause("eventfd.read-zero-blocks", "eventfd(2)", "DESCRIPTION")
def test_reading_waits_for_a_value(eventfd, fork):
    """Reading a counter that is at zero waits until somebody adds to it, and then gives that."""
    counter = eventfd()
    reader = fork(eventfd_read, counter.fd)
    reader.wait_blocked("read")
    eventfd_write(counter.fd, 3)
    assert reader.result() == 3


@clause("eventfd.write-full-eagain", "eventfd(2)", "DESCRIPTION", errno=EAGAIN)
def test_a_non_blocking_counter_does_not_run_over(eventfd):
    """Adding to a non-blocking counter more than it can hold fails and adds nothing; its greatest value is 2**64-2."""
    counter = eventfd(flags=EFD_NONBLOCK)
    eventfd_write(counter.fd, EVENTFD_MAX)
    with fails_with(EAGAIN):
        eventfd_write(counter.fd, 1)
    assert eventfd_read(counter.fd) == EVENTFD_MAX
    eventfd_write(counter.fd, 2)
    with fails_with(EAGAIN):
        eventfd_write(counter.fd, EVENTFD_MAX - 1)
    assert eventfd_read(counter.fd) == 2


@clause("eventfd.write-full-blocks", "eventfd(2)", "DESCRIPTION")
def test_writing_waits_for_room(eventfd, fork):
    """Adding more than there is room for waits until somebody has read, and then adds it."""
    counter = eventfd()
    eventfd_write(counter.fd, EVENTFD_MAX)
    writer = fork(eventfd_write, counter.fd, 5)
    writer.wait_blocked("write")
    assert eventfd_read(counter.fd) == EVENTFD_MAX
    assert writer.result() is None
    assert eventfd_read(counter.fd) == 5


@clause("eventfd.write-all-ones-einval", "eventfd(2)", "DESCRIPTION", errno=EINVAL)
def test_all_ones_cannot_be_added(eventfd):
    """The value 2**64-1 cannot be written, whatever the counter holds."""
    counter = eventfd(4)
    with fails_with(EINVAL):
        eventfd_write(counter.fd, 2**64 - 1)
    assert eventfd_read(counter.fd) == 4


@clause("eventfd.short-buffer-einval", "eventfd(2)", "DESCRIPTION", errno=EINVAL)
@pytest.mark.parametrize("size", [0, 1, 4, 7])
def test_less_than_eight_bytes_are_refused(eventfd, size):
    """Reading into fewer than eight bytes and writing fewer than eight fail, and the counter stays what it is."""
    counter = eventfd(4)
    with fails_with(EINVAL):
        read(counter.fd, size)
    with fails_with(EINVAL):
        write(counter.fd, bytes([1] * size))
    assert eventfd_read(counter.fd) == 4


@clause("eventfd.unknown-flag-einval", "eventfd(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("flag", [2, 4, 0x4000_0000])
def test_an_unknown_flag_is_refused(eventfd, flag):
    """A flag that eventfd(2) does not know is refused, alone and beside those that it knows, and opens nothing."""
    before = open_descriptors()
    for flags in (flag, flag | EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE):
        with fails_with(EINVAL):
            eventfd(flags=flags)
    assert open_descriptors() == before


@clause("eventfd.cloexec-nonblock", "eventfd(2)", "DESCRIPTION")
@pytest.mark.parametrize("flags", [0, EFD_CLOEXEC, EFD_NONBLOCK, EFD_CLOEXEC | EFD_NONBLOCK])
def test_the_flags_are_the_descriptors(eventfd, flags):
    """EFD_CLOEXEC marks the descriptor close-on-exec and EFD_NONBLOCK makes it non-blocking; without them it is neither."""
    counter = eventfd(flags=flags)
    assert os.get_inheritable(counter.fd) == (not flags & EFD_CLOEXEC)
    assert os.get_blocking(counter.fd) == (not flags & EFD_NONBLOCK)


@clause("eventfd.exec-preserved", "eventfd(2)", "DESCRIPTION")
def test_another_program_has_the_counter(eventfd, program):
    """A counter without EFD_CLOEXEC is kept when another program is executed, with its value; one with it is not."""
    kept, closed = eventfd(6, flags=0), eventfd(6)
    source = """if True:
        import os, sys
        kept, closed = map(int, sys.argv[1:])
        value = int.from_bytes(os.read(kept, 8), sys.byteorder)
        assert value == 6, f"the counter is {value}"
        os.write(kept, (9).to_bytes(8, sys.byteorder))
        assert not os.path.exists(f"/proc/self/fd/{closed}"), "the one with EFD_CLOEXEC is open"
    """
    succeeded(program(source, kept.fd, closed.fd))
    assert eventfd_read(kept.fd) == 9
    assert eventfd_read(closed.fd) == 6


@clause("fork.eventfd-epoll-shared", "eventfd(2)", "DESCRIPTION")
def test_a_child_has_the_same_counter(eventfd, fork):
    """A child's descriptor stands for the same counter: what one process writes, the other reads."""
    counter = eventfd(3, flags=EFD_NONBLOCK)
    fork(eventfd_write, counter.fd, 4).result()
    assert eventfd_read(counter.fd) == 7
    eventfd_write(counter.fd, 8)
    assert fork(eventfd_read, counter.fd).result() == 8
    with fails_with(EAGAIN):
        eventfd_read(counter.fd)


@clause("eventfd.poll-readable-above-zero", "eventfd(2)", "DESCRIPTION")
def test_it_is_readable_above_zero(eventfd, ready):
    """poll(2) says that a counter can be read while its value is above zero, and only then."""
    counter = eventfd()
    assert ready(counter.fd) == POLLOUT
    eventfd_write(counter.fd, 1)
    assert ready(counter.fd) == POLLIN | POLLOUT
    eventfd_read(counter.fd)
    assert ready(counter.fd) == POLLOUT


@clause("eventfd.poll-writable-with-room", "eventfd(2)", "DESCRIPTION")
def test_it_is_writable_while_one_fits(eventfd, ready):
    """poll(2) says that a counter can be written while there is room for at least 1, and only then."""
    counter = eventfd()
    eventfd_write(counter.fd, EVENTFD_MAX - 1)
    assert ready(counter.fd) == POLLIN | POLLOUT
    eventfd_write(counter.fd, 1)
    assert ready(counter.fd) == POLLIN


@clause("eventfd.emfile", "eventfd(2)", "ERRORS", errno=EMFILE)
def test_a_counter_needs_a_descriptor(eventfd, fork):
    """A process that has as many descriptors as its limit allows gets no counter."""

    def life() -> None:
        limit_process("NOFILE", max(open_descriptors()) + 1)
        while True:
            try:
                os.dup(1)
            except OSError:
                break
        with fails_with(EMFILE):
            eventfd()

    fork(life).result()


@clause("eventfd.value-in-fdinfo", "eventfd(2)", "NOTES")
def test_the_value_can_be_seen_in_proc(eventfd):
    """A process's /proc/PID/fdinfo shows the counter's value as a hexadecimal number, and looking takes nothing."""
    counter = eventfd(0xABCDEF)
    try:
        text = Path(f"/proc/self/fdinfo/{counter.fd}").read_text()
    except OSError as error:
        untested(f"needs /proc/PID/fdinfo: {error.strerror}")
    values = [int(line.split()[1], 16) for line in text.splitlines() if line.startswith("eventfd-count:")]
    assert values == [0xABCDEF]
    assert eventfd_read(counter.fd) == 0xABCDEF


@clause("eventfd.read-eintr", "read(2)", "ERRORS", errno=EINTR)
def test_a_handler_ends_a_wait(eventfd, fork, signals):
    """Reading that waits ends when a handler has run that was installed without SA_RESTART, and nothing is taken."""
    counter = eventfd()

    def life():
        caught = signals.catch(SIGUSR1)
        with fails_with(EINTR):
            eventfd_read(counter.fd)
        return caught.count

    reader = fork(life)
    reader.wait_blocked("read")
    reader.signal(SIGUSR1)
    assert reader.result() == 1
    eventfd_write(counter.fd, 2)
    assert eventfd_read(counter.fd) == 2


@clause("eventfd.one-reader-takes-it", "eventfd(2)", "DESCRIPTION")
def test_of_several_readers_one_gets_the_value(eventfd, fork):
    """Of several processes that wait to read, one gets the value; the others go on waiting until there is another."""
    counter = eventfd(flags=EFD_SEMAPHORE)
    readers = [fork(eventfd_read, counter.fd) for _ in range(3)]
    for reader in readers:
        reader.wait_blocked("read")
    eventfd_write(counter.fd, 2)
    eventfd_write(counter.fd, 1)
    assert [reader.result() for reader in readers] == [1, 1, 1]
    os.set_blocking(counter.fd, False)
    with fails_with(EAGAIN):
        eventfd_read(counter.fd)
