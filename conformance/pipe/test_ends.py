"""pipe(7): closing all ends of one side: end of file, SIGPIPE, EPIPE."""

from __future__ import annotations

import os
from errno import EAGAIN, EPIPE
from os import O_CLOEXEC, O_NONBLOCK
from signal import SIGPIPE, pause
from threading import Thread

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import read, sigpending, write


@clause("pipe.eof-after-last-writer", "pipe(7)", "I/O on pipes and FIFOs")
def test_end_of_file_after_last_writer(pipe, fork):
    """read() from an empty pipe returns 0 only when every descriptor of the write
    end is closed, duplicates and those of other processes included.
    """
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    holder = fork(pause)
    with open(os.dup(p.write_fd), "wb"):
        p.close_write()
        with fails_with(EAGAIN):
            fork(read, p.read_fd, 1).result()
        holder.close()
        with fails_with(EAGAIN):
            fork(read, p.read_fd, 1).result()
    assert fork(read, p.read_fd, 1).result() == b""


@clause("pipe.eof-in-other-process", "pipe(7)", "I/O on pipes and FIFOs")
def test_writer_in_another_process_delays_end_of_file(pipe, fork):
    """A reader that has closed its own write end blocks until the last other process that holds one terminates."""
    p = pipe()
    holder = fork(pause)

    def child() -> bytes:
        p.close_write()
        return read(p.read_fd, 1)

    reader = fork(child)
    p.close_write()
    reader.wait_blocked("read")
    holder.close()
    assert reader.result() == b""


@clause("pipe.eof-after-data", "pipe(7)", "I/O on pipes and FIFOs")
def test_end_of_file_after_the_data(pipe):
    """After the last writer has closed the pipe, read() returns the remaining data first and then 0 each time."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    p.write(b"last words")
    p.close_write()
    assert [read(p.read_fd, 4) for _ in range(5)] == [b"last", b" wor", b"ds", b"", b""]


@clause("pipe.eof-wakes-all-readers", "pipe(7)", "I/O on pipes and FIFOs")
def test_end_of_file_wakes_every_reader(pipe, fork):
    """When the last write end is closed, read() returns 0 in every process blocked in it."""
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
def test_sigpipe_terminates_by_default(pipe, fork, signals):
    """write() to a pipe without readers raises SIGPIPE, whose default action terminates the process."""
    p = pipe()
    p.close_read()

    def child() -> int:
        signals.default(SIGPIPE)
        signals.unblock(SIGPIPE)
        return write(p.write_fd, b"x")

    assert fork(child).wait() == -SIGPIPE


@clause("pipe.sigpipe-epipe", "pipe(7)", "I/O on pipes and FIFOs", errno=EPIPE)
def test_write_fails_with_epipe_if_sigpipe_is_ignored(pipe, signals):
    """write() to a pipe without readers fails with EPIPE each time if SIGPIPE is ignored."""
    p = pipe()
    signals.ignore(SIGPIPE)
    p.close_read()
    for _ in range(2):
        with fails_with(EPIPE):
            write(p.write_fd, b"x")


@clause("pipe.sigpipe-caught", "write(2)", "ERRORS", errno=EPIPE)
def test_write_fails_with_epipe_after_the_handler(pipe, signals):
    """Each write() to a pipe without readers raises SIGPIPE once and fails with EPIPE if the signal is caught."""
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
def test_sigpipe_is_thread_directed(pipe, fork, signals):
    """SIGPIPE is directed to the writing thread: if blocked, it is pending for that thread and for no other."""
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
def test_no_sigpipe_while_a_reader_exists(pipe, fork, signals):
    """write() raises no SIGPIPE while any descriptor of the read end is
    open, duplicates and those of other processes included.
    """
    p = pipe()
    caught = signals.catch(SIGPIPE)
    signals.unblock(SIGPIPE)
    holder = fork(pause)
    with open(os.dup(p.read_fd), "rb"):
        p.close_read()
        assert write(p.write_fd, b"one") == 3
        holder.close()
        assert write(p.write_fd, b"two") == 3
    assert caught.count == 0
    with fails_with(EPIPE):
        write(p.write_fd, b"three")


@clause("pipe.blocked-writer-gets-epipe", "pipe(7)", "I/O on pipes and FIFOs", errno=EPIPE)
def test_blocked_writer_fails_when_the_last_reader_closes(pipe, fork, signals, fill):
    """A write() blocked on a full pipe fails with EPIPE when the last read end is closed."""
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
def test_write_of_zero_bytes_needs_no_reader(pipe, signals):
    """write() of 0 bytes to a pipe without readers returns 0 and raises no SIGPIPE."""
    p = pipe()
    caught = signals.catch(SIGPIPE)
    signals.unblock(SIGPIPE)
    p.close_read()
    assert write(p.write_fd, b"") == 0
    assert caught.count == 0
