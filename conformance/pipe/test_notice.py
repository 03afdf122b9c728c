"""poll(2), ioctl(2) FIONREAD and O_ASYNC on pipes: how a process learns what a pipe has for it."""

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
    """What poll(2) says of a descriptor when it is asked for input and room."""
    asked = poll()
    asked.register(fd, POLLIN | POLLOUT)
    return dict(asked.poll(timeout)).get(fd, 0)


@clause("poll.negative-descriptor-ignored", "poll(2)", "DESCRIPTION")
def test_a_negative_descriptor_is_ignored(pipe):
    """A negative descriptor is passed over: nothing is said of it, it is not counted, and the others are looked at."""
    p = pipe()
    assert raw_poll([(-1, POLLIN), (p.write_fd, POLLOUT), (-p.read_fd - 1, POLLIN | POLLOUT)], 0) == (
        1,
        [0, POLLOUT, 0],
    )
    assert raw_poll([(-1, POLLIN)], 1) == (0, [0])


@clause("poll.closed-descriptor-pollnval", "poll(2)", "DESCRIPTION")
def test_a_closed_descriptor_is_invalid(pipe):
    """For a descriptor that is not open POLLNVAL comes at once, whether it was asked for or not, and it is counted."""
    p = pipe()
    closed = os.dup(p.read_fd)
    os.close(closed)
    assert raw_poll([(closed, 0), (p.read_fd, POLLIN)], -1) == (1, [POLLNVAL, 0])


@clause("pipe.poll-states", "poll(2)", "DESCRIPTION")
def test_poll_tells_data_and_room(pipe, fill, page):
    """The read end polls as readable while there are data, the write end as writable while there is room."""
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
def test_poll_tells_that_the_writers_have_gone(pipe):
    """When the writers have gone the read end polls as hung up, and as readable too until all data have been read."""
    p = pipe()
    p.write(b"data")
    p.close_write()
    assert events(p.read_fd) == POLLIN | POLLHUP
    read(p.read_fd, 3)
    assert events(p.read_fd) == POLLIN | POLLHUP
    read(p.read_fd, 1)
    assert events(p.read_fd) == POLLHUP


@clause("pipe.poll-err-no-reader", "poll(2)", "POLLERR")
def test_poll_tells_that_the_readers_have_gone(pipe):
    """When the readers have gone the write end polls as being in error."""
    p = pipe()
    assert not events(p.write_fd) & POLLERR
    p.close_read()
    assert events(p.write_fd) & POLLERR


@clause("pipe.poll-wakes", "poll(2)", "DESCRIPTION")
def test_poll_waits_for_data(pipe, fork):
    """A process that polls the read end of an empty pipe sleeps until something is written."""
    p = pipe()
    poller = fork(events, p.read_fd, None)
    poller.wait_blocked("poll")
    p.write(b"x")
    assert poller.result() == POLLIN


@clause("pipe.poll-hup-wakes", "poll(2)", "POLLHUP")
def test_poll_is_woken_by_the_last_writers_end(pipe, fork):
    """A process that polls the read end of an empty pipe is woken when the last writer goes."""
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
def test_fionread_counts_what_is_unread(pipe, unread, page):
    """FIONREAD gives the number of unread bytes, the same at either end, after every write and read."""
    p = pipe()
    counts = [(unread(p.read_fd), unread(p.write_fd))]
    for size in (1, page, 3):
        write(p.write_fd, bytes(size))
        counts.append((unread(p.read_fd), unread(p.write_fd)))
    read(p.read_fd, page)
    counts.append((unread(p.read_fd), unread(p.write_fd)))
    assert counts == [(0, 0), (1, 1), (page + 1, page + 1), (page + 4, page + 4), (4, 4)]


@clause("pipe.sigio", "pipe(7)", "Open file status flags", since="2.6")
def test_sigio_announces_new_input(pipe, signals):
    """With O_ASYNC on the read end its owner gets SIGIO for new input; without O_ASYNC or after it, none."""
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
def test_sigio_does_not_announce_reading(pipe, signals):
    """With O_ASYNC on the read end there is one SIGIO for new input and none for taking it out."""
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
    """SIGIO goes to the process that F_SETOWN named, and not to the one that writes or the one that set it."""
    p = pipe()
    here = signals.catch(SIGIO)
    signals.unblock(SIGIO)

    def child():
        there = signals.catch(SIGIO)
        events(p.read_fd, None)
        there.wait()
        return there.count

    owner = fork(child)
    owner.wait_blocked("poll")
    fcntl(p.read_fd, F_SETOWN, owner.pid)
    fcntl(p.read_fd, F_SETFL, fcntl(p.read_fd, F_GETFL) | O_ASYNC)
    p.write(b"x")
    assert owner.result() == 1
    assert here.count == 0
