"""epoll_ctl(2): adding, changing and removing entries of the interest list."""

from __future__ import annotations

import os
from errno import EBADF, EEXIST, EFAULT, EINVAL, ELOOP, ENOENT, EPERM
from itertools import pairwise
from select import EPOLLET, EPOLLEXCLUSIVE, EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLPRI, EPOLLRDHUP

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EpollEvent, epoll_ctl

from .conftest import numbers

DATA = 0x1234_5678_9ABC_DEF0


@clause("epoll_ctl.add-data", "epoll_ctl(2)", "DESCRIPTION")
def test_data_are_returned_with_events(epoll, pipe):
    """epoll_wait() returns with each event the 64 bits of data given to epoll_ctl() for the descriptor."""
    ready = pipe()
    epoll.add(ready.read_fd, EPOLLIN, DATA)
    ready.write(b"!")
    assert epoll.ready() == [EpollEvent(EPOLLIN, DATA)]


@clause("epoll_ctl.mod", "epoll_ctl(2)", "DESCRIPTION")
def test_mod_replaces_events_and_data(epoll, pipe):
    """epoll_ctl() with EPOLL_CTL_MOD replaces the events and the data of a descriptor."""
    ends = pipe()
    epoll.add(ends.write_fd, EPOLLIN, 1)
    assert epoll.ready() == []
    epoll.modify(ends.write_fd, EPOLLOUT, DATA)
    assert epoll.ready() == [EpollEvent(EPOLLOUT, DATA)]
    epoll.modify(ends.write_fd, 0, 1)
    assert epoll.ready() == []


@clause("epoll_ctl.del", "epoll_ctl(2)", "DESCRIPTION")
def test_del_removes_a_descriptor(epoll, pipe):
    """epoll_ctl() with EPOLL_CTL_DEL and event NULL removes a descriptor, which can be added again."""
    ends = pipe()
    epoll.add(ends.write_fd, EPOLLOUT)
    assert epoll.ready()
    epoll.remove(ends.write_fd)
    assert epoll.ready() == []
    epoll.add(ends.write_fd, EPOLLOUT)
    assert epoll.ready()


@clause("epoll_ctl.eexist", "epoll_ctl(2)", "ERRORS", errno=EEXIST)
def test_second_add_fails(epoll, pipe):
    """epoll_ctl() with EPOLL_CTL_ADD fails with EEXIST for a registered descriptor, and keeps its settings."""
    ends = pipe()
    epoll.add(ends.write_fd, EPOLLOUT, 1)
    with fails_with(EEXIST):
        epoll.add(ends.write_fd, EPOLLIN, 2)
    assert epoll.ready() == [EpollEvent(EPOLLOUT, 1)]


@clause("epoll_ctl.enoent", "epoll_ctl(2)", "ERRORS", errno=ENOENT)
@pytest.mark.parametrize("op", [EPOLL_CTL_MOD, EPOLL_CTL_DEL], ids=["MOD", "DEL"])
def test_mod_and_del_need_a_registered_descriptor(epoll, pipe, op):
    """epoll_ctl() with EPOLL_CTL_MOD or EPOLL_CTL_DEL fails with ENOENT for a descriptor that is not registered."""
    ends = pipe()
    epoll.add(ends.read_fd, EPOLLIN)
    with fails_with(ENOENT):
        epoll_ctl(epoll.fd, op, ends.write_fd, EPOLLOUT)


@clause("epoll_ctl.ebadf", "epoll_ctl(2)", "ERRORS", errno=EBADF)
@pytest.mark.parametrize("op", [EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL], ids=["ADD", "MOD", "DEL"])
def test_closed_descriptor_fails(epoll, pipe, op):
    """epoll_ctl() fails with EBADF if the instance or the descriptor is not open."""
    ends = pipe()
    with fails_with(EBADF):
        epoll_ctl(epoll.fd, op, -1, EPOLLIN)
    with fails_with(EBADF):
        epoll_ctl(-1, op, ends.read_fd, EPOLLIN)


@clause("epoll_ctl.not-epoll-einval", "epoll_ctl(2)", "ERRORS", errno=EINVAL)
def test_descriptor_of_another_kind_fails(pipe):
    """epoll_ctl() fails with EINVAL if epfd is not an epoll instance."""
    ends = pipe()
    with fails_with(EINVAL):
        epoll_ctl(ends.read_fd, EPOLL_CTL_ADD, ends.write_fd, EPOLLOUT)


@clause("epoll_ctl.itself-einval", "epoll_ctl(2)", "ERRORS", errno=EINVAL)
def test_instance_cannot_be_added_to_itself(epoll):
    """epoll_ctl() with EPOLL_CTL_ADD fails with EINVAL for the instance itself."""
    with fails_with(EINVAL):
        epoll.add(epoll.fd, EPOLLIN)


@clause("epoll_ctl.unknown-operation-einval", "epoll_ctl(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("op", [0, 4, -1])
def test_unknown_operation_fails(epoll, pipe, op):
    """epoll_ctl() fails with EINVAL for an unknown operation."""
    with fails_with(EINVAL):
        epoll_ctl(epoll.fd, op, pipe().read_fd, EPOLLIN)


@clause("epoll_ctl.not-pollable-eperm", "epoll_ctl(2)", "ERRORS", errno=EPERM)
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_file_or_directory_fails(epoll, tmp_path, kind):
    """epoll_ctl() with EPOLL_CTL_ADD fails with EPERM for a regular file and for a directory."""
    (tmp_path / "file").touch()
    fd = os.open(tmp_path / "file" if kind == "file" else tmp_path, os.O_RDONLY)
    try:
        with fails_with(EPERM):
            epoll.add(fd, EPOLLIN)
    finally:
        os.close(fd)


@clause("epoll_ctl.loop-eloop", "epoll_ctl(2)", "ERRORS", errno=ELOOP)
@pytest.mark.parametrize("length", [2, 3])
def test_circle_of_instances_fails(instance, length):
    """epoll_ctl() with EPOLL_CTL_ADD fails with ELOOP if instances would monitor one another in a circle."""
    instances = [instance() for _ in range(length)]
    for one, other in pairwise(instances):
        one.add(other.fd, EPOLLIN)
    with fails_with(ELOOP):
        instances[-1].add(instances[0].fd, EPOLLIN)


@clause("epoll_ctl.depth-eloop", "epoll_ctl(2)", "ERRORS", errno=ELOOP)
def test_nesting_depth_is_limited(instance):
    """epoll_ctl() with EPOLL_CTL_ADD accepts five nested instances, and fails with ELOOP for a sixth."""
    nested = [instance()]
    for _ in range(4):
        outer = instance()
        outer.add(nested[-1].fd, EPOLLIN)
        nested.append(outer)
    with fails_with(ELOOP):
        instance().add(nested[-1].fd, EPOLLIN)


@clause("epoll.duplicate-added", "epoll(7)", "Questions and answers")
def test_a_duplicate_can_be_added(epoll, pipe):
    """A duplicate of a registered descriptor can be added too, with events and data of its own."""
    ends = pipe()
    duplicate = os.dup(ends.write_fd)
    try:
        epoll.add(ends.write_fd, EPOLLOUT, 1)
        epoll.add(duplicate, EPOLLOUT, 2)
        assert sorted(numbers(epoll.ready())) == [1, 2]
        epoll.modify(duplicate, EPOLLIN, 2)
        assert numbers(epoll.ready()) == [1]
    finally:
        os.close(duplicate)


@clause("epoll.removed-at-last-close", "epoll(7)", "Questions and answers")
def test_last_close_removes_the_descriptor(epoll, pipe):
    """A descriptor stays in the interest list until all descriptors of its open file description are closed."""
    ends = pipe()
    ends.write(b"!")
    first, second = os.dup(ends.read_fd), os.dup(ends.read_fd)
    ends.close_read()
    epoll.add(first, EPOLLIN, 7)
    os.close(first)
    assert numbers(epoll.ready()) == [7]
    os.close(second)
    assert epoll.ready() == []


@clause("epoll_ctl.exclusive-events-einval", "epoll_ctl(2)", "ERRORS", errno=EINVAL, since="4.5")
@pytest.mark.parametrize("more", [EPOLLONESHOT, EPOLLPRI, EPOLLRDHUP], ids=["ONESHOT", "PRI", "RDHUP"])
def test_exclusive_permits_few_events(epoll, pipe, more):
    """epoll_ctl() with EPOLLEXCLUSIVE fails with EINVAL together with EPOLLONESHOT, EPOLLPRI or EPOLLRDHUP."""
    ends = pipe()
    with fails_with(EINVAL):
        epoll.add(ends.read_fd, EPOLLEXCLUSIVE | EPOLLIN | more)
    epoll.add(ends.read_fd, EPOLLEXCLUSIVE | EPOLLIN | EPOLLOUT | EPOLLET)


@clause("epoll_ctl.exclusive-mod-einval", "epoll_ctl(2)", "ERRORS", errno=EINVAL, since="4.5")
@pytest.mark.parametrize("before", [0, EPOLLEXCLUSIVE], ids=["plain", "exclusive"])
def test_exclusive_cannot_be_modified(epoll, pipe, before):
    """epoll_ctl() with EPOLL_CTL_MOD fails with EINVAL to set EPOLLEXCLUSIVE, and for a descriptor added with it."""
    ends = pipe()
    epoll.add(ends.read_fd, EPOLLIN | before)
    with fails_with(EINVAL):
        epoll.modify(ends.read_fd, EPOLLIN if before else EPOLLIN | EPOLLEXCLUSIVE)


@clause("epoll_ctl.exclusive-instance-einval", "epoll_ctl(2)", "ERRORS", errno=EINVAL, since="4.5")
def test_exclusive_instance_fails(epoll, instance):
    """epoll_ctl() with EPOLLEXCLUSIVE fails with EINVAL for an epoll instance."""
    with fails_with(EINVAL):
        epoll.add(instance().fd, EPOLLIN | EPOLLEXCLUSIVE)


@clause("epoll_ctl.efault", "epoll_ctl(2)", "DESCRIPTION", errno=EFAULT)
@pytest.mark.parametrize("op", [EPOLL_CTL_ADD, EPOLL_CTL_MOD], ids=["ADD", "MOD"])
def test_null_event_fails(epoll, pipe, op):
    """epoll_ctl() with EPOLL_CTL_ADD or EPOLL_CTL_MOD fails with EFAULT if event is NULL."""
    ends = pipe()
    if op == EPOLL_CTL_MOD:
        epoll.add(ends.read_fd, EPOLLIN)
    with fails_with(EFAULT):
        epoll_ctl(epoll.fd, op, ends.read_fd)
