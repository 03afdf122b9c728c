"""poll(2), ppoll(2), and the corresponding behaviour of select(2)."""

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
def test_negative_timeout_blocks_until_an_event(pipe, fork):
    """poll() with a negative timeout blocks until a requested event occurs on one of the descriptors."""
    one, other = pipe(), pipe()
    child = fork(lambda: poll({one.read_fd: POLLIN, other.read_fd: POLLIN}, -1))
    child.wait_blocked("poll")
    other.write(b"!")
    assert child.result() == {other.read_fd: POLLIN}


@clause("poll.zero-returns-at-once", "poll(2)", "DESCRIPTION")
def test_timeout_0_returns_at_once(pipe):
    """poll() with a timeout of 0 returns 0 at once if no descriptor is ready."""
    data = pipe()
    assert poll({data.read_fd: POLLIN}, 0) == {}
    assert last_success() == ("poll", 0)


@clause("poll.timeout", "poll(2)", "RETURN VALUE")
def test_returns_0_at_the_timeout(pipe):
    """poll() returns 0 when the timeout expires, not earlier, if no descriptor is ready."""
    data = pipe()
    start = time.monotonic_ns()
    assert poll({data.read_fd: POLLIN}, 20) == {}
    assert time.monotonic_ns() - start >= 20_000_000


@clause("poll.counts-descriptors", "poll(2)", "RETURN VALUE")
def test_returns_the_number_of_ready_descriptors(pipe, sockets):
    """poll() returns the number of descriptors with events, however many events each has."""
    data = pipe()
    left, right = sockets.pair()
    right.send(b"!")
    found = poll({data.read_fd: POLLIN, data.write_fd: POLLOUT, left.fd: POLLIN | POLLOUT}, 0)
    assert found == {data.write_fd: POLLOUT, left.fd: POLLIN | POLLOUT}
    assert last_success() == ("poll", 2)


@clause("poll.only-what-was-asked", "poll(2)", "DESCRIPTION")
def test_only_requested_events_are_reported(sockets):
    """poll() reports the requested events only, and in addition POLLHUP, POLLERR and POLLNVAL."""
    left, right = sockets.pair()
    right.send(b"!")
    for requested in (POLLIN, POLLOUT, POLLIN | POLLOUT, 0):
        assert poll({left.fd: requested}, 0) == ({left.fd: requested} if requested else {})
    right.close()
    assert poll({left.fd: 0}, 0) == {left.fd: POLLHUP}


@clause("poll.same-as-normal", "poll(2)", "POLLRDNORM")
def test_pollrdnorm_and_pollwrnorm(sockets):
    """poll() reports POLLRDNORM like POLLIN, and POLLWRNORM like POLLOUT."""
    left, right = sockets.pair()
    both = POLLRDNORM | POLLWRNORM
    assert poll({left.fd: both}, 0) == {left.fd: POLLWRNORM}
    right.send(b"!")
    assert poll({left.fd: both}, 0) == {left.fd: both}


@clause("poll.hup-before-end", "poll(2)", "POLLHUP")
def test_data_can_be_read_after_pollhup(sockets):
    """poll() reports POLLHUP on a stream socket closed by its peer; pending data can be read before end of file."""
    left, right = sockets.pair()
    right.send(b"!")
    right.close()
    assert poll({left.fd: POLLIN}, 0) == {left.fd: POLLIN | POLLHUP}
    assert [left.receive(), left.receive()] == [b"!", b""]


@clause("poll.rdhup", "poll(2)", "POLLRDHUP", since="2.6.17")
@pytest.mark.parametrize("how", ["shutdown", "close"])
def test_pollrdhup_after_shutdown_or_close(sockets, how):
    """poll() reports POLLRDHUP on a stream socket after the peer has closed it or shut down its writing half."""
    left, right = sockets.pair()
    assert poll({left.fd: POLLRDHUP}, 0) == {}
    if how == "shutdown":
        right.socket.shutdown(SHUT_WR)
    else:
        right.close()
    assert poll({left.fd: POLLRDHUP}, 0).get(left.fd, 0) & POLLRDHUP == POLLRDHUP


@clause("poll.files-are-ready", "poll(2)", "DESCRIPTION")
def test_file_is_always_ready(tmp_path):
    """poll() reports a regular file always as readable and writable, also at end of file."""
    (tmp_path / "file").touch()
    fd = os.open(tmp_path / "file", os.O_RDWR)
    try:
        assert poll({fd: POLLIN | POLLOUT}, 0) == {fd: POLLIN | POLLOUT}
        assert poll({fd: POLLIN | POLLOUT}, -1) == {fd: POLLIN | POLLOUT}
    finally:
        os.close(fd)


@clause("poll.nonblock-no-matter", "poll(2)", "NOTES")
def test_o_nonblock_does_not_matter(pipe, fork):
    """poll() blocks also for descriptors with O_NONBLOCK."""
    data = pipe(flags=os.O_NONBLOCK | os.O_CLOEXEC)
    child = fork(lambda: poll({data.read_fd: POLLIN}, -1))
    child.wait_blocked("poll")
    data.write(b"!")
    assert child.result() == {data.read_fd: POLLIN}


@clause("poll.eintr", "poll(2)", "ERRORS", errno=EINTR)
def test_handler_interrupts_poll(pipe, fork):
    """poll() fails with EINTR when a signal handler runs before any requested event."""
    data = pipe()

    def in_child() -> None:
        signal.signal(SIGUSR1, lambda *_: None)
        with fails_with(EINTR):
            poll({data.read_fd: POLLIN}, -1)

    child = fork(in_child)
    child.wait_blocked("poll")
    child.signal(SIGUSR1)
    child.result()


@clause("poll.efault", "poll(2)", "ERRORS", errno=EFAULT)
def test_invalid_array_fails():
    """poll() fails with EFAULT for an inaccessible array."""
    with fails_with(EFAULT):
        syscall(number_of("ppoll"), 8, 1, 0, 0, 0)


@clause("poll.nofile-einval", "poll(2)", "ERRORS", errno=EINVAL)
def test_more_elements_than_rlimit_nofile_fail(fork):
    """poll() accepts RLIMIT_NOFILE elements, and fails with EINVAL for one more."""

    def child() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        assert poll(dict.fromkeys(range(-64, 0), POLLIN), 0) == {}
        with fails_with(EINVAL):
            poll(dict.fromkeys(range(-65, 0), POLLIN), 0)

    fork(child).result()


@clause("ppoll.mask", "poll(2)", "ppoll()", since="2.6.16")
def test_ppoll_sets_the_mask_while_waiting(pipe, fork):
    """ppoll() replaces the signal mask while it waits, and restores it before it returns."""
    data = pipe()

    def child() -> None:
        caught = []
        signal.signal(SIGUSR1, lambda *_: caught.append(1))
        signal.pthread_sigmask(signal.SIG_BLOCK, {SIGUSR1})
        kill(os.getpid(), SIGUSR1)
        with fails_with(EINTR):
            ppoll({data.read_fd: POLLIN}, None, set())
        assert caught == [1]
        kill(os.getpid(), SIGUSR1)
        assert caught == [1]
        assert sigpending() == {SIGUSR1}

    fork(child).result()


@clause("ppoll.null-mask", "poll(2)", "ppoll()", since="2.6.16")
def test_ppoll_without_mask_or_timeout(pipe, fork):
    """ppoll() with a NULL mask does not change the signal mask, and with a NULL timeout blocks until an event."""
    data = pipe()

    def in_child() -> dict[int, int]:
        signal.pthread_sigmask(signal.SIG_BLOCK, {SIGUSR1})
        kill(os.getpid(), SIGUSR1)
        found = ppoll({data.read_fd: POLLIN}, None, None)
        assert sigpending() == {SIGUSR1}
        return found

    child = fork(in_child)
    child.wait_blocked("poll")
    data.write(b"!")
    assert child.result() == {data.read_fd: POLLIN}


@clause("ppoll.timeout", "poll(2)", "ppoll()", since="2.6.16")
def test_ppoll_timeout_in_nanoseconds(pipe):
    """ppoll() waits for a timeout in nanoseconds, and returns at once for a timeout of 0."""
    data = pipe()
    assert ppoll({data.read_fd: POLLIN}, Timespec(), None) == {}
    start = time.monotonic_ns()
    assert ppoll({data.read_fd: POLLIN}, Timespec(0, 1_500_000), None) == {}
    assert time.monotonic_ns() - start >= 1_500_000


@clause("ppoll.invalid-time-einval", "poll(2)", "ERRORS", errno=EINVAL, since="2.6.16")
@pytest.mark.parametrize("timeout", [Timespec(-1), Timespec(0, -1)], ids=["seconds", "nanoseconds"])
def test_ppoll_with_negative_timeout_fails(pipe, timeout):
    """ppoll() fails with EINVAL for a negative timeout."""
    with fails_with(EINVAL):
        ppoll({pipe().read_fd: POLLIN}, timeout, None)


@clause("select.sets", "select(2)", "File descriptor sets")
def test_select_returns_ready_descriptors(pipe, sockets):
    """select() keeps the ready descriptors in each set, and returns their total number."""
    data, left_right = pipe(), sockets.pair()
    left, right = left_right
    right.send(b"!")
    reading = {data.read_fd, left.fd, right.fd}
    assert select(reading, 0) == {left.fd}
    assert last_success() == ("select", 1)
    ready = standard.select(sorted(reading), [data.write_fd, left.fd], [left.fd], 0)
    assert ready == ([left.fd], [data.write_fd, left.fd], [])


@clause("select.end-of-file-is-ready", "select(2)", "Arguments")
def test_select_reports_end_of_file_as_readable(pipe):
    """select() reports a descriptor at end of file as readable."""
    data = pipe()
    assert select({data.read_fd}, 0) == set()
    data.close_write()
    assert select({data.read_fd}, 0) == {data.read_fd}
    assert data.read() == b""


@clause("select.ebadf", "select(2)", "ERRORS", errno=EBADF)
def test_select_with_closed_descriptor_fails(pipe):
    """select() fails with EBADF for a set with a descriptor that is not open."""
    ends = pipe()
    closed = ends.write_fd
    ends.close_write()
    with fails_with(EBADF):
        select({ends.read_fd, closed}, 0)


@clause("select.eintr", "select(2)", "ERRORS", errno=EINTR)
def test_handler_interrupts_select(pipe, fork):
    """select() fails with EINTR when a signal handler runs."""
    data = pipe()

    def in_child() -> None:
        signal.signal(SIGUSR1, lambda *_: None)
        with fails_with(EINTR):
            select({data.read_fd}, -1)

    child = fork(in_child)
    child.wait_blocked("select")
    child.signal(SIGUSR1)
    child.result()


@clause("select.error-is-ready", "select(2)", "Correspondence between select() and poll() notifications")
def test_select_reports_an_error_as_ready(pipe):
    """select() reports POLLERR of poll() as readable and writable, and not as an exceptional condition."""
    ends = pipe()
    ends.close_read()
    assert poll({ends.write_fd: 0}, 0) == {ends.write_fd: POLLERR}
    fd = [ends.write_fd]
    assert standard.select(fd, fd, fd, 0) == (fd, fd, [])
