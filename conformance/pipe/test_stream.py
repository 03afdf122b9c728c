"""pipe(7): a pipe is a unidirectional byte stream."""

from __future__ import annotations

import os
from errno import EBADF, ESPIPE
from fcntl import F_GETFL, fcntl
from os import O_ACCMODE, O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_WRONLY

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import read, write


@clause("pipe.unidirectional-ebadf", "pipe(7)", "DESCRIPTION", errno=EBADF)
def test_wrong_end_fails(pipe):
    """write() to the read end and read() from the write end fail with EBADF, even if the pipe holds data."""
    p = pipe()
    p.write(b"data")
    with fails_with(EBADF):
        write(p.read_fd, b"back")
    with fails_with(EBADF):
        read(p.write_fd, 4)
    assert p.read(4) == b"data"


@clause("pipe.ends-access-modes", "pipe(2)", "DESCRIPTION")
def test_access_modes_of_the_ends(pipe):
    """pipe() returns a first descriptor with access mode O_RDONLY and a second with O_WRONLY."""
    p = pipe()
    modes = [fcntl(fd, F_GETFL) & O_ACCMODE for fd in (p.read_fd, p.write_fd)]
    assert modes == [O_RDONLY, O_WRONLY]


@clause("pipe.new-every-time", "pipe(2)", "DESCRIPTION")
def test_each_call_creates_a_new_pipe(pipe):
    """Each call of pipe() creates a new pipe: data written to one are not read from another."""
    first, second = pipe(flags=O_NONBLOCK | O_CLOEXEC), pipe(flags=O_NONBLOCK | O_CLOEXEC)
    first.write(b"first")
    second.write(b"second")
    assert (first.read(), second.read()) == (b"first", b"second")


@clause("pipe.read-write-roundtrip", "pipe(2)", "DESCRIPTION")
def test_bytes_are_read_in_order(pipe, fork, drain):
    """All bytes written to a pipe are read once and in the order of writing."""
    p = pipe()
    sent = os.urandom(3 * p.capacity + 77)

    def child() -> None:
        for start in range(0, len(sent), 7001):
            p.write(sent[start : start + 7001])

    writer, reader = fork(child), drain(p)
    p.close_write()
    writer.result()
    assert reader.result() == sent


@clause("pipe.byte-stream", "pipe(7)", "I/O on pipes and FIFOs")
def test_there_are_no_message_boundaries(pipe):
    """A pipe has no message boundaries: one read() can return several writes, and several reads can share one write."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    for piece in (b"ab", b"c", b"def"):
        p.write(piece)
    assert p.read(100) == b"abcdef"
    p.write(b"abcdef")
    assert [p.read(4), p.read(1), p.read(4)] == [b"abcd", b"e", b"f"]


@clause("pipe.short-read", "pipe(7)", "I/O on pipes and FIFOs")
def test_read_returns_available_bytes(pipe, fork):
    """read() with a size larger than the unread data returns these at once."""
    p = pipe()
    p.write(b"little")
    assert fork(read, p.read_fd, 1000).result() == b"little"


@clause("pipe.read-zero-noop", "pipe(2)", "DESCRIPTION")
def test_read_of_zero_bytes_returns_at_once(pipe, fork):
    """read() of 0 bytes returns 0 without blocking on an empty pipe, and consumes nothing."""
    p = pipe()
    assert fork(read, p.read_fd, 0).result() == b""
    p.write(b"data")
    assert fork(read, p.read_fd, 0).result() == b""
    assert p.read(4) == b"data"


@clause("pipe.buffered-until-read", "pipe(2)", "DESCRIPTION")
def test_data_outlive_their_writer(pipe, fork):
    """The kernel buffers written data until they are read, even after the writer has terminated."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    assert fork(write, p.write_fd, b"testament").result() == 9
    p.close_write()
    assert p.read() == b"testament"


@clause("pipe.esepipe-lseek", "pipe(7)", "I/O on pipes and FIFOs", errno=ESPIPE)
def test_lseek_fails(pipe):
    """lseek() on either end of a pipe fails with ESPIPE and skips nothing."""
    p = pipe()
    p.write(b"data")
    for fd in (p.read_fd, p.write_fd):
        for whence in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
            with fails_with(ESPIPE):
                os.lseek(fd, 0, whence)
    assert p.read(4) == b"data"
