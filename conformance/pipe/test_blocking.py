"""pipe(7): capacity; when a read or a write waits, and when it fails instead."""

from __future__ import annotations

from errno import EAGAIN
from fcntl import F_GETFL, F_SETFL, fcntl
from os import O_CLOEXEC, O_NONBLOCK

import pytest

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import getpipe_size, limit, read, write


@pytest.mark.usefixtures("whole_pipes")
@clause("pipe.capacity-16-pages", "pipe(7)", "Pipe capacity", since="2.6.35")
def test_a_new_pipe_has_sixteen_pages(pipe, page):
    """The capacity of a new pipe is 16 pages, asked at either end."""
    most = limit("fs/pipe-max-size")
    if most is not None and most < 16 * page:
        untested(f"/proc/sys/fs/pipe-max-size is {most}, less than 16 pages")
    p = pipe()
    assert (getpipe_size(p.read_fd), getpipe_size(p.write_fd)) == (16 * page, 16 * page)


@clause("pipe.holds-its-capacity", "pipe(7)", "Pipe capacity")
def test_a_pipe_holds_as_much_as_it_says(pipe, fill, unread):
    """An empty pipe that is written in whole pages takes as many bytes as its capacity, and no more."""
    p = pipe()
    assert fill(p.write_fd) == p.capacity == unread(p.read_fd)


@clause("pipe.empty-read-blocks", "pipe(7)", "I/O on pipes and FIFOs")
def test_reading_an_empty_pipe_waits_for_data(pipe, fork):
    """A read from an empty pipe blocks until there are data, and then gives them."""
    p = pipe()
    reader = fork(read, p.read_fd, 10)
    reader.wait_blocked("read")
    p.write(b"data")
    assert reader.result() == b"data"


@clause("pipe.full-write-blocks", "pipe(7)", "I/O on pipes and FIFOs")
def test_writing_to_a_full_pipe_waits_for_room(pipe, fork, fill, unread, page):
    """A write to a full pipe blocks until enough has been read from it, and then writes all."""
    p = pipe()
    full = fill(p.write_fd)
    writer = fork(write, p.write_fd, b"more")
    writer.wait_blocked("write")
    assert unread(p.read_fd) == full
    assert read(p.read_fd, page) == bytes(page)
    assert writer.result() == 4
    assert unread(p.read_fd) == full - page + 4


@clause("pipe.empty-nonblock-eagain", "pipe(7)", "I/O on pipes and FIFOs", errno=EAGAIN)
def test_a_nonblocking_read_does_not_wait(pipe, fork):
    """With O_NONBLOCK a read from an empty pipe fails at once, as long as there is a writer."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    with fails_with(EAGAIN):
        fork(read, p.read_fd, 1).result()
    p.write(b"x")
    assert fork(read, p.read_fd, 2).result() == b"x"
    with fails_with(EAGAIN):
        fork(read, p.read_fd, 1).result()


@clause("pipe.full-nonblock-eagain", "pipe(7)", "Pipe capacity", errno=EAGAIN)
def test_a_nonblocking_write_does_not_wait(pipe, fork, fill, unread, page):
    """With O_NONBLOCK a write to a full pipe fails at once and writes nothing; when there is room again it succeeds."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    full = fill(p.write_fd)
    with fails_with(EAGAIN):
        fork(write, p.write_fd, b"x").result()
    assert unread(p.read_fd) == full
    read(p.read_fd, page)
    assert fork(write, p.write_fd, b"x").result() == 1


@clause("pipe.nonblock-by-fcntl", "pipe(7)", "I/O on pipes and FIFOs", errno=EAGAIN)
def test_nonblocking_can_be_switched_at_each_end(pipe, fork, fill):
    """F_SETFL sets O_NONBLOCK for one end and takes it away again, and the other end goes on blocking."""
    p = pipe()
    flags = fcntl(p.read_fd, F_GETFL)
    fcntl(p.read_fd, F_SETFL, flags | O_NONBLOCK)
    with fails_with(EAGAIN):
        fork(read, p.read_fd, 1).result()
    fcntl(p.read_fd, F_SETFL, flags)
    with fork(read, p.read_fd, 1) as reader:
        reader.wait_blocked("read")
    fcntl(p.read_fd, F_SETFL, flags | O_NONBLOCK)
    fill(p.write_fd)
    fork(write, p.write_fd, b"x").wait_blocked("write")
