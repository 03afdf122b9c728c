"""epoll_wait(2), epoll_pwait(2): waiting for events, for how long and under which signal mask."""

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
def test_it_waits_for_an_event(epoll, pipe, fork):
    """With a timeout of -1 epoll_wait() blocks until a descriptor delivers an event."""
    data = pipe()
    epoll.add(data.read_fd, EPOLLIN)
    child = fork(epoll_wait, epoll.fd, 4, -1)
    child.wait_blocked("epoll_wait")
    data.write(b"!")
    assert numbers(child.result()) == [data.read_fd]


@clause("epoll_wait.zero-returns-at-once", "epoll_wait(2)", "DESCRIPTION")
def test_it_does_not_wait_with_a_timeout_of_zero(epoll, pipe):
    """With a timeout of zero epoll_wait() returns at once, with no events where there are none."""
    data = pipe()
    epoll.add(data.read_fd, EPOLLIN)
    assert epoll_wait(epoll.fd, 4, 0) == []
    data.write(b"!")
    assert numbers(epoll_wait(epoll.fd, 4, 0)) == [data.read_fd]


@clause("epoll_wait.timeout", "epoll_wait(2)", "RETURN VALUE")
def test_it_waits_up_to_the_timeout(epoll, pipe):
    """When the timeout is over and no descriptor has become ready epoll_wait() returns zero, and not before."""
    epoll.add(pipe().read_fd, EPOLLIN)
    start = time.monotonic_ns()
    assert epoll_wait(epoll.fd, 4, 20) == []
    assert time.monotonic_ns() - start >= 20_000_000


@clause("epoll_wait.at-most", "epoll_wait(2)", "DESCRIPTION")
def test_it_gives_at_most_so_many(epoll, pipe):
    """epoll_wait() gives up to n events, and returns how many."""
    ends = [pipe() for _ in range(3)]
    for one in ends:
        epoll.add(one.write_fd, EPOLLOUT)
    assert [len(epoll_wait(epoll.fd, most, 0)) for most in (1, 2, 3, 4)] == [1, 2, 3, 3]


@clause("epoll_wait.round-robin", "epoll_wait(2)", "NOTES")
def test_it_goes_round(epoll, pipe):
    """If more descriptors are ready than there is room for, successive calls go round all of them."""
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
def test_there_must_be_room(epoll, most):
    """epoll_wait() refuses an n that is not positive."""
    with fails_with(EINVAL):
        epoll_wait(epoll.fd, most, 0)


@clause("epoll_wait.not-epoll-einval", "epoll_wait(2)", "ERRORS", errno=EINVAL)
def test_it_waits_on_an_instance(pipe):
    """epoll_wait() refuses a descriptor that is no epoll instance."""
    with fails_with(EINVAL):
        epoll_wait(pipe().read_fd, 4, 0)


@clause("epoll_wait.efault", "epoll_wait(2)", "ERRORS", errno=EFAULT)
def test_the_room_must_be_writable(epoll, pipe):
    """epoll_wait() fails when the events cannot be written where they are to go, and they are not lost."""
    epoll.add(pipe().write_fd, EPOLLOUT)
    with fails_with(EFAULT):
        syscall(number_of("epoll_pwait"), epoll.fd, 8, 4, 0, 0, 8)
    assert len(epoll.ready()) == 1


@clause("epoll_wait.eintr", "epoll_wait(2)", "ERRORS", errno=EINTR)
def test_a_handler_ends_the_wait(epoll, fork):
    """epoll_wait() fails with EINTR when a signal handler has run."""

    def life() -> None:
        signal.signal(SIGUSR1, lambda *_: None)
        with fails_with(EINTR):
            epoll_wait(epoll.fd, 4, -1)

    child = fork(life)
    child.wait_blocked("epoll_wait")
    child.signal(SIGUSR1)
    child.result()


@clause("epoll_wait.added-meanwhile", "epoll_wait(2)", "NOTES")
@pytest.mark.parametrize("before", ["empty", "another"])
def test_what_is_added_meanwhile_counts(epoll, pipe, fork, before):
    """A descriptor that is added while another process waits, even on an empty interest list, ends the wait if it is ready."""
    data, other = pipe(), pipe()
    if before == "another":
        epoll.add(other.read_fd, EPOLLIN)
    child = fork(epoll_wait, epoll.fd, 4, -1)
    child.wait_blocked("epoll_wait")
    epoll_ctl(epoll.fd, EPOLL_CTL_ADD, data.write_fd, EPOLLOUT)
    assert numbers(child.result()) == [data.write_fd]


@clause("epoll_pwait.mask", "epoll_wait(2)", "epoll_pwait()", since="2.6.19")
def test_it_waits_under_another_mask(epoll, fork):
    """While epoll_pwait() waits the signal mask is the one that it was given, and afterwards the one from before."""
    fork(waits_under_a_mask, partial(epoll_pwait, epoll.fd, 4, -1)).result()


@clause("epoll_pwait2.mask", "epoll_wait(2)", "epoll_pwait2()", since="5.11")
def test_pwait2_waits_under_another_mask(epoll, fork):
    """epoll_pwait2() has a signal mask while it waits as epoll_pwait() has."""
    fork(waits_under_a_mask, partial(epoll_pwait2, epoll.fd, 4, None)).result()


def waits_under_a_mask(wait: Callable[[set[int]], object]) -> None:
    """A signal that is blocked and pending is handled once the call waits under an empty mask; then it is blocked again."""
    came = []
    signal.signal(SIGUSR1, lambda *_: came.append(1))
    signal.pthread_sigmask(signal.SIG_BLOCK, {SIGUSR1})
    kill(os.getpid(), SIGUSR1)
    with fails_with(EINTR):
        wait(set())
    assert came == [1]
    kill(os.getpid(), SIGUSR1)
    assert came == [1]
    assert sigpending() == {SIGUSR1}


@clause("epoll_pwait.null-mask", "epoll_wait(2)", "epoll_pwait()", since="2.6.19")
def test_without_a_mask_it_is_epoll_wait(epoll, pipe, fork):
    """Without a mask epoll_pwait() is epoll_wait(): a blocked signal stays pending."""
    data = pipe()
    epoll.add(data.read_fd, EPOLLIN)

    def life() -> list[int]:
        signal.pthread_sigmask(signal.SIG_BLOCK, {SIGUSR1})
        kill(os.getpid(), SIGUSR1)
        found = numbers(epoll_pwait(epoll.fd, 4, -1, None))
        assert sigpending() == {SIGUSR1}
        return found

    child = fork(life)
    child.wait_blocked("epoll_wait")
    data.write(b"!")
    assert child.result() == [data.read_fd]


@clause("epoll_pwait2.timeout", "epoll_wait(2)", "epoll_pwait2()", since="5.11")
def test_pwait2_takes_nanoseconds(epoll, pipe):
    """epoll_pwait2() waits up to a time in nanoseconds, not at all for a time of zero."""
    epoll.add(pipe().read_fd, EPOLLIN)
    assert epoll_pwait2(epoll.fd, 4, Timespec(), None) == []
    start = time.monotonic_ns()
    assert epoll_pwait2(epoll.fd, 4, Timespec(0, 1_500_000), None) == []
    assert time.monotonic_ns() - start >= 1_500_000


@clause("epoll_pwait2.null-blocks", "epoll_wait(2)", "epoll_pwait2()", since="5.11")
def test_pwait2_without_a_time_waits(epoll, pipe, fork):
    """epoll_pwait2() without a time blocks until there is an event."""
    data = pipe()
    epoll.add(data.read_fd, EPOLLIN)
    child = fork(epoll_pwait2, epoll.fd, 4, None, None)
    child.wait_blocked()
    data.write(b"!")
    assert numbers(child.result()) == [data.read_fd]
