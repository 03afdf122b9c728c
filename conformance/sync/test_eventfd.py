"""eventfd(2): reading and writing the counter, blocking, and sharing it."""

from __future__ import annotations

import os
import sys
from errno import EAGAIN, EINTR, EINVAL, EMFILE
from pathlib import Path
from select import POLLIN, POLLOUT
from signal import SIGUSR1

import pytest

from pytest_ipc import Need, clause, fails_with, untested
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
from pytest_ipc.kernel import eventfd as new_counter

from ..conftest import succeeded
from ..credentials import limit_process


@clause("eventfd.begins-with-initval", "eventfd(2)", "DESCRIPTION")
@pytest.mark.parametrize("value", [1, 7, 2**32 - 1])
def test_new_eventfd_has_initval(eventfd, value):
    """eventfd() creates a counter with the value initval."""
    assert eventfd_read(eventfd(value).fd) == value


@clause("eventfd.read-resets", "eventfd(2)", "DESCRIPTION")
def test_read_resets_counter(eventfd):
    """read() of an eventfd returns its value and resets it to 0."""
    counter = eventfd(5, flags=EFD_NONBLOCK)
    assert eventfd_read(counter.fd) == 5
    with fails_with(EAGAIN):
        eventfd_read(counter.fd)


@clause("eventfd.write-adds", "eventfd(2)", "DESCRIPTION")
def test_write_adds(eventfd):
    """write() to an eventfd adds the written value to the counter."""
    counter = eventfd(5)
    for value in (1, 2**40, 3):
        eventfd_write(counter.fd, value)
    assert eventfd_read(counter.fd) == 5 + 1 + 2**40 + 3


@clause("eventfd.semaphore-reads-one", "eventfd(2)", "EFD_SEMAPHORE")
def test_semaphore_read_returns_one(eventfd):
    """With EFD_SEMAPHORE read() returns 1 and decrements the counter by 1, until it is 0."""
    counter = eventfd(2, flags=EFD_SEMAPHORE | EFD_NONBLOCK)
    eventfd_write(counter.fd, 1)
    assert [eventfd_read(counter.fd) for _ in range(3)] == [1, 1, 1]
    with fails_with(EAGAIN):
        eventfd_read(counter.fd)


@clause("eventfd.host-byte-order", "eventfd(2)", "DESCRIPTION")
def test_value_is_eight_bytes_in_host_byte_order(eventfd):
    """read() of an eventfd returns exactly 8 bytes in host byte order, even if the buffer is larger."""
    counter = eventfd()
    assert write(counter.fd, (0x0102030405060708).to_bytes(8, sys.byteorder)) == 8
    assert read(counter.fd, 64) == (0x0102030405060708).to_bytes(8, sys.byteorder)


@clause("eventfd.read-zero-eagain", "eventfd(2)", "DESCRIPTION", errno=EAGAIN)
@pytest.mark.parametrize("flags", [0, EFD_SEMAPHORE], ids=["counter", "semaphore"])
def test_read_of_zero_nonblocking_fails(eventfd, flags):
    """read() of a nonblocking eventfd fails with EAGAIN if the counter is 0."""
    counter = eventfd(flags=EFD_NONBLOCK | flags)
    with fails_with(EAGAIN):
        eventfd_read(counter.fd)
    eventfd_write(counter.fd, 1)
    assert eventfd_read(counter.fd) == 1


@clause("eventfd.read-zero-blocks", "eventfd(2)", "DESCRIPTION")
def test_read_waits_for_value(eventfd, fork):
    """read() of an eventfd whose counter is 0 waits until another process writes, and returns the written value."""
    counter = eventfd()
    reader = fork(eventfd_read, counter.fd)
    reader.wait_blocked("read")
    eventfd_write(counter.fd, 3)
    assert reader.result() == 3


@clause("eventfd.write-full-eagain", "eventfd(2)", "DESCRIPTION", errno=EAGAIN)
def test_write_beyond_maximum_nonblocking_fails(eventfd):
    """write() to a nonblocking eventfd fails with EAGAIN and adds nothing if the counter would exceed its maximum,
    2**64-2.
    """
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
def test_write_beyond_maximum_waits(eventfd, fork):
    """write() to an eventfd waits while the counter would exceed its maximum, and adds the value after a read()."""
    counter = eventfd()
    eventfd_write(counter.fd, EVENTFD_MAX)
    writer = fork(eventfd_write, counter.fd, 5)
    writer.wait_blocked("write")
    assert eventfd_read(counter.fd) == EVENTFD_MAX
    assert writer.result() is None
    assert eventfd_read(counter.fd) == 5


@clause("eventfd.write-all-ones-einval", "eventfd(2)", "DESCRIPTION", errno=EINVAL)
def test_write_of_all_ones_fails(eventfd):
    """write() of the value 2**64-1 to an eventfd fails with EINVAL and does not change the counter."""
    counter = eventfd(4)
    with fails_with(EINVAL):
        eventfd_write(counter.fd, 2**64 - 1)
    assert eventfd_read(counter.fd) == 4


@clause("eventfd.short-buffer-einval", "eventfd(2)", "DESCRIPTION", errno=EINVAL)
@pytest.mark.parametrize("size", [0, 1, 4, 7])
def test_fewer_than_eight_bytes_fail(eventfd, size):
    """read() and write() of fewer than 8 bytes on an eventfd fail with EINVAL and do not change the counter."""
    counter = eventfd(4)
    with fails_with(EINVAL):
        read(counter.fd, size)
    with fails_with(EINVAL):
        write(counter.fd, bytes([1] * size))
    assert eventfd_read(counter.fd) == 4


@clause("eventfd.unknown-flag-einval", "eventfd(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("flag", [2, 4, 0x4000_0000])
def test_unknown_flag_fails(eventfd, flag):
    """eventfd() fails with EINVAL for an unknown flag, alone or with known flags, and opens no descriptor."""
    before = open_descriptors()
    for flags in (flag, flag | EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE):
        with fails_with(EINVAL):
            eventfd(flags=flags)
    assert open_descriptors() == before


@clause("eventfd.cloexec-nonblock", "eventfd(2)", "DESCRIPTION")
@pytest.mark.parametrize("flags", [0, EFD_CLOEXEC, EFD_NONBLOCK, EFD_CLOEXEC | EFD_NONBLOCK])
def test_flags_set_cloexec_and_nonblock(eventfd, flags):
    """EFD_CLOEXEC sets close-on-exec and EFD_NONBLOCK sets O_NONBLOCK on the descriptor; without them neither is
    set.
    """
    counter = eventfd(flags=flags)
    assert os.get_inheritable(counter.fd) == (not flags & EFD_CLOEXEC)
    assert os.get_blocking(counter.fd) == (not flags & EFD_NONBLOCK)


@clause("eventfd.exec-preserved", "eventfd(2)", "DESCRIPTION")
def test_execve_keeps_eventfd(eventfd, program):
    """An eventfd without EFD_CLOEXEC stays open across execve() with its value; one with EFD_CLOEXEC is closed."""
    kept, closed = eventfd(6, flags=0), eventfd(6)
    source = """if True:
        import os, sys
        kept, closed = map(int, sys.argv[1:])
        value = int.from_bytes(os.read(kept, 8), sys.byteorder)
        assert value == 6, f"the counter must be 6, not {value}"
        os.write(kept, (9).to_bytes(8, sys.byteorder))
        assert not os.path.exists(f"/proc/self/fd/{closed}"), "the eventfd with EFD_CLOEXEC must be closed"
    """
    succeeded(program(source, kept.fd, closed.fd))
    assert eventfd_read(kept.fd) == 9
    assert eventfd_read(closed.fd) == 6


@clause("fork.eventfd-epoll-shared", "eventfd(2)", "DESCRIPTION")
def test_fork_shares_counter(eventfd, fork):
    """After fork() the child's descriptor refers to the same counter: a value written by one process is read by the
    other.
    """
    counter = eventfd(3, flags=EFD_NONBLOCK)
    fork(eventfd_write, counter.fd, 4).result()
    assert eventfd_read(counter.fd) == 7
    eventfd_write(counter.fd, 8)
    assert fork(eventfd_read, counter.fd).result() == 8
    with fails_with(EAGAIN):
        eventfd_read(counter.fd)


@clause("eventfd.poll-readable-above-zero", "eventfd(2)", "DESCRIPTION")
def test_poll_reports_pollin_above_zero(eventfd, ready):
    """poll() reports POLLIN for an eventfd while its counter is greater than 0, and only then."""
    counter = eventfd()
    assert ready(counter.fd) == POLLOUT
    eventfd_write(counter.fd, 1)
    assert ready(counter.fd) == POLLIN | POLLOUT
    eventfd_read(counter.fd)
    assert ready(counter.fd) == POLLOUT


@clause("eventfd.poll-writable-with-room", "eventfd(2)", "DESCRIPTION")
def test_poll_reports_pollout_below_maximum(eventfd, ready):
    """poll() reports POLLOUT for an eventfd while a value of 1 can be written without waiting, and only then."""
    counter = eventfd()
    eventfd_write(counter.fd, EVENTFD_MAX - 1)
    assert ready(counter.fd) == POLLIN | POLLOUT
    eventfd_write(counter.fd, 1)
    assert ready(counter.fd) == POLLIN


@clause("eventfd.emfile", "eventfd(2)", "ERRORS", errno=EMFILE)
def test_descriptor_limit_fails(fork):
    """eventfd() fails with EMFILE if the process has reached its limit of open descriptors."""

    def life() -> None:
        limit_process("NOFILE", max(open_descriptors()) + 1)
        while True:
            try:
                os.dup(1)
            except OSError:
                break
        with fails_with(EMFILE):
            new_counter()  # without the fixture, whose record may need a descriptor

    fork(life).result()


@clause("eventfd.value-in-fdinfo", "eventfd(2)", "NOTES")
def test_fdinfo_shows_counter(eventfd):
    """/proc/PID/fdinfo shows the counter of an eventfd as a hexadecimal number, without changing it."""
    counter = eventfd(0xABCDEF)
    try:
        text = Path(f"/proc/self/fdinfo/{counter.fd}").read_text()
    except OSError as error:
        untested(Need.PROC_FILES, f"needs /proc/PID/fdinfo: {error.strerror}")
    values = [int(line.split()[1], 16) for line in text.splitlines() if line.startswith("eventfd-count:")]
    assert values == [0xABCDEF]
    assert eventfd_read(counter.fd) == 0xABCDEF


@clause("eventfd.read-eintr", "read(2)", "ERRORS", errno=EINTR)
def test_signal_handler_ends_read(eventfd, fork, signals):
    """A waiting read() of an eventfd fails with EINTR when a signal handler without SA_RESTART runs, and takes
    nothing.
    """
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
def test_one_of_several_readers_gets_value(eventfd, fork):
    """Each value of an EFD_SEMAPHORE eventfd is returned to exactly one of several waiting readers; the others
    continue to wait.
    """
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
