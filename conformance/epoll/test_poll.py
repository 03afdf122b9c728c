"""poll(2), ppoll(2), and what select(2) shares with them."""

from __future__ import annotations

import os
import resource
import select as standard
import signal
import time
from errno import EBADF, EFAULT, EINTR, EINVAL
from select import POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM
from signal import SIGUSR1
from socket import SHUT_WR

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import Timespec, kill, last_success, number_of, poll, ppoll, select, sigpending
from pytest_ipc.kernel.libc import syscall


@clause("poll.blocks-until-event", "poll(2)", "DESCRIPTION")
def test_it_waits_for_an_event(pipe, fork):
    """With a negative timeout poll() blocks until one of the events has occurred for one of the descriptors."""
    one, other = pipe(), pipe()
    child = fork(lambda: poll({one.read_fd: POLLIN, other.read_fd: POLLIN}, -1))
    child.wait_blocked("poll")
    other.write(b"!")
    assert child.result() == {other.read_fd: POLLIN}


@clause("poll.zero-returns-at-once", "poll(2)", "DESCRIPTION")
def test_it_does_not_wait_with_a_timeout_of_zero(pipe):
    """With a timeout of zero poll() returns at once, with zero if no descriptor is ready."""
    data = pipe()
    assert poll({data.read_fd: POLLIN}, 0) == {}
    assert last_success() == ("poll", 0)


@clause("poll.timeout", "poll(2)", "RETURN VALUE")
def test_it_waits_up_to_the_timeout(pipe):
    """When the timeout is over and no descriptor has become ready poll() returns zero, and not before."""
    data = pipe()
    start = time.monotonic_ns()
    assert poll({data.read_fd: POLLIN}, 20) == {}
    assert time.monotonic_ns() - start >= 20_000_000


@clause("poll.counts-descriptors", "poll(2)", "RETURN VALUE")
def test_it_counts_the_descriptors(pipe, sockets):
    """poll() returns the number of descriptors of which it reports something, however many events each of them has."""
    data = pipe()
    left, right = sockets.pair()
    right.send(b"!")
    found = poll({data.read_fd: POLLIN, data.write_fd: POLLOUT, left.fd: POLLIN | POLLOUT}, 0)
    assert found == {data.write_fd: POLLOUT, left.fd: POLLIN | POLLOUT}
    assert last_success() == ("poll", 2)


@clause("poll.only-what-was-asked", "poll(2)", "DESCRIPTION")
def test_it_tells_what_was_asked_for(sockets):
    """Of the events poll() reports those that were asked for, and of no event POLLHUP, POLLERR and POLLNVAL alone."""
    left, right = sockets.pair()
    right.send(b"!")
    for asked in (POLLIN, POLLOUT, POLLIN | POLLOUT, 0):
        assert poll({left.fd: asked}, 0) == ({left.fd: asked} if asked else {})
    right.close()
    assert poll({left.fd: 0}, 0) == {left.fd: POLLHUP}


@clause("poll.same-as-normal", "poll(2)", "POLLRDNORM")
def test_normal_data_are_data(sockets):
    """POLLRDNORM is equivalent to POLLIN, and POLLWRNORM to POLLOUT."""
    left, right = sockets.pair()
    both = POLLRDNORM | POLLWRNORM
    assert poll({left.fd: both}, 0) == {left.fd: POLLWRNORM}
    right.send(b"!")
    assert poll({left.fd: both}, 0) == {left.fd: both}


@clause("poll.hup-before-end", "poll(2)", "POLLHUP")
def test_a_hang_up_is_no_end_of_file(sockets):
    """POLLHUP of a stream socket says that the peer has closed it: what it sent is read first, and then the end of file."""
    left, right = sockets.pair()
    right.send(b"!")
    right.close()
    assert poll({left.fd: POLLIN}, 0) == {left.fd: POLLIN | POLLHUP}
    assert [left.receive(), left.receive()] == [b"!", b""]


@clause("poll.rdhup", "poll(2)", "POLLRDHUP", since="2.6.17")
@pytest.mark.parametrize("how", ["shutdown", "close"])
def test_the_peers_end_is_told(sockets, how):
    """POLLRDHUP is reported of a stream socket when the peer has closed it, or has shut down its writing half."""
    left, right = sockets.pair()
    assert poll({left.fd: POLLRDHUP}, 0) == {}
    if how == "shutdown":
        right.socket.shutdown(SHUT_WR)
    else:
        right.close()
    assert poll({left.fd: POLLRDHUP}, 0).get(left.fd, 0) & POLLRDHUP == POLLRDHUP


@clause("poll.files-are-ready", "poll(2)", "DESCRIPTION")
def test_a_file_is_always_ready(tmp_path):
    """A regular file is always ready to read and to write, also at its end."""
    (tmp_path / "file").touch()
    fd = os.open(tmp_path / "file", os.O_RDWR)
    try:
        assert poll({fd: POLLIN | POLLOUT}, 0) == {fd: POLLIN | POLLOUT}
        assert poll({fd: POLLIN | POLLOUT}, -1) == {fd: POLLIN | POLLOUT}
    finally:
        os.close(fd)


@clause("poll.nonblock-no-matter", "poll(2)", "NOTES")
def test_nonblocking_descriptors_are_waited_for(pipe, fork):
    """poll() waits for descriptors with O_NONBLOCK as for others."""
    data = pipe(flags=os.O_NONBLOCK | os.O_CLOEXEC)
    child = fork(lambda: poll({data.read_fd: POLLIN}, -1))
    child.wait_blocked("poll")
    data.write(b"!")
    assert child.result() == {data.read_fd: POLLIN}


@clause("poll.eintr", "poll(2)", "ERRORS", errno=EINTR)
def test_a_handler_ends_the_wait(pipe, fork):
    """poll() fails with EINTR when a signal handler has run before any of the events."""
    data = pipe()

    def life() -> None:
        signal.signal(SIGUSR1, lambda *_: None)
        with fails_with(EINTR):
            poll({data.read_fd: POLLIN}, -1)

    child = fork(life)
    child.wait_blocked("poll")
    child.signal(SIGUSR1)
    child.result()


@clause("poll.efault", "poll(2)", "ERRORS", errno=EFAULT)
def test_the_array_must_be_there():
    """poll() fails when the array lies where nothing can be read."""
    with fails_with(EFAULT):
        syscall(number_of("ppoll"), 8, 1, 0, 0, 0)


@clause("poll.nofile-einval", "poll(2)", "ERRORS", errno=EINVAL)
def test_there_are_no_more_elements_than_descriptors(fork):
    """poll() refuses more elements than RLIMIT_NOFILE lets the process have descriptors, and takes as many as that."""

    def life() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        assert poll(dict.fromkeys(range(-64, 0), POLLIN), 0) == {}
        with fails_with(EINVAL):
            poll(dict.fromkeys(range(-65, 0), POLLIN), 0)

    fork(life).result()


@clause("ppoll.mask", "poll(2)", "ppoll()", since="2.6.16")
def test_ppoll_waits_under_another_mask(pipe, fork):
    """While ppoll() waits the signal mask is the one that it was given, and afterwards the one from before."""
    data = pipe()

    def life() -> None:
        came = []
        signal.signal(SIGUSR1, lambda *_: came.append(1))
        signal.pthread_sigmask(signal.SIG_BLOCK, {SIGUSR1})
        kill(os.getpid(), SIGUSR1)
        with fails_with(EINTR):
            ppoll({data.read_fd: POLLIN}, None, set())
        assert came == [1]
        kill(os.getpid(), SIGUSR1)
        assert came == [1]
        assert sigpending() == {SIGUSR1}

    fork(life).result()


@clause("ppoll.null-mask", "poll(2)", "ppoll()", since="2.6.16")
def test_without_a_mask_ppoll_is_poll(pipe, fork):
    """Without a mask ppoll() leaves it as it is, and without a time it blocks until there is an event."""
    data = pipe()

    def life() -> dict[int, int]:
        signal.pthread_sigmask(signal.SIG_BLOCK, {SIGUSR1})
        kill(os.getpid(), SIGUSR1)
        found = ppoll({data.read_fd: POLLIN}, None, None)
        assert sigpending() == {SIGUSR1}
        return found

    child = fork(life)
    child.wait_blocked("poll")
    data.write(b"!")
    assert child.result() == {data.read_fd: POLLIN}


@clause("ppoll.timeout", "poll(2)", "ppoll()", since="2.6.16")
def test_ppoll_takes_nanoseconds(pipe):
    """ppoll() waits up to a time in nanoseconds, and not at all for a time of zero."""
    data = pipe()
    assert ppoll({data.read_fd: POLLIN}, Timespec(), None) == {}
    start = time.monotonic_ns()
    assert ppoll({data.read_fd: POLLIN}, Timespec(0, 1_500_000), None) == {}
    assert time.monotonic_ns() - start >= 1_500_000


@clause("ppoll.invalid-time-einval", "poll(2)", "ERRORS", errno=EINVAL, since="2.6.16")
@pytest.mark.parametrize("timeout", [Timespec(-1), Timespec(0, -1)], ids=["seconds", "nanoseconds"])
def test_ppoll_refuses_a_negative_time(pipe, timeout):
    """ppoll() refuses a negative time, which poll() would take for one without end."""
    with fails_with(EINVAL):
        ppoll({pipe().read_fd: POLLIN}, timeout, None)


@clause("select.sets", "select(2)", "File descriptor sets")
def test_select_leaves_what_is_ready(pipe, sockets):
    """select() leaves the descriptors that are ready in each set, and returns how many they are in all."""
    data, left_right = pipe(), sockets.pair()
    left, right = left_right
    right.send(b"!")
    reading = {data.read_fd, left.fd, right.fd}
    assert select(reading, 0) == {left.fd}
    assert last_success() == ("select", 1)
    ready = standard.select(sorted(reading), [data.write_fd, left.fd], [left.fd], 0)
    assert ready == ([left.fd], [data.write_fd, left.fd], [])


@clause("select.end-of-file-is-ready", "select(2)", "Arguments")
def test_select_takes_the_end_of_file_for_readable(pipe):
    """A descriptor at the end of file is ready for reading."""
    data = pipe()
    assert select({data.read_fd}, 0) == set()
    data.close_write()
    assert select({data.read_fd}, 0) == {data.read_fd}
    assert data.read() == b""


@clause("select.ebadf", "select(2)", "ERRORS", errno=EBADF)
def test_select_refuses_what_is_not_open(pipe):
    """select() fails for a set with a descriptor that is not open."""
    ends = pipe()
    closed = ends.write_fd
    ends.close_write()
    with fails_with(EBADF):
        select({ends.read_fd, closed}, 0)


@clause("select.eintr", "select(2)", "ERRORS", errno=EINTR)
def test_a_handler_ends_select(pipe, fork):
    """select() fails with EINTR when a signal handler has run."""
    data = pipe()

    def life() -> None:
        signal.signal(SIGUSR1, lambda *_: None)
        with fails_with(EINTR):
            select({data.read_fd}, -1)

    child = fork(life)
    child.wait_blocked("select")
    child.signal(SIGUSR1)
    child.result()


@clause("select.error-is-ready", "select(2)", "Correspondence between select() and poll() notifications")
def test_select_takes_an_error_for_ready(pipe):
    """What poll() reports as POLLERR is ready for reading and for writing to select(), and no exceptional condition."""
    ends = pipe()
    ends.close_read()
    assert poll({ends.write_fd: 0}, 0) == {ends.write_fd: POLLERR}
    fd = [ends.write_fd]
    assert standard.select(fd, fd, fd, 0) == (fd, fd, [])
