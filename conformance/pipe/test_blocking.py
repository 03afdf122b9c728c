"""pipe(7): capacity; when read() and write() block, and when they fail instead."""

from __future__ import annotations

from errno import EAGAIN
from fcntl import F_GETFL, F_SETFL, fcntl
from os import O_CLOEXEC, O_NONBLOCK

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import getpipe_size, limit, read, write


@pytest.mark.usefixtures("whole_pipes")
@clause("pipe.capacity-16-pages", "pipe(7)", "Pipe capacity", since="2.6.35")
def test_new_pipe_has_sixteen_pages(pipe, page):
    """A new pipe has a capacity of 16 pages, reported by F_GETPIPE_SZ at both ends."""
    most = limit("fs/pipe-max-size")
    if most is not None and most < 16 * page:
        untested(Need.MACHINE_LIMITS, f"/proc/sys/fs/pipe-max-size is {most}, less than 16 pages")
    p = pipe()
    assert (getpipe_size(p.read_fd), getpipe_size(p.write_fd)) == (16 * page, 16 * page)


@clause("pipe.holds-its-capacity", "pipe(7)", "Pipe capacity")
def test_pipe_holds_its_capacity(pipe, fill, unread):
    """An empty pipe accepts as many bytes as its capacity, in writes of whole pages, and no more."""
    p = pipe()
    assert fill(p.write_fd) == p.capacity == unread(p.read_fd)


@clause("pipe.empty-read-blocks", "pipe(7)", "I/O on pipes and FIFOs")
def test_read_of_empty_pipe_blocks_until_data(pipe, fork):
    """read() from an empty pipe blocks until data are written, and returns them."""
    p = pipe()
    reader = fork(read, p.read_fd, 10)
    reader.wait_blocked("read")
    p.write(b"data")
    assert reader.result() == b"data"


@clause("pipe.full-write-blocks", "pipe(7)", "I/O on pipes and FIFOs")
def test_write_to_full_pipe_blocks_until_space(pipe, fork, fill, unread, page):
    """write() to a full pipe blocks until enough has been read, and then writes all bytes."""
    p = pipe()
    full = fill(p.write_fd)
    writer = fork(write, p.write_fd, b"more")
    writer.wait_blocked("write")
    assert unread(p.read_fd) == full
    assert read(p.read_fd, page) == bytes(page)
    assert writer.result() == 4
    assert unread(p.read_fd) == full - page + 4


@clause("pipe.empty-nonblock-eagain", "pipe(7)", "I/O on pipes and FIFOs", errno=EAGAIN)
def test_nonblocking_read_of_empty_pipe_fails(pipe, fork):
    """read() from an empty pipe with O_NONBLOCK fails with EAGAIN while a write end is open."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    with fails_with(EAGAIN):
        fork(read, p.read_fd, 1).result()
    p.write(b"x")
    assert fork(read, p.read_fd, 2).result() == b"x"
    with fails_with(EAGAIN):
        fork(read, p.read_fd, 1).result()


@clause("pipe.full-nonblock-eagain", "pipe(7)", "Pipe capacity", errno=EAGAIN)
def test_nonblocking_write_to_full_pipe_fails(pipe, fork, fill, unread, page):
    """write() to a full pipe with O_NONBLOCK fails with EAGAIN, writes nothing, and succeeds after a read()."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    full = fill(p.write_fd)
    with fails_with(EAGAIN):
        fork(write, p.write_fd, b"x").result()
    assert unread(p.read_fd) == full
    read(p.read_fd, page)
    assert fork(write, p.write_fd, b"x").result() == 1


@clause("pipe.nonblock-by-fcntl", "pipe(7)", "I/O on pipes and FIFOs", errno=EAGAIN)
def test_o_nonblock_is_set_per_end(pipe, fork, fill):
    """fcntl() with F_SETFL sets and clears O_NONBLOCK at one end and does not affect the other end."""
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
