"""poll(2), ioctl(2) FIONREAD and O_ASYNC on pipes: readiness, the number of unread bytes, SIGIO."""

from __future__ import annotations

import os
from fcntl import F_GETFL, F_SETFL, F_SETOWN, fcntl
from os import O_ASYNC, O_CLOEXEC, O_NONBLOCK
from select import POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, poll
from signal import SIGIO

import pytest

from pytest_ipc import clause
from pytest_ipc.kernel import raw_poll, read, write


def events(fd: int, timeout: int | None = 0) -> int:
    """Return the events that poll(2) reports for a descriptor, with POLLIN and POLLOUT requested."""
    poller = poll()
    poller.register(fd, POLLIN | POLLOUT)
    return dict(poller.poll(timeout)).get(fd, 0)


@clause("poll.negative-descriptor-ignored", "poll(2)", "DESCRIPTION")
def test_a_negative_descriptor_is_ignored(pipe):
    """poll() ignores a negative descriptor: it returns no events for it, does not count it and checks the others."""
    p = pipe()
    assert raw_poll([(-1, POLLIN), (p.write_fd, POLLOUT), (-p.read_fd - 1, POLLIN | POLLOUT)], 0) == (
        1,
        [0, POLLOUT, 0],
    )
    assert raw_poll([(-1, POLLIN)], 1) == (0, [0])


@clause("poll.closed-descriptor-pollnval", "poll(2)", "DESCRIPTION")
def test_closed_descriptor_reports_pollnval(pipe):
    """poll() reports POLLNVAL at once for a descriptor that is not open, even if not requested, and counts it."""
    p = pipe()
    closed = os.dup(p.read_fd)
    os.close(closed)
    assert raw_poll([(closed, 0), (p.read_fd, POLLIN)], -1) == (1, [POLLNVAL, 0])


@clause("pipe.poll-states", "poll(2)", "DESCRIPTION")
def test_poll_reports_data_and_space(pipe, fill, page):
    """poll() reports the read end as readable while there are data and the write end as writable while it has space."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    assert (events(p.read_fd), events(p.write_fd)) == (0, POLLOUT)
    p.write(b"x")
    assert (events(p.read_fd), events(p.write_fd)) == (POLLIN, POLLOUT)
    fill(p.write_fd)
    assert (events(p.read_fd), events(p.write_fd)) == (POLLIN, 0)
    read(p.read_fd, page)
    assert (events(p.read_fd), events(p.write_fd)) == (POLLIN, POLLOUT)
    read(p.read_fd, 2 * p.capacity)
    assert events(p.read_fd) == 0


@clause("pipe.poll-hup-with-data", "poll(2)", "POLLHUP")
def test_poll_reports_pollhup_after_the_last_writer(pipe):
    """poll() reports POLLHUP at the read end after the last writer, together with POLLIN until all data are read."""
    p = pipe()
    p.write(b"data")
    p.close_write()
    assert events(p.read_fd) == POLLIN | POLLHUP
    read(p.read_fd, 3)
    assert events(p.read_fd) == POLLIN | POLLHUP
    read(p.read_fd, 1)
    assert events(p.read_fd) == POLLHUP


@clause("pipe.poll-err-no-reader", "poll(2)", "POLLERR")
def test_poll_reports_pollerr_after_the_last_reader(pipe):
    """poll() reports POLLERR at the write end after the last reader has closed the pipe."""
    p = pipe()
    assert not events(p.write_fd) & POLLERR
    p.close_read()
    assert events(p.write_fd) & POLLERR


@clause("pipe.poll-wakes", "poll(2)", "DESCRIPTION")
def test_poll_blocks_until_data(pipe, fork):
    """poll() of the read end of an empty pipe blocks until data are written."""
    p = pipe()
    poller = fork(events, p.read_fd, None)
    poller.wait_blocked("poll")
    p.write(b"x")
    assert poller.result() == POLLIN


@clause("pipe.poll-hup-wakes", "poll(2)", "POLLHUP")
def test_poll_is_woken_by_the_last_close(pipe, fork):
    """poll() of the read end of an empty pipe returns POLLHUP when the last writer closes it."""
    p = pipe()

    def child() -> int:
        p.close_write()
        return events(p.read_fd, None)

    poller = fork(child)
    poller.wait_blocked("poll")
    p.close_write()
    assert poller.result() == POLLHUP


@pytest.mark.usefixtures("whole_pipes")
@clause("pipe.fionread-both-ends", "pipe(7)", "Pipe capacity")
def test_fionread_counts_unread_bytes(pipe, unread, page):
    """FIONREAD returns the number of unread bytes, the same at both ends, after every write() and read()."""
    p = pipe()
    counts = [(unread(p.read_fd), unread(p.write_fd))]
    for size in (1, page, 3):
        write(p.write_fd, bytes(size))
        counts.append((unread(p.read_fd), unread(p.write_fd)))
    read(p.read_fd, page)
    counts.append((unread(p.read_fd), unread(p.write_fd)))
    assert counts == [(0, 0), (1, 1), (page + 1, page + 1), (page + 4, page + 4), (4, 4)]


@clause("pipe.sigio", "pipe(7)", "Open file status flags", since="2.6")
def test_sigio_for_new_input(pipe, signals):
    """With O_ASYNC on the read end, its owner gets SIGIO for new
    input; before O_ASYNC is set and after it is cleared, none.
    """
    p = pipe()
    caught = signals.catch(SIGIO)
    signals.unblock(SIGIO)
    fcntl(p.read_fd, F_SETOWN, os.getpid())
    p.write(b"quiet")
    assert caught.count == 0
    flags = fcntl(p.read_fd, F_GETFL)
    fcntl(p.read_fd, F_SETFL, flags | O_ASYNC)
    for _ in range(2):
        read(p.read_fd, 5)
        before = caught.count
        p.write(b"aloud")
        caught.wait(before + 1)
    fcntl(p.read_fd, F_SETFL, flags)
    read(p.read_fd, 5)
    before = caught.count
    p.write(b"quiet")
    assert caught.count == before


@clause("pipe.sigio-only-for-input", "pipe(7)", "Open file status flags", since="2.6")
def test_no_sigio_for_reading(pipe, signals):
    """With O_ASYNC on the read end, new input raises one SIGIO and reading it raises none."""
    p = pipe()
    caught = signals.catch(SIGIO)
    signals.unblock(SIGIO)
    fcntl(p.read_fd, F_SETOWN, os.getpid())
    fcntl(p.read_fd, F_SETFL, fcntl(p.read_fd, F_GETFL) | O_ASYNC)
    p.write(b"input")
    caught.wait(1)
    read(p.read_fd, 3)
    read(p.read_fd, 2)
    assert caught.count == 1


@clause("pipe.sigio-to-owner", "pipe(7)", "Open file status flags", since="2.6")
def test_sigio_goes_to_the_owner(pipe, fork, signals):
    """SIGIO is sent to the process set with F_SETOWN, not to the process that writes or sets the owner."""
    p = pipe()
    own = signals.catch(SIGIO)
    signals.unblock(SIGIO)

    def child():
        caught = signals.catch(SIGIO)
        events(p.read_fd, None)
        caught.wait()
        return caught.count

    owner = fork(child)
    owner.wait_blocked("poll")
    fcntl(p.read_fd, F_SETOWN, owner.pid)
    fcntl(p.read_fd, F_SETFL, fcntl(p.read_fd, F_GETFL) | O_ASYNC)
    p.write(b"x")
    assert owner.result() == 1
    assert own.count == 0
