"""epoll_create(2): creating epoll instances."""

from __future__ import annotations

import os
from errno import EBADF, EINVAL, EMFILE
from select import EPOLL_CLOEXEC, EPOLLIN

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import epoll_create, epoll_create1, epoll_ctl, epoll_wait, open_descriptors

from .conftest import open_all


@clause("epoll_create.size-ignored", "epoll_create(2)", "DESCRIPTION", since="2.6.8")
def test_the_size_is_ignored(pipe):
    """epoll_create() ignores the size if it is positive: more descriptors than that can be added."""
    data = pipe()
    data.write(b"!")
    epfd = epoll_create(1)
    copies = [os.dup(data.read_fd) for _ in range(3)]
    try:
        for fd in copies:
            epoll_ctl(epfd, 1, fd, EPOLLIN)
        assert len(epoll_wait(epfd, 8, 0)) == 3
    finally:
        for fd in (epfd, *copies):
            os.close(fd)


@clause("epoll_create.size-einval", "epoll_create(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("size", [0, -1])
def test_nonpositive_size_fails(size):
    """epoll_create() fails with EINVAL for a size of 0 or less, and opens no descriptor."""
    before = open_descriptors()
    with fails_with(EINVAL):
        epoll_create(size)
    assert open_descriptors() == before


@clause("epoll_create1.cloexec", "epoll_create(2)", "epoll_create1()", since="2.6.27")
def test_cloexec_sets_close_on_exec():
    """epoll_create1() sets the close-on-exec flag with EPOLL_CLOEXEC, and not without."""
    for flags, inheritable in ((0, True), (EPOLL_CLOEXEC, False)):
        epfd = epoll_create1(flags)
        found = os.get_inheritable(epfd)
        os.close(epfd)
        assert found == inheritable


@clause("epoll_create1.unknown-flag-einval", "epoll_create(2)", "ERRORS", errno=EINVAL, since="2.6.27")
@pytest.mark.parametrize("flags", [1, EPOLL_CLOEXEC | 2, -1], ids=hex)
def test_unknown_flag_fails(flags):
    """epoll_create1() fails with EINVAL for flags other than EPOLL_CLOEXEC, and opens no descriptor."""
    before = open_descriptors()
    with fails_with(EINVAL):
        epoll_create1(flags)
    assert open_descriptors() == before


@clause("epoll_create1.emfile", "epoll_create(2)", "ERRORS", errno=EMFILE)
def test_needs_a_free_descriptor(fork):
    """epoll_create() and epoll_create1() fail with EMFILE at the limit of open descriptors."""

    def child() -> None:
        open_all()
        with fails_with(EMFILE):
            epoll_create1()
        with fails_with(EMFILE):
            epoll_create(1)

    fork(child).result()


@clause("epoll_create.closed-ebadf", "epoll_wait(2)", "ERRORS", errno=EBADF)
def test_closed_instance_fails():
    """epoll_wait() and epoll_ctl() fail with EBADF for a closed instance."""
    epfd = epoll_create1()
    os.close(epfd)
    with fails_with(EBADF):
        epoll_wait(epfd, 1, 0)
    with fails_with(EBADF):
        epoll_ctl(epfd, 1, 0, EPOLLIN)
