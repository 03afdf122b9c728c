"""epoll_ctl(2): what is in an interest list, and what cannot be."""

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
def test_the_data_are_given_back(epoll, pipe):
    """The data that are given with a descriptor come back with its events, all 64 bits."""
    ready = pipe()
    epoll.add(ready.read_fd, EPOLLIN, DATA)
    ready.write(b"!")
    assert epoll.ready() == [EpollEvent(EPOLLIN, DATA)]


@clause("epoll_ctl.mod", "epoll_ctl(2)", "DESCRIPTION")
def test_settings_are_changed(epoll, pipe):
    """EPOLL_CTL_MOD replaces the events and the data that a descriptor was added with."""
    ends = pipe()
    epoll.add(ends.write_fd, EPOLLIN, 1)
    assert epoll.ready() == []
    epoll.modify(ends.write_fd, EPOLLOUT, DATA)
    assert epoll.ready() == [EpollEvent(EPOLLOUT, DATA)]
    epoll.modify(ends.write_fd, 0, 1)
    assert epoll.ready() == []


@clause("epoll_ctl.del", "epoll_ctl(2)", "DESCRIPTION")
def test_a_descriptor_is_removed(epoll, pipe):
    """EPOLL_CTL_DEL removes a descriptor from the interest list; the event may be NULL. It can be added again."""
    ends = pipe()
    epoll.add(ends.write_fd, EPOLLOUT)
    assert epoll.ready()
    epoll.remove(ends.write_fd)
    assert epoll.ready() == []
    epoll.add(ends.write_fd, EPOLLOUT)
    assert epoll.ready()


@clause("epoll_ctl.eexist", "epoll_ctl(2)", "ERRORS", errno=EEXIST)
def test_a_descriptor_is_added_once(epoll, pipe):
    """A descriptor that is registered already cannot be added again, and its settings stay."""
    ends = pipe()
    epoll.add(ends.write_fd, EPOLLOUT, 1)
    with fails_with(EEXIST):
        epoll.add(ends.write_fd, EPOLLIN, 2)
    assert epoll.ready() == [EpollEvent(EPOLLOUT, 1)]


@clause("epoll_ctl.enoent", "epoll_ctl(2)", "ERRORS", errno=ENOENT)
@pytest.mark.parametrize("op", [EPOLL_CTL_MOD, EPOLL_CTL_DEL], ids=["MOD", "DEL"])
def test_only_what_is_registered_is_changed(epoll, pipe, op):
    """A descriptor that is not registered can be neither modified nor removed."""
    ends = pipe()
    epoll.add(ends.read_fd, EPOLLIN)
    with fails_with(ENOENT):
        epoll_ctl(epoll.fd, op, ends.write_fd, EPOLLOUT)


@clause("epoll_ctl.ebadf", "epoll_ctl(2)", "ERRORS", errno=EBADF)
@pytest.mark.parametrize("op", [EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL], ids=["ADD", "MOD", "DEL"])
def test_what_is_not_open_is_refused(epoll, pipe, op):
    """Neither the instance nor the descriptor may be one that is not open."""
    ends = pipe()
    with fails_with(EBADF):
        epoll_ctl(epoll.fd, op, -1, EPOLLIN)
    with fails_with(EBADF):
        epoll_ctl(-1, op, ends.read_fd, EPOLLIN)


@clause("epoll_ctl.not-epoll-einval", "epoll_ctl(2)", "ERRORS", errno=EINVAL)
def test_what_is_no_instance_is_refused(pipe):
    """A descriptor of something else is no epoll instance."""
    ends = pipe()
    with fails_with(EINVAL):
        epoll_ctl(ends.read_fd, EPOLL_CTL_ADD, ends.write_fd, EPOLLOUT)


@clause("epoll_ctl.itself-einval", "epoll_ctl(2)", "ERRORS", errno=EINVAL)
def test_an_instance_does_not_watch_itself(epoll):
    """An epoll instance cannot be added to itself."""
    with fails_with(EINVAL):
        epoll.add(epoll.fd, EPOLLIN)


@clause("epoll_ctl.unknown-operation-einval", "epoll_ctl(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("op", [0, 4, -1])
def test_an_unknown_operation_is_refused(epoll, pipe, op):
    """An operation that epoll_ctl(2) does not have is refused."""
    with fails_with(EINVAL):
        epoll_ctl(epoll.fd, op, pipe().read_fd, EPOLLIN)


@clause("epoll_ctl.not-pollable-eperm", "epoll_ctl(2)", "ERRORS", errno=EPERM)
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_files_are_not_watched(epoll, tmp_path, kind):
    """Regular files and directories cannot be added."""
    (tmp_path / "file").touch()
    fd = os.open(tmp_path / "file" if kind == "file" else tmp_path, os.O_RDONLY)
    try:
        with fails_with(EPERM):
            epoll.add(fd, EPOLLIN)
    finally:
        os.close(fd)


@clause("epoll_ctl.loop-eloop", "epoll_ctl(2)", "ERRORS", errno=ELOOP)
@pytest.mark.parametrize("length", [2, 3])
def test_instances_do_not_watch_in_a_circle(instance, length):
    """Instances cannot watch one another in a circle."""
    circle = [instance() for _ in range(length)]
    for one, other in pairwise(circle):
        one.add(other.fd, EPOLLIN)
    with fails_with(ELOOP):
        circle[-1].add(circle[0].fd, EPOLLIN)


@clause("epoll_ctl.depth-eloop", "epoll_ctl(2)", "ERRORS", errno=ELOOP)
def test_instances_are_nested_to_a_depth(instance):
    """Of instances that watch one another five are nested, and no sixth."""
    nested = [instance()]
    for _ in range(4):
        outer = instance()
        outer.add(nested[-1].fd, EPOLLIN)
        nested.append(outer)
    with fails_with(ELOOP):
        instance().add(nested[-1].fd, EPOLLIN)


@clause("epoll.duplicate-added", "epoll(7)", "Questions and answers")
def test_a_duplicate_can_be_added(epoll, pipe):
    """A duplicate of a descriptor can be added besides it, with events and data of its own."""
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
def test_the_last_close_removes_it(epoll, pipe):
    """A descriptor is in the interest list until every descriptor of its open file description is closed, and no longer."""
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
def test_exclusive_interest_has_few_events(epoll, pipe, more):
    """EPOLLEXCLUSIVE takes no event or flag but EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLWAKEUP and EPOLLET."""
    ends = pipe()
    with fails_with(EINVAL):
        epoll.add(ends.read_fd, EPOLLEXCLUSIVE | EPOLLIN | more)
    epoll.add(ends.read_fd, EPOLLEXCLUSIVE | EPOLLIN | EPOLLOUT | EPOLLET)


@clause("epoll_ctl.exclusive-mod-einval", "epoll_ctl(2)", "ERRORS", errno=EINVAL, since="4.5")
@pytest.mark.parametrize("before", [0, EPOLLEXCLUSIVE], ids=["plain", "exclusive"])
def test_exclusive_interest_is_not_modified(epoll, pipe, before):
    """EPOLLEXCLUSIVE is for EPOLL_CTL_ADD: it cannot be set by EPOLL_CTL_MOD, and what has it cannot be modified."""
    ends = pipe()
    epoll.add(ends.read_fd, EPOLLIN | before)
    with fails_with(EINVAL):
        epoll.modify(ends.read_fd, EPOLLIN if before else EPOLLIN | EPOLLEXCLUSIVE)


@clause("epoll_ctl.exclusive-instance-einval", "epoll_ctl(2)", "ERRORS", errno=EINVAL, since="4.5")
def test_an_instance_is_not_watched_exclusively(epoll, instance):
    """An epoll instance cannot be added with EPOLLEXCLUSIVE."""
    with fails_with(EINVAL):
        epoll.add(instance().fd, EPOLLIN | EPOLLEXCLUSIVE)


@clause("epoll_ctl.efault", "epoll_ctl(2)", "DESCRIPTION", errno=EFAULT)
@pytest.mark.parametrize("op", [EPOLL_CTL_ADD, EPOLL_CTL_MOD], ids=["ADD", "MOD"])
def test_an_event_must_be_given(epoll, pipe, op):
    """EPOLL_CTL_ADD and EPOLL_CTL_MOD need an event; a null pointer is refused."""
    ends = pipe()
    if op == EPOLL_CTL_MOD:
        epoll.add(ends.read_fd, EPOLLIN)
    with fails_with(EFAULT):
        epoll_ctl(epoll.fd, op, ends.read_fd)
