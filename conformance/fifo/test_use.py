"""fifo(7) and pipe(7): reading and writing a FIFO, and when its data are discarded."""

from __future__ import annotations

import os
from errno import EAGAIN, EBADF, EINVAL, EPIPE, ESPIPE
from os import O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY
from signal import SIGPIPE

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import getpipe_size, read, write
from pytest_ipc.kernel import open as raw_open


@clause("fifo.read-no-writer-zero", "read(2)", "ERRORS", errno=EAGAIN)
def test_nonblocking_read_shows_whether_a_writer_exists(fifo, opened):
    """A non-blocking read() from an empty FIFO returns 0 without a writer and fails with EAGAIN with one."""
    path = fifo().path
    reader = opened(path, O_RDONLY | O_NONBLOCK)
    assert read(reader.fd, 1) == b""
    with opened(path, O_WRONLY | O_NONBLOCK), fails_with(EAGAIN):
        read(reader.fd, 1)
    assert read(reader.fd, 1) == b""


@clause("fifo.blocking-read-waits-for-data", "pipe(7)", "I/O on pipes and FIFOs")
def test_read_blocks_until_data(fifo, fork, opened):
    """read() from an empty FIFO with a writer blocks until data are written, and returns them."""
    path = fifo().path
    writer = opened(path, O_RDWR | O_NONBLOCK)

    def child() -> bytes:
        return read(raw_open(path, O_RDONLY), 100)

    reader = fork(child)
    reader.wait_blocked("read")
    writer.write(b"data")
    assert reader.result() == b"data"


@clause("fifo.eof-after-last-writer", "pipe(7)", "I/O on pipes and FIFOs")
def test_end_of_file_after_last_writer(fifo, opened):
    """read() from a FIFO returns 0 only when all writers have closed it and all data have been read."""
    path = fifo().path
    reader = opened(path, O_RDONLY | O_NONBLOCK)
    with opened(path, O_WRONLY | O_NONBLOCK) as second:
        with opened(path, O_WRONLY | O_NONBLOCK) as first:
            first.write(b"first ")
        second.write(b"second")
        assert read(reader.fd, 100) == b"first second"
        with fails_with(EAGAIN):
            read(reader.fd, 100)
        second.write(b"last")
    assert [read(reader.fd, 100), read(reader.fd, 100)] == [b"last", b""]


@clause("fifo.reopen-after-eof", "fifo(7)", "DESCRIPTION")
def test_reader_at_end_of_file_reads_from_a_later_writer(fifo, opened):
    """A reader that has seen end of file and keeps the FIFO open reads the data of a later writer."""
    path = fifo().path
    reader = opened(path, O_RDONLY | O_NONBLOCK)
    for text in (b"one", b"two", b"three"):
        with opened(path, O_WRONLY | O_NONBLOCK) as writer:
            writer.write(text)
        assert [read(reader.fd, 100), read(reader.fd, 100)] == [text, b""]


@clause("fifo.one-pipe-object", "fifo(7)", "DESCRIPTION")
def test_all_opens_share_one_pipe(fifo, opened, tmp_path):
    """All opens of a FIFO, by any of its names, refer to one pipe; another FIFO has its own pipe."""
    path, link, other = fifo(path=tmp_path / "fifo").path, tmp_path / "link", fifo().path
    os.link(path, link)
    readers = [opened(name, O_RDONLY | O_NONBLOCK) for name in (path, link, other)]
    writers = [opened(name, O_WRONLY | O_NONBLOCK) for name in (link, path, other)]
    for writer, text in zip(writers, (b"by the link,", b"by the name", b"elsewhere"), strict=True):
        writer.write(text)
    assert read(readers[2].fd, 100) == b"elsewhere"
    assert read(readers[0].fd, 12) == b"by the link,"
    assert read(readers[1].fd, 100) == b"by the name"


@clause("fifo.data-discarded-on-last-close", "fifo(7)", "DESCRIPTION")
def test_last_close_discards_data(fifo, opened):
    """A FIFO has size 0 in the filesystem, and the last close() discards unread data."""
    path = fifo().path
    with opened(path, O_RDWR | O_NONBLOCK) as both:
        both.write(b"unread")
        assert os.stat(path).st_size == 0
    with opened(path, O_RDWR | O_NONBLOCK) as both, fails_with(EAGAIN):
        read(both.fd, 100)


@clause("fifo.data-kept-while-open", "fifo(7)", "DESCRIPTION")
def test_data_stay_while_open(fifo, opened):
    """Data of a writer that has closed the FIFO stay readable for a later reader while another descriptor is open."""
    path = fifo().path
    with opened(path, O_RDWR | O_NONBLOCK):
        with opened(path, O_WRONLY | O_NONBLOCK) as writer:
            writer.write(b"kept")
        assert opened(path, O_RDONLY | O_NONBLOCK).read() == b"kept"


@clause("fifo.unlink-while-open", "fifo(7)", "DESCRIPTION")
def test_unlinked_fifo_stays_usable(fifo, opened):
    """After unlink() the open descriptors of a FIFO stay usable, and
    a new FIFO with the same path is independent of it.
    """
    first = fifo()
    reader, writer = opened(first.path, O_RDONLY | O_NONBLOCK), opened(first.path, O_WRONLY | O_NONBLOCK)
    os.unlink(first.path)
    other = opened(fifo(path=first.path).path, O_RDWR | O_NONBLOCK)
    writer.write(b"still here")
    assert reader.read() == b"still here"
    with fails_with(EAGAIN):
        read(other.fd, 100)


@clause("fifo.o_trunc-noop", "open(2)", "O_TRUNC")
def test_o_trunc_is_ignored(fifo, opened):
    """open() of a FIFO ignores O_TRUNC and keeps the data."""
    path = fifo().path
    reader = opened(path, O_RDONLY | O_NONBLOCK)
    opened(path, O_WRONLY | O_NONBLOCK).write(b"data")
    opened(path, O_WRONLY | O_NONBLOCK | O_TRUNC)
    assert reader.read() == b"data"


@clause("fifo.truncate-einval", "truncate(2)", "ERRORS", errno=EINVAL)
def test_truncate_fails(fifo, opened):
    """truncate() and ftruncate() on a FIFO fail with EINVAL and keep the data."""
    path = fifo().path
    both = opened(path, O_RDWR | O_NONBLOCK)
    both.write(b"data")
    with fails_with(EINVAL):
        os.truncate(path, 0)
    with fails_with(EINVAL):
        os.ftruncate(both.fd, 0)
    assert both.read() == b"data"


@clause("fifo.sigpipe-no-reader", "fifo(7)", "NOTES", errno=EPIPE)
def test_write_without_reader_raises_sigpipe(fifo, opened, signals):
    """write() to a FIFO without readers raises SIGPIPE and fails with EPIPE if the signal is caught."""
    path = fifo().path
    caught = signals.catch(SIGPIPE)
    signals.unblock(SIGPIPE)
    with opened(path, O_RDONLY | O_NONBLOCK):
        writer = opened(path, O_WRONLY | O_NONBLOCK)
        assert write(writer.fd, b"x") == 1
    with fails_with(EPIPE):
        write(writer.fd, b"x")
    caught.wait(1)
    assert caught.count == 1


@clause("fifo.wrong-end-ebadf", "pipe(7)", "DESCRIPTION", errno=EBADF)
def test_descriptor_of_the_wrong_mode_fails(fifo, opened):
    """write() to a descriptor opened for reading and read() from one opened for writing fail with EBADF."""
    path = fifo().path
    reader, writer = opened(path, O_RDONLY | O_NONBLOCK), opened(path, O_WRONLY | O_NONBLOCK)
    with fails_with(EBADF):
        write(reader.fd, b"x")
    writer.write(b"data")
    with fails_with(EBADF):
        read(writer.fd, 1)
    assert reader.read() == b"data"


@clause("fifo.lseek-espipe", "pipe(7)", "I/O on pipes and FIFOs", errno=ESPIPE)
def test_lseek_fails(fifo, opened):
    """lseek() on a FIFO fails with ESPIPE."""
    both = opened(fifo().path, O_RDWR | O_NONBLOCK)
    both.write(b"data")
    with fails_with(ESPIPE):
        os.lseek(both.fd, 2, os.SEEK_SET)
    assert both.read() == b"data"


@pytest.mark.usefixtures("whole_pipes")
@clause("fifo.capacity-16-pages", "pipe(7)", "Pipe capacity", since="2.6.35")
def test_new_fifo_has_the_capacity_of_a_pipe(fifo, opened, page):
    """A newly opened FIFO has the capacity of a new pipe, 16 pages, and holds that many bytes."""
    both = opened(fifo().path, O_RDWR | O_NONBLOCK)
    assert getpipe_size(both.fd) == 16 * page
    assert write(both.fd, bytes(17 * page)) == 16 * page
