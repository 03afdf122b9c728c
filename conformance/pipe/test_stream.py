"""pipe(7): a pipe is a stream of bytes that goes one way."""

from __future__ import annotations

import os
from errno import EBADF, ESPIPE
from fcntl import F_GETFL, fcntl
from os import O_ACCMODE, O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_WRONLY

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import read, write


@clause("pipe.unidirectional-ebadf", "pipe(7)", "DESCRIPTION", errno=EBADF)
def test_each_end_works_one_way(pipe):
    """The read end cannot be written and the write end cannot be read, even when the pipe holds data."""
    p = pipe()
    p.write(b"data")
    with fails_with(EBADF):
        write(p.read_fd, b"back")
    with fails_with(EBADF):
        read(p.write_fd, 4)
    assert p.read(4) == b"data"


@clause("pipe.ends-access-modes", "pipe(2)", "DESCRIPTION")
def test_the_first_descriptor_reads_and_the_second_writes(pipe):
    """Of the two descriptors the first is open for reading only and the second for writing only."""
    p = pipe()
    modes = [fcntl(fd, F_GETFL) & O_ACCMODE for fd in (p.read_fd, p.write_fd)]
    assert modes == [O_RDONLY, O_WRONLY]


@clause("pipe.new-every-time", "pipe(2)", "DESCRIPTION")
def test_two_pipes_do_not_mix(pipe):
    """Every call makes a pipe of its own: what is written to one is not in another."""
    first, second = pipe(flags=O_NONBLOCK | O_CLOEXEC), pipe(flags=O_NONBLOCK | O_CLOEXEC)
    first.write(b"first")
    second.write(b"second")
    assert (first.read(), second.read()) == (b"first", b"second")


@clause("pipe.read-write-roundtrip", "pipe(2)", "DESCRIPTION")
def test_bytes_come_out_as_they_went_in(pipe, fork, drain):
    """What is written at one end is read at the other, every byte once and in the order of writing."""
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
    """Reads need not match writes: one read takes several writes together, several reads share one write."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    for piece in (b"ab", b"c", b"def"):
        p.write(piece)
    assert p.read(100) == b"abcdef"
    p.write(b"abcdef")
    assert [p.read(4), p.read(1), p.read(4)] == [b"abcd", b"e", b"f"]


@clause("pipe.short-read", "pipe(7)", "I/O on pipes and FIFOs")
def test_a_read_does_not_wait_for_more_than_there_is(pipe, fork):
    """A read that asks for more than the pipe holds takes what is there and does not wait for the rest."""
    p = pipe()
    p.write(b"little")
    assert fork(read, p.read_fd, 1000).result() == b"little"


@clause("pipe.read-zero-noop", "pipe(2)", "DESCRIPTION")
def test_a_read_of_nothing_returns_at_once(pipe, fork):
    """A read of 0 bytes gives 0: it does not wait on an empty pipe and takes nothing from one with data."""
    p = pipe()
    assert fork(read, p.read_fd, 0).result() == b""
    p.write(b"data")
    assert fork(read, p.read_fd, 0).result() == b""
    assert p.read(4) == b"data"


@clause("pipe.buffered-until-read", "pipe(2)", "DESCRIPTION")
def test_data_outlive_their_writer(pipe, fork):
    """The kernel keeps what was written until it is read, also when the writer has ended."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    assert fork(write, p.write_fd, b"testament").result() == 9
    p.close_write()
    assert p.read() == b"testament"


@clause("pipe.esepipe-lseek", "pipe(7)", "I/O on pipes and FIFOs", errno=ESPIPE)
def test_a_pipe_has_no_position(pipe):
    """lseek fails on both ends of a pipe, and nothing is skipped."""
    p = pipe()
    p.write(b"data")
    for fd in (p.read_fd, p.write_fd):
        for whence in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
            with fails_with(ESPIPE):
                os.lseek(fd, 0, whence)
    assert p.read(4) == b"data"
