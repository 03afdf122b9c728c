"""epoll_wait(2), epoll_pwait(2): events, timeouts and signal masks."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from errno import EFAULT, EINTR, EINVAL
from functools import partial
from select import EPOLLIN, EPOLLOUT
from signal import SIGUSR1

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import (
    EPOLL_CTL_ADD,
    Timespec,
    epoll_ctl,
    epoll_pwait,
    epoll_pwait2,
    epoll_wait,
    kill,
    number_of,
    sigpending,
)
from pytest_ipc.kernel.libc import syscall

from .conftest import numbers


@clause("epoll_wait.blocks-until-event", "epoll_wait(2)", "DESCRIPTION")
def test_timeout_minus_1_blocks_until_an_event(epoll, pipe, fork):
    """epoll_wait() with a timeout of -1 blocks until a descriptor has an event."""
    data = pipe()
    epoll.add(data.read_fd, EPOLLIN)
    child = fork(epoll_wait, epoll.fd, 4, -1)
    child.wait_blocked("epoll_wait")
    data.write(b"!")
    assert numbers(child.result()) == [data.read_fd]


@clause("epoll_wait.zero-returns-at-once", "epoll_wait(2)", "DESCRIPTION")
def test_timeout_0_returns_at_once(epoll, pipe):
    """epoll_wait() with a timeout of 0 returns at once, with the present events."""
    data = pipe()
    epoll.add(data.read_fd, EPOLLIN)
    assert epoll_wait(epoll.fd, 4, 0) == []
    data.write(b"!")
    assert numbers(epoll_wait(epoll.fd, 4, 0)) == [data.read_fd]


@clause("epoll_wait.timeout", "epoll_wait(2)", "RETURN VALUE")
def test_returns_0_at_the_timeout(epoll, pipe):
    """epoll_wait() returns 0 when the timeout expires, not earlier, if no descriptor is ready."""
    epoll.add(pipe().read_fd, EPOLLIN)
    start = time.monotonic_ns()
    assert epoll_wait(epoll.fd, 4, 20) == []
    assert time.monotonic_ns() - start >= 20_000_000


@clause("epoll_wait.at-most", "epoll_wait(2)", "DESCRIPTION")
def test_returns_at_most_n_events(epoll, pipe):
    """epoll_wait() returns at most n events, and their number."""
    ends = [pipe() for _ in range(3)]
    for one in ends:
        epoll.add(one.write_fd, EPOLLOUT)
    assert [len(epoll_wait(epoll.fd, most, 0)) for most in (1, 2, 3, 4)] == [1, 2, 3, 3]


@clause("epoll_wait.round-robin", "epoll_wait(2)", "NOTES")
def test_successive_calls_are_round_robin(epoll, pipe):
    """Successive calls of epoll_wait() with n below the number of ready descriptors return all of them in turn."""
    ends = [pipe() for _ in range(5)]
    for one in ends:
        epoll.add(one.write_fd, EPOLLOUT)
    every = sorted(one.write_fd for one in ends)
    for most in (1, 2):
        found: list[int] = []
        while len(found) < 10:
            found += numbers(epoll_wait(epoll.fd, most, 0))
        assert sorted(found[:5]) == sorted(found[5:10]) == every


@clause("epoll_wait.n-einval", "epoll_wait(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("most", [0, -1])
def test_nonpositive_n_fails(epoll, most):
    """epoll_wait() fails with EINVAL for an n of 0 or less."""
    with fails_with(EINVAL):
        epoll_wait(epoll.fd, most, 0)


@clause("epoll_wait.not-epoll-einval", "epoll_wait(2)", "ERRORS", errno=EINVAL)
def test_descriptor_of_another_kind_fails(pipe):
    """epoll_wait() fails with EINVAL if epfd is not an epoll instance."""
    with fails_with(EINVAL):
        epoll_wait(pipe().read_fd, 4, 0)


@clause("epoll_wait.efault", "epoll_wait(2)", "ERRORS", errno=EFAULT)
def test_unwritable_buffer_fails(epoll, pipe):
    """epoll_wait() fails with EFAULT for a buffer that is not writable, and loses no events."""
    epoll.add(pipe().write_fd, EPOLLOUT)
    with fails_with(EFAULT):
        syscall(number_of("epoll_pwait"), epoll.fd, 8, 4, 0, 0, 8)
    assert len(epoll.ready()) == 1


@clause("epoll_wait.eintr", "epoll_wait(2)", "ERRORS", errno=EINTR)
def test_handler_interrupts_epoll_wait(epoll, fork):
    """epoll_wait() fails with EINTR when a signal handler runs."""

    def in_child() -> None:
        signal.signal(SIGUSR1, lambda *_: None)
        with fails_with(EINTR):
            epoll_wait(epoll.fd, 4, -1)

    child = fork(in_child)
    child.wait_blocked("epoll_wait")
    child.signal(SIGUSR1)
    child.result()


@clause("epoll_wait.added-meanwhile", "epoll_wait(2)", "NOTES")
@pytest.mark.parametrize("before", ["empty", "another"])
def test_descriptor_added_meanwhile_is_reported(epoll, pipe, fork, before):
    """epoll_wait() returns a ready descriptor that is added while it blocks, even on an empty interest list."""
    data, other = pipe(), pipe()
    if before == "another":
        epoll.add(other.read_fd, EPOLLIN)
    child = fork(epoll_wait, epoll.fd, 4, -1)
    child.wait_blocked("epoll_wait")
    epoll_ctl(epoll.fd, EPOLL_CTL_ADD, data.write_fd, EPOLLOUT)
    assert numbers(child.result()) == [data.write_fd]


@clause("epoll_pwait.mask", "epoll_wait(2)", "epoll_pwait()", since="2.6.19")
def test_pwait_sets_the_mask_while_waiting(epoll, fork):
    """epoll_pwait() replaces the signal mask while it waits, and restores it before it returns."""
    fork(waits_under_a_mask, partial(epoll_pwait, epoll.fd, 4, -1)).result()


@clause("epoll_pwait2.mask", "epoll_wait(2)", "epoll_pwait2()", since="5.11")
def test_pwait2_sets_the_mask_while_waiting(epoll, fork):
    """epoll_pwait2() replaces the signal mask while it waits, and restores it before it returns."""
    fork(waits_under_a_mask, partial(epoll_pwait2, epoll.fd, 4, None)).result()


def waits_under_a_mask(wait: Callable[[set[int]], object]) -> None:
    """Check that a blocked pending signal is handled during the call
    with an empty mask, and is blocked again afterwards.
    """
    caught = []
    signal.signal(SIGUSR1, lambda *_: caught.append(1))
    signal.pthread_sigmask(signal.SIG_BLOCK, {SIGUSR1})
    kill(os.getpid(), SIGUSR1)
    with fails_with(EINTR):
        wait(set())
    assert caught == [1]
    kill(os.getpid(), SIGUSR1)
    assert caught == [1]
    assert sigpending() == {SIGUSR1}


@clause("epoll_pwait.null-mask", "epoll_wait(2)", "epoll_pwait()", since="2.6.19")
def test_null_mask_changes_nothing(epoll, pipe, fork):
    """epoll_pwait() with a NULL mask does not change the signal mask: a blocked signal stays pending."""
    data = pipe()
    epoll.add(data.read_fd, EPOLLIN)

    def in_child() -> list[int]:
        signal.pthread_sigmask(signal.SIG_BLOCK, {SIGUSR1})
        kill(os.getpid(), SIGUSR1)
        found = numbers(epoll_pwait(epoll.fd, 4, -1, None))
        assert sigpending() == {SIGUSR1}
        return found

    child = fork(in_child)
    child.wait_blocked("epoll_wait")
    data.write(b"!")
    assert child.result() == [data.read_fd]


@clause("epoll_pwait2.timeout", "epoll_wait(2)", "epoll_pwait2()", since="5.11")
def test_pwait2_timeout_in_nanoseconds(epoll, pipe):
    """epoll_pwait2() waits for a timeout in nanoseconds, and returns at once for a timeout of 0."""
    epoll.add(pipe().read_fd, EPOLLIN)
    assert epoll_pwait2(epoll.fd, 4, Timespec(), None) == []
    start = time.monotonic_ns()
    assert epoll_pwait2(epoll.fd, 4, Timespec(0, 1_500_000), None) == []
    assert time.monotonic_ns() - start >= 1_500_000


@clause("epoll_pwait2.null-blocks", "epoll_wait(2)", "epoll_pwait2()", since="5.11")
def test_pwait2_without_timeout_blocks(epoll, pipe, fork):
    """epoll_pwait2() with a NULL timeout blocks until an event."""
    data = pipe()
    epoll.add(data.read_fd, EPOLLIN)
    child = fork(epoll_pwait2, epoll.fd, 4, None, None)
    child.wait_blocked()
    data.write(b"!")
    assert numbers(child.result()) == [data.read_fd]
