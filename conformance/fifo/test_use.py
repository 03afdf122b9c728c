"""fifo(7) and pipe(7): what goes through a FIFO, and what does not stay in it."""

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
def test_a_nonblocking_reader_sees_whether_there_is_a_writer(fifo, opened):
    """A non-blocking read from an empty FIFO gives end of file while there is no writer, and fails while there is one."""
    path = fifo().path
    reader = opened(path, O_RDONLY | O_NONBLOCK)
    assert read(reader.fd, 1) == b""
    with opened(path, O_WRONLY | O_NONBLOCK), fails_with(EAGAIN):
        read(reader.fd, 1)
    assert read(reader.fd, 1) == b""


@clause("fifo.blocking-read-waits-for-data", "pipe(7)", "I/O on pipes and FIFOs")
def test_a_read_waits_for_data_as_from_a_pipe(fifo, fork, opened):
    """A read from an empty FIFO that has a writer blocks until there are data, and then gives them."""
    path = fifo().path
    writer = opened(path, O_RDWR | O_NONBLOCK)

    def child() -> bytes:
        return read(raw_open(path, O_RDONLY), 100)

    reader = fork(child)
    reader.wait_blocked("read")
    writer.write(b"data")
    assert reader.result() == b"data"


@clause("fifo.eof-after-last-writer", "pipe(7)", "I/O on pipes and FIFOs")
def test_end_of_file_comes_after_the_last_writer(fifo, opened):
    """A reader gets end of file when every writer of the FIFO has closed it and the data have been read, and not before."""
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
def test_a_reader_at_the_end_sees_a_later_writer(fifo, opened):
    """End of file is not for ever: a reader that stays open reads what a later writer writes."""
    path = fifo().path
    reader = opened(path, O_RDONLY | O_NONBLOCK)
    for text in (b"one", b"two", b"three"):
        with opened(path, O_WRONLY | O_NONBLOCK) as writer:
            writer.write(text)
        assert [read(reader.fd, 100), read(reader.fd, 100)] == [text, b""]


@clause("fifo.one-pipe-object", "fifo(7)", "DESCRIPTION")
def test_all_opens_of_a_fifo_share_one_pipe(fifo, opened, tmp_path):
    """However often and by whichever of its names a FIFO is opened, there is one pipe behind it; another FIFO has another."""
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
def test_data_vanish_with_the_last_close(fifo, opened):
    """A FIFO has no contents in the filesystem: its size is 0, and what nobody has read is gone when all have closed it."""
    path = fifo().path
    with opened(path, O_RDWR | O_NONBLOCK) as both:
        both.write(b"unread")
        assert os.stat(path).st_size == 0
    with opened(path, O_RDWR | O_NONBLOCK) as both, fails_with(EAGAIN):
        read(both.fd, 100)


@clause("fifo.data-kept-while-open", "fifo(7)", "DESCRIPTION")
def test_data_stay_while_anybody_has_it_open(fifo, opened):
    """What a writer wrote before it closed the FIFO is there for a reader that opens later, if somebody has kept it open."""
    path = fifo().path
    with opened(path, O_RDWR | O_NONBLOCK):
        with opened(path, O_WRONLY | O_NONBLOCK) as writer:
            writer.write(b"kept")
        assert opened(path, O_RDONLY | O_NONBLOCK).read() == b"kept"


@clause("fifo.unlink-while-open", "fifo(7)", "DESCRIPTION")
def test_the_name_is_only_needed_to_open(fifo, opened):
    """When the name is removed the ends that are open go on working; a new FIFO of that name is another one."""
    first = fifo()
    reader, writer = opened(first.path, O_RDONLY | O_NONBLOCK), opened(first.path, O_WRONLY | O_NONBLOCK)
    os.unlink(first.path)
    other = opened(fifo(path=first.path).path, O_RDWR | O_NONBLOCK)
    writer.write(b"still here")
    assert reader.read() == b"still here"
    with fails_with(EAGAIN):
        read(other.fd, 100)


@clause("fifo.o_trunc-noop", "open(2)", "O_TRUNC")
def test_o_trunc_takes_nothing_away(fifo, opened):
    """O_TRUNC is ignored for a FIFO: the open succeeds and the data in it stay."""
    path = fifo().path
    reader = opened(path, O_RDONLY | O_NONBLOCK)
    opened(path, O_WRONLY | O_NONBLOCK).write(b"data")
    opened(path, O_WRONLY | O_NONBLOCK | O_TRUNC)
    assert reader.read() == b"data"


@clause("fifo.truncate-einval", "truncate(2)", "ERRORS", errno=EINVAL)
def test_a_fifo_cannot_be_truncated(fifo, opened):
    """A FIFO has no length to set: truncate fails by name and by descriptor, and the data stay."""
    path = fifo().path
    both = opened(path, O_RDWR | O_NONBLOCK)
    both.write(b"data")
    with fails_with(EINVAL):
        os.truncate(path, 0)
    with fails_with(EINVAL):
        os.ftruncate(both.fd, 0)
    assert both.read() == b"data"


@clause("fifo.sigpipe-no-reader", "fifo(7)", "NOTES", errno=EPIPE)
def test_a_writer_without_readers_gets_sigpipe(fifo, opened, signals):
    """A process that writes to a FIFO which nobody has open for reading any more gets SIGPIPE, and EPIPE if it goes on."""
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
def test_each_end_works_one_way(fifo, opened):
    """What was opened for reading cannot be written, and what was opened for writing cannot be read."""
    path = fifo().path
    reader, writer = opened(path, O_RDONLY | O_NONBLOCK), opened(path, O_WRONLY | O_NONBLOCK)
    with fails_with(EBADF):
        write(reader.fd, b"x")
    writer.write(b"data")
    with fails_with(EBADF):
        read(writer.fd, 1)
    assert reader.read() == b"data"


@clause("fifo.lseek-espipe", "pipe(7)", "I/O on pipes and FIFOs", errno=ESPIPE)
def test_a_fifo_has_no_position(fifo, opened):
    """lseek fails on a FIFO."""
    both = opened(fifo().path, O_RDWR | O_NONBLOCK)
    both.write(b"data")
    with fails_with(ESPIPE):
        os.lseek(both.fd, 2, os.SEEK_SET)
    assert both.read() == b"data"


@pytest.mark.usefixtures("whole_pipes")
@clause("fifo.capacity-16-pages", "pipe(7)", "Pipe capacity", since="2.6.35")
def test_a_fifo_has_the_capacity_of_a_pipe(fifo, opened, page):
    """A FIFO that is opened anew has the capacity of a new pipe, 16 pages, and holds so much."""
    both = opened(fifo().path, O_RDWR | O_NONBLOCK)
    assert getpipe_size(both.fd) == 16 * page
    assert write(both.fd, bytes(17 * page)) == 16 * page
