"""pipe(7): what happens when one side has gone: end of file, SIGPIPE, EPIPE."""

from __future__ import annotations

import os
from errno import EAGAIN, EPIPE
from os import O_CLOEXEC, O_NONBLOCK
from signal import SIGPIPE, pause
from threading import Thread

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import read, sigpending, write


@clause("pipe.eof-after-last-writer", "pipe(7)", "I/O on pipes and FIFOs")
def test_end_of_file_comes_after_the_last_writer(pipe, fork):
    """There is no end of file while any descriptor of the write end is open, be it a duplicate or another process's."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    holder = fork(pause)
    with open(os.dup(p.write_fd), "wb"):
        p.close_write()
        with fails_with(EAGAIN):
            fork(read, p.read_fd, 1).result()
        holder.end()
        with fails_with(EAGAIN):
            fork(read, p.read_fd, 1).result()
    assert fork(read, p.read_fd, 1).result() == b""


@clause("pipe.eof-in-other-process", "pipe(7)", "I/O on pipes and FIFOs")
def test_a_writer_elsewhere_keeps_end_of_file_away(pipe, fork):
    """A reader that has closed its own write end still waits while another process holds one, until that process ends."""
    p = pipe()
    holder = fork(pause)

    def child() -> bytes:
        p.close_write()
        return read(p.read_fd, 1)

    reader = fork(child)
    p.close_write()
    reader.wait_blocked("read")
    holder.end()
    assert reader.result() == b""


@clause("pipe.eof-after-data", "pipe(7)", "I/O on pipes and FIFOs")
def test_end_of_file_comes_after_the_data(pipe):
    """When the writers have gone, what is left is read first; then every read gives end of file."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    p.write(b"last words")
    p.close_write()
    assert [read(p.read_fd, 4) for _ in range(5)] == [b"last", b" wor", b"ds", b"", b""]


@clause("pipe.eof-wakes-all-readers", "pipe(7)", "I/O on pipes and FIFOs")
def test_end_of_file_wakes_every_reader(pipe, fork):
    """When the last writer goes, every process that is blocked in reading gets end of file."""
    p = pipe()

    def child() -> bytes:
        p.close_write()
        return read(p.read_fd, 1)

    readers = [fork(child) for _ in range(3)]
    for reader in readers:
        reader.wait_blocked("read")
    p.close_write()
    assert [reader.result() for reader in readers] == [b""] * 3


@clause("pipe.sigpipe-default-kills", "pipe(7)", "I/O on pipes and FIFOs")
def test_sigpipe_ends_a_writer_without_readers(pipe, fork, signals):
    """Writing to a pipe that nobody can read raises SIGPIPE, which ends a process that has not arranged otherwise."""
    p = pipe()
    p.close_read()

    def child() -> int:
        signals.default(SIGPIPE)
        signals.unblock(SIGPIPE)
        return write(p.write_fd, b"x")

    assert fork(child).wait() == -SIGPIPE


@clause("pipe.sigpipe-epipe", "pipe(7)", "I/O on pipes and FIFOs", errno=EPIPE)
def test_a_writer_that_ignores_sigpipe_gets_an_error(pipe, signals):
    """A process that ignores SIGPIPE gets EPIPE when it writes to a pipe that nobody can read, every time."""
    p = pipe()
    signals.ignore(SIGPIPE)
    p.close_read()
    for _ in range(2):
        with fails_with(EPIPE):
            write(p.write_fd, b"x")


@clause("pipe.sigpipe-caught", "write(2)", "ERRORS", errno=EPIPE)
def test_a_caught_sigpipe_comes_with_the_error(pipe, signals):
    """A process that catches SIGPIPE gets one signal and the error EPIPE for each write that nobody can read."""
    p = pipe()
    caught = signals.catch(SIGPIPE)
    signals.unblock(SIGPIPE)
    p.close_read()
    for number in (1, 2):
        with fails_with(EPIPE):
            write(p.write_fd, b"x")
        caught.wait(number)
    assert caught.count == 2


@clause("pipe.sigpipe-thread-directed", "signal(7)", "Signal mask and pending signals", errno=EPIPE)
def test_sigpipe_is_for_the_writing_thread(pipe, fork, signals):
    """SIGPIPE goes to the thread that wrote: blocked, it is pending there and in no other thread."""
    p = pipe()
    p.close_read()

    def child() -> tuple[list[bool], bool]:
        signals.default(SIGPIPE)
        signals.block(SIGPIPE)
        pending = []

        def writer() -> None:
            with fails_with(EPIPE):
                write(p.write_fd, b"x")
            pending.append(SIGPIPE in sigpending())

        thread = Thread(target=writer)
        thread.start()
        thread.join()
        return pending, SIGPIPE in sigpending()

    assert fork(child).result() == ([True], False)


@clause("pipe.epipe-after-last-reader", "pipe(7)", "I/O on pipes and FIFOs", errno=EPIPE)
def test_writing_works_while_anybody_could_read(pipe, fork, signals):
    """There is no SIGPIPE while any descriptor of the read end is open, be it a duplicate or another process's."""
    p = pipe()
    caught = signals.catch(SIGPIPE)
    signals.unblock(SIGPIPE)
    holder = fork(pause)
    with open(os.dup(p.read_fd), "rb"):
        p.close_read()
        assert write(p.write_fd, b"one") == 3
        holder.end()
        assert write(p.write_fd, b"two") == 3
    assert caught.count == 0
    with fails_with(EPIPE):
        write(p.write_fd, b"three")


@clause("pipe.blocked-writer-gets-epipe", "pipe(7)", "I/O on pipes and FIFOs", errno=EPIPE)
def test_a_blocked_writer_learns_that_the_readers_have_gone(pipe, fork, signals, fill):
    """A writer that is blocked on a full pipe fails with EPIPE when the last read end is closed."""
    p = pipe()
    fill(p.write_fd)

    def child() -> None:
        signals.ignore(SIGPIPE)
        p.close_read()
        with fails_with(EPIPE):
            write(p.write_fd, b"x")

    writer = fork(child)
    writer.wait_blocked("write")
    p.close_read()
    writer.result()


@clause("pipe.write-zero-no-reader", "write(2)", "DESCRIPTION")
def test_writing_nothing_needs_no_reader(pipe, signals):
    """A write of 0 bytes to a pipe that nobody can read gives 0 and raises no SIGPIPE."""
    p = pipe()
    caught = signals.catch(SIGPIPE)
    signals.unblock(SIGPIPE)
    p.close_read()
    assert write(p.write_fd, b"") == 0
    assert caught.count == 0
