"""fifo(7) and open(2): which open() of a FIFO blocks, and until when."""

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
def test_open_for_reading_blocks_until_a_writer(fifo, fork):
    """open() of a FIFO for reading blocks until another process opens it for writing; then both calls succeed."""
    path = fifo().path
    reader = fork(raw_open, path, O_RDONLY)
    reader.wait_blocked("openat")
    writer = fork(raw_open, path, O_WRONLY)
    assert reader.result() >= 0
    assert writer.result() >= 0


@clause("fifo.open-wr-blocks-until-reader", "fifo(7)", "DESCRIPTION")
def test_open_for_writing_blocks_until_a_reader(fifo, fork):
    """open() of a FIFO for writing blocks until another process opens it for reading; then both calls succeed."""
    path = fifo().path
    writer = fork(raw_open, path, O_WRONLY)
    writer.wait_blocked("openat")
    reader = fork(raw_open, path, O_RDONLY)
    assert writer.result() >= 0
    assert reader.result() >= 0


@pytest.mark.parametrize(
    ("waiting_side", "opposite"), [(O_RDONLY, O_WRONLY), (O_WRONLY, O_RDONLY)], ids=["readers", "writers"]
)
@clause("fifo.open-same-side-does-not-help", "fifo(7)", "DESCRIPTION")
def test_one_open_unblocks_all_of_the_opposite_side(fifo, fork, waiting_side, opposite):
    """All processes blocked in open() of the same side of a FIFO return when one process opens the other side."""
    path = fifo().path
    openers = [fork(raw_open, path, waiting_side) for _ in range(3)]
    for opener in openers:
        opener.wait_blocked("openat")
    assert fork(raw_open, path, opposite).result() >= 0
    for opener in openers:
        assert opener.result() >= 0


@clause("fifo.open-eintr", "open(2)", "ERRORS", errno=EINTR)
def test_handler_interrupts_a_blocked_open(fifo, fork, signals):
    """A blocked open() of a FIFO fails with EINTR when a signal handler without SA_RESTART runs."""
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
def test_open_restarts_after_a_handler_with_sa_restart(fifo, fork, signals, pipe):
    """A blocked open() of a FIFO is restarted after a signal handler with SA_RESTART."""
    path, wakeup = fifo().path, pipe(flags=O_NONBLOCK | O_CLOEXEC)

    def child() -> int:
        signals.catch(SIGUSR1, flags=SA_RESTART)
        signals.unblock(SIGUSR1)
        signal.set_wakeup_fd(wakeup.write_fd)
        return raw_open(path, O_RDONLY)

    reader = fork(child)
    reader.wait_blocked("openat")
    reader.signal(SIGUSR1)
    assert select([wakeup.read_fd], [], [], 5)[0], "the handler did not run"
    writer = fork(raw_open, path, O_WRONLY)
    assert reader.result() >= 0
    assert writer.result() >= 0


@clause("fifo.nonblock-rd-succeeds", "fifo(7)", "DESCRIPTION")
def test_nonblocking_open_for_reading_succeeds_without_writer(fifo, fork):
    """open() of a FIFO for reading with O_NONBLOCK succeeds at once without a writer."""
    assert fork(raw_open, fifo().path, O_RDONLY | O_NONBLOCK).result() >= 0


@clause("fifo.nonblock-wr-enxio", "fifo(7)", "DESCRIPTION", errno=ENXIO)
def test_nonblocking_open_for_writing_fails_without_reader(fifo, opened):
    """open() of a FIFO for writing with O_NONBLOCK fails with ENXIO without a reader and succeeds with one."""
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
def test_open_for_both_does_not_block(fifo, fork, flags):
    """open() of a FIFO with O_RDWR succeeds at once, also without O_NONBLOCK, and the process reads its own data."""
    path = fifo().path

    def child() -> bytes:
        fd = raw_open(path, flags)
        write(fd, b"to myself")
        return read(fd, 100)

    assert fork(child).result() == b"to myself"


@clause("fifo.rdwr-is-other-side", "fifo(7)", "DESCRIPTION")
def test_rdwr_descriptor_counts_as_reader_and_writer(fifo, fork, opened):
    """A descriptor opened with O_RDWR counts as the other side for every reader and writer of the FIFO."""
    path = fifo().path
    opened(path, O_RDWR | O_NONBLOCK)
    opened(path, O_WRONLY | O_NONBLOCK).close()  # needs a reader
    assert fork(raw_open, path, O_RDONLY).result() >= 0
    assert fork(raw_open, path, O_WRONLY).result() >= 0


@clause("fifo.permissions-checked", "pipe(7)", "DESCRIPTION", errno=EACCES)
def test_mode_is_checked_at_open(common, fork):
    """open() of a FIFO fails with EACCES for an access that the mode of the file does not grant."""
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
        with fails_with(ENXIO):  # permitted, but there is no reader
            raw_open("writable", O_WRONLY | O_NONBLOCK)

    fork(child).result()
