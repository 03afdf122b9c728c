"""fifo(7) and open(2): who waits for whom when a FIFO is opened."""

from __future__ import annotations

import os
import signal
from errno import EACCES, EINTR, ENXIO
from os import O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY
from select import select
from signal import SIGUSR1

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import SA_RESTART, capabilities, read, write
from pytest_ipc.kernel import open as raw_open

from ..credentials import GROUP, STRANGER, become


@clause("fifo.open-rd-blocks-until-writer", "fifo(7)", "DESCRIPTION")
def test_opening_for_reading_waits_for_a_writer(fifo, fork):
    """Opening a FIFO for reading blocks until another process opens it for writing; then both have it open."""
    path = fifo().path
    reader = fork(raw_open, path, O_RDONLY)
    reader.wait_blocked("openat")
    writer = fork(raw_open, path, O_WRONLY)
    assert reader.result() >= 0
    assert writer.result() >= 0


@clause("fifo.open-wr-blocks-until-reader", "fifo(7)", "DESCRIPTION")
def test_opening_for_writing_waits_for_a_reader(fifo, fork):
    """Opening a FIFO for writing blocks until another process opens it for reading; then both have it open."""
    path = fifo().path
    writer = fork(raw_open, path, O_WRONLY)
    writer.wait_blocked("openat")
    reader = fork(raw_open, path, O_RDONLY)
    assert writer.result() >= 0
    assert reader.result() >= 0


@pytest.mark.parametrize(("mine", "other"), [(O_RDONLY, O_WRONLY), (O_WRONLY, O_RDONLY)], ids=["readers", "writers"])
@clause("fifo.open-same-side-does-not-help", "fifo(7)", "DESCRIPTION")
def test_openers_of_one_side_wait_together(fifo, fork, mine, other):
    """Several processes that open the same side all wait, and one open of the other side lets them all go on."""
    path = fifo().path
    waiting = [fork(raw_open, path, mine) for _ in range(3)]
    for opener in waiting:
        opener.wait_blocked("openat")
    assert fork(raw_open, path, other).result() >= 0
    for opener in waiting:
        assert opener.result() >= 0


@clause("fifo.open-eintr", "open(2)", "ERRORS", errno=EINTR)
def test_a_handler_interrupts_an_open(fifo, fork, signals):
    """An open that waits for the other side fails with EINTR when a handler without SA_RESTART has run."""
    path = fifo().path

    def child() -> None:
        signals.catch(SIGUSR1)
        signals.unblock(SIGUSR1)
        with fails_with(EINTR):
            raw_open(path, O_RDONLY)

    reader = fork(child)
    reader.wait_blocked("openat")
    reader.signal(SIGUSR1)
    reader.result()


@clause("fifo.open-sa_restart", "signal(7)", "Interruption of system calls and library functions by signal handlers")
def test_an_open_goes_on_after_a_handler_with_restart(fifo, fork, signals, pipe):
    """An open that waits for the other side goes on waiting when a handler with SA_RESTART has run."""
    path, told = fifo().path, pipe(flags=O_NONBLOCK | O_CLOEXEC)

    def child() -> int:
        signals.catch(SIGUSR1, flags=SA_RESTART)
        signals.unblock(SIGUSR1)
        signal.set_wakeup_fd(told.write_fd)
        return raw_open(path, O_RDONLY)

    reader = fork(child)
    reader.wait_blocked("openat")
    reader.signal(SIGUSR1)
    assert select([told.read_fd], [], [], 5)[0], "the handler did not run"
    writer = fork(raw_open, path, O_WRONLY)
    assert reader.result() >= 0
    assert writer.result() >= 0


@clause("fifo.nonblock-rd-succeeds", "fifo(7)", "DESCRIPTION")
def test_a_nonblocking_reader_needs_no_writer(fifo, fork):
    """With O_NONBLOCK opening for reading succeeds at once, with no writer there."""
    assert fork(raw_open, fifo().path, O_RDONLY | O_NONBLOCK).result() >= 0


@clause("fifo.nonblock-wr-enxio", "fifo(7)", "DESCRIPTION", errno=ENXIO)
def test_a_nonblocking_writer_needs_a_reader(fifo, opened):
    """With O_NONBLOCK opening for writing fails while nobody has the FIFO open for reading, and succeeds as soon as one has."""
    path = fifo().path
    with fails_with(ENXIO):
        opened(path, O_WRONLY | O_NONBLOCK)
    reader = opened(path, O_RDONLY | O_NONBLOCK)
    opened(path, O_WRONLY | O_NONBLOCK).close()
    reader.close()
    with fails_with(ENXIO):
        opened(path, O_WRONLY | O_NONBLOCK)


@pytest.mark.parametrize("flags", [O_RDWR, O_RDWR | O_NONBLOCK], ids=["blocking", "nonblocking"])
@clause("fifo.rdwr-nonblocking-open", "fifo(7)", "DESCRIPTION")
def test_opening_both_ways_waits_for_nobody(fifo, fork, flags):
    """Opening for reading and writing succeeds at once, blocking or not, and the process can then talk to itself."""
    path = fifo().path

    def child() -> bytes:
        fd = raw_open(path, flags)
        write(fd, b"to myself")
        return read(fd, 100)

    assert fork(child).result() == b"to myself"


@clause("fifo.rdwr-is-other-side", "fifo(7)", "DESCRIPTION")
def test_a_descriptor_for_both_ways_is_a_reader_and_a_writer(fifo, fork, opened):
    """Who has the FIFO open for reading and writing is the other side to every reader and every writer."""
    path = fifo().path
    opened(path, O_RDWR | O_NONBLOCK)
    opened(path, O_WRONLY | O_NONBLOCK).close()  # which needs a reader
    assert fork(raw_open, path, O_RDONLY).result() >= 0
    assert fork(raw_open, path, O_WRONLY).result() >= 0


@clause("fifo.permissions-checked", "pipe(7)", "DESCRIPTION", errno=EACCES)
def test_the_mode_decides_who_may_open(common, fork):
    """A process may open a FIFO for reading or writing only if the mode of the file lets it."""
    for name, mode in (("readable", 0o444), ("writable", 0o222), ("both", 0o666)):
        os.mkfifo(common / name)
        (common / name).chmod(mode)

    def child() -> None:
        os.chdir(common)
        if capabilities() != 0:
            become(STRANGER, GROUP)
        raw_open("both", O_RDWR | O_NONBLOCK)
        raw_open("readable", O_RDONLY | O_NONBLOCK)
        for name, flags in (("readable", O_WRONLY), ("readable", O_RDWR), ("writable", O_RDONLY), ("writable", O_RDWR)):
            with fails_with(EACCES):
                raw_open(name, flags | O_NONBLOCK)
        with fails_with(ENXIO):  # it may, but nobody reads
            raw_open("writable", O_WRONLY | O_NONBLOCK)

    fork(child).result()
