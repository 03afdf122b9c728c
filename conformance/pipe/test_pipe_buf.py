"""pipe(7), PIPE_BUF: atomic and partial writes."""

from __future__ import annotations

import os
import re
from errno import EAGAIN
from os import O_CLOEXEC, O_NONBLOCK

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import PIPE_BUF, read, setpipe_size, write


@clause("pipe.atomic-le-pipe_buf-multi-writer", "pipe(7)", "PIPE_BUF")
def test_concurrent_small_writes_are_atomic(pipe, fork, drain, page):
    """Concurrent writes of at most PIPE_BUF bytes are not interleaved, even if the writers block."""
    p = pipe()
    setpipe_size(p.write_fd, 2 * page)  # a small capacity, so that the writers often block
    lengths = {b"a": PIPE_BUF, b"b": PIPE_BUF - 1, b"c": 3001, b"d": 700}

    def repeat(letter: bytes, length: int) -> None:
        for _ in range(60):
            assert write(p.write_fd, letter * length) == length

    writers = [fork(repeat, letter, length) for letter, length in lengths.items()]
    reader = drain(p)
    p.close_write()
    for writer in writers:
        writer.result()
    data = reader.result()
    assert {letter: data.count(letter) for letter in lengths} == {k: 60 * v for k, v in lengths.items()}
    runs = [match[0] for match in re.finditer(rb"(.)\1*", data)]
    assert [run for run in runs if len(run) % lengths[run[:1]]] == [], (
        "a write of at most PIPE_BUF bytes was interleaved"
    )


@clause("pipe.block-le-pipe_buf-waits-for-room", "pipe(7)", "PIPE_BUF")
def test_small_write_blocks_until_all_fits(pipe, fork, unread):
    """A blocking write() of at most PIPE_BUF bytes writes nothing until there is space for all of them."""
    p = pipe()
    os.set_blocking(p.read_fd, False)
    write(p.write_fd, bytes(p.capacity - 100))
    writer = fork(write, p.write_fd, b"x" * 101)
    writer.wait_blocked("write")
    assert unread(p.read_fd) == p.capacity - 100
    assert len(read(p.read_fd, p.capacity - 100)) == p.capacity - 100
    assert writer.result() == 101
    assert p.read() == b"x" * 101


@clause("pipe.nonblock-le-pipe_buf-all-or-nothing", "pipe(7)", "PIPE_BUF", errno=EAGAIN)
def test_small_nonblocking_write_is_all_or_nothing(pipe, fork, unread):
    """write() of at most PIPE_BUF bytes with O_NONBLOCK writes all of them, or fails with EAGAIN and writes none."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    held = p.capacity - 100
    assert write(p.write_fd, bytes(held)) == held
    for size in (101, PIPE_BUF):
        with fails_with(EAGAIN):
            fork(write, p.write_fd, b"x" * size).result()
        assert unread(p.read_fd) == held
    assert fork(write, p.write_fd, b"x" * 100).result() == 100
    assert unread(p.read_fd) == held + 100


@clause("pipe.nonblock-gt-pipe_buf-partial", "pipe(7)", "PIPE_BUF")
def test_large_nonblocking_write_is_partial(pipe, fork, page):
    """write() of more than PIPE_BUF bytes with O_NONBLOCK writes a
    part if there is some space, and returns its length.
    """
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    held = p.capacity - page
    write(p.write_fd, bytes(held))
    data = os.urandom(page + PIPE_BUF)
    count = fork(write, p.write_fd, data).result()
    assert 1 <= count < len(data)
    assert read(p.read_fd, 2 * p.capacity) == bytes(held) + data[:count]


@clause("pipe.nonblock-gt-pipe_buf-full-eagain", "pipe(7)", "PIPE_BUF", errno=EAGAIN)
def test_large_nonblocking_write_to_a_full_pipe_fails(pipe, fork, fill, unread):
    """write() of more than PIPE_BUF bytes to a full pipe with O_NONBLOCK fails with EAGAIN and writes nothing."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    full = fill(p.write_fd)
    with fails_with(EAGAIN):
        fork(write, p.write_fd, b"x" * (PIPE_BUF + 1)).result()
    assert unread(p.read_fd) == full


@clause("pipe.block-gt-pipe_buf-completes", "pipe(7)", "PIPE_BUF")
def test_large_blocking_write_returns_when_complete(pipe, fork, drain, page):
    """A blocking write() of any length returns only when all bytes are written."""
    p = pipe()
    data = os.urandom(2 * p.capacity + page)
    writer = fork(write, p.write_fd, data)
    writer.wait_blocked("write")
    first = read(p.read_fd, p.capacity)
    writer.wait_blocked("write")  # at most two capacities are written by now, less than all
    reader = drain(p)
    p.close_write()
    assert writer.result() == len(data)
    assert first + reader.result() == data
