"""epoll(7): level-triggered, edge-triggered, one-shot and exclusive interest."""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import EAGAIN
from select import EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLRDHUP
from socket import SHUT_WR
from typing import Any

import pytest

from pytest_ipc import Child, clause, fails_with
from pytest_ipc.kernel import Deadline, EpollEvent, epoll_wait, read

from ..signal.plain_child import SOON
from .conftest import Instance, numbers


@clause("epoll.level-triggered", "epoll(7)", "Level-triggered and edge-triggered")
def test_an_event_is_told_as_long_as_it_lasts(epoll, pipe):
    """Without EPOLLET a descriptor is reported each time as long as it is ready, and no longer."""
    data = pipe()
    epoll.add(data.read_fd, EPOLLIN)
    assert epoll.ready() == []
    data.write(bytes(2000))
    assert numbers(epoll.ready()) == numbers(epoll.ready()) == [data.read_fd]
    data.read(1000)
    assert numbers(epoll.ready()) == [data.read_fd]
    data.read(1000)
    assert epoll.ready() == []


@clause("epoll.edge-triggered", "epoll(7)", "Level-triggered and edge-triggered")
def test_an_edge_is_told_once(epoll, pipe):
    """With EPOLLET a descriptor is reported once when data have come, also if some of them are left, and again when more come."""
    data = pipe()
    epoll.add(data.read_fd, EPOLLIN | EPOLLET)
    data.write(bytes(2000))
    assert numbers(epoll.ready()) == [data.read_fd]
    data.read(1000)
    assert epoll.ready() == []
    data.write(bytes(10))
    assert numbers(epoll.ready()) == [data.read_fd]
    assert epoll.ready() == []


@clause("epoll.edge-at-once", "epoll(7)", "Level-triggered and edge-triggered")
@pytest.mark.parametrize("how", ["add", "modify"])
def test_what_is_ready_when_it_is_added_is_told(epoll, pipe, how):
    """A descriptor that is ready when it is added with EPOLLET, or modified, is reported: what is there is read anew."""
    data = pipe()
    if how == "modify":
        epoll.add(data.read_fd, EPOLLIN | EPOLLET)
    data.write(b"!")
    if how == "modify":
        assert epoll.ready()
        epoll.modify(data.read_fd, EPOLLIN | EPOLLET)
    else:
        epoll.add(data.read_fd, EPOLLIN | EPOLLET)
    assert numbers(epoll.ready()) == [data.read_fd]


@clause("epoll.edge-after-eagain", "epoll(7)", "Level-triggered and edge-triggered")
def test_an_edge_comes_after_all_was_read(epoll, pipe):
    """With EPOLLET a reader that reads until EAGAIN and waits misses nothing."""
    data = pipe()
    os.set_blocking(data.read_fd, False)
    epoll.add(data.read_fd, EPOLLIN | EPOLLET)
    for amount in (1, 5000, 3):
        data.write(bytes(amount))
        assert numbers(epoll.ready()) == [data.read_fd]
        taken = 0
        while taken < amount:
            taken += len(read(data.read_fd, 1000))
        with fails_with(EAGAIN):
            read(data.read_fd, 1000)
        assert epoll.ready() == []


@clause("epoll.oneshot", "epoll_ctl(2)", "EPOLLONESHOT", since="2.6.2")
def test_a_single_event_is_told(epoll, pipe):
    """With EPOLLONESHOT a descriptor is reported once and then disabled, whatever comes, until EPOLL_CTL_MOD rearms it."""
    data = pipe()
    epoll.add(data.read_fd, EPOLLIN | EPOLLONESHOT)
    data.write(b"!")
    assert numbers(epoll.ready()) == [data.read_fd]
    data.write(b"!")
    data.close_write()
    assert epoll.ready() == []
    epoll.modify(data.read_fd, EPOLLIN | EPOLLONESHOT)
    assert numbers(epoll.ready()) == [data.read_fd]
    assert epoll.ready() == []


@clause("epoll.err-unasked", "epoll_ctl(2)", "EPOLLERR")
def test_an_error_is_told_unasked(epoll, pipe):
    """EPOLLERR is reported of a pipe's write end whose read end is closed, though it was not asked for."""
    ends = pipe()
    epoll.add(ends.write_fd, 0)
    assert epoll.ready() == []
    ends.close_read()
    assert [event.events & (EPOLLERR | EPOLLOUT) for event in epoll.ready()] == [EPOLLERR]


@clause("epoll.hup-unasked", "epoll_ctl(2)", "EPOLLHUP")
def test_a_hang_up_is_told_unasked(epoll, pipe):
    """EPOLLHUP is reported of a pipe's read end whose write end is closed, though it was not asked for; data can still be read."""
    ends = pipe()
    ends.write(b"!")
    epoll.add(ends.read_fd, 0)
    assert epoll.ready() == []
    ends.close_write()
    assert epoll.ready() == [EpollEvent(EPOLLHUP, ends.read_fd)]
    assert [ends.read(), ends.read()] == [b"!", b""]


@clause("epoll.rdhup", "epoll_ctl(2)", "EPOLLRDHUP", since="2.6.17")
@pytest.mark.parametrize("how", ["shutdown", "close"])
def test_the_peers_end_is_told(epoll, sockets, how):
    """EPOLLRDHUP is reported of a stream socket when the peer has closed it, or has shut down its writing half."""
    left, right = sockets.pair()
    epoll.add(left.fd, EPOLLRDHUP)
    assert epoll.ready() == []
    if how == "shutdown":
        right.socket.shutdown(SHUT_WR)
    else:
        right.close()
    assert [event.events & EPOLLRDHUP for event in epoll.ready()] == [EPOLLRDHUP]


@clause("epoll.combined", "epoll(7)", "Questions and answers")
def test_events_are_combined(epoll, sockets):
    """Several events of one descriptor between two calls are reported as one."""
    left, right = sockets.pair()
    epoll.add(left.fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
    assert epoll.ready() == [EpollEvent(EPOLLOUT, left.fd)]
    for _ in range(3):
        right.send(b"!")
    right.socket.shutdown(SHUT_WR)
    assert epoll.ready() == [EpollEvent(EPOLLIN | EPOLLOUT | EPOLLRDHUP, left.fd)]
    assert epoll.ready() == []


@clause("epoll.two-instances", "epoll(7)", "Questions and answers")
def test_two_instances_are_both_told(instance, pipe):
    """Two instances may watch one descriptor, and both report it."""
    data = pipe()
    both = instance(), instance()
    for one in both:
        one.add(data.read_fd, EPOLLIN | EPOLLET)
    data.write(b"!")
    assert [numbers(one.ready()) for one in both] == [[data.read_fd]] * 2


@clause("epoll.instance-is-pollable", "epoll(7)", "Questions and answers")
def test_an_instance_is_readable_when_it_has_events(epoll, instance, pipe):
    """An epoll descriptor can be read, says another that watches it, when it has events, and not before or after."""
    data, outer = pipe(), instance()
    epoll.add(data.read_fd, EPOLLIN)
    outer.add(epoll.fd, EPOLLIN)
    assert outer.ready() == []
    data.write(b"!")
    assert outer.ready() == [EpollEvent(EPOLLIN, epoll.fd)]
    data.read(1)
    assert outer.ready() == []


def ended(children: list[Child[Any]]) -> Child[Any]:
    """The first of some children that has ended, waiting for that."""
    assert Deadline(SOON).until(lambda: not all(child.alive for child in children))
    return next(child for child in children if not child.alive)


def waiting(instance: Instance) -> Callable[[], list[EpollEvent]]:
    """What a child does that waits for an event of an instance."""
    return lambda: epoll_wait(instance.fd, 4, -1)


@clause("epoll.edge-wakes-one", "epoll(7)", "Level-triggered and edge-triggered")
def test_an_edge_wakes_one_process(epoll, pipe, fork):
    """Of several processes that wait on one instance only one is awoken when an edge-triggered descriptor becomes ready."""
    data = pipe()
    epoll.add(data.read_fd, EPOLLIN | EPOLLET)
    children = [fork(waiting(epoll)) for _ in range(3)]
    for child in children:
        child.wait_blocked("epoll_wait")
    data.write(b"!")
    first = ended(children)
    assert numbers(first.result()) == [data.read_fd]
    children.remove(first)
    for child in children:
        child.wait_blocked("epoll_wait")
    data.write(b"!")
    second = ended(children)
    assert numbers(second.result()) == [data.read_fd]


@clause("epoll.plain-wakes-all", "epoll_ctl(2)", "EPOLLEXCLUSIVE")
def test_every_instance_is_told_by_default(instance, pipe, fork):
    """Without EPOLLEXCLUSIVE every instance that watches a descriptor gets the event, and so who waits on it."""
    data = pipe()
    instances = [instance() for _ in range(3)]
    children = []
    for one in instances:
        one.add(data.read_fd, EPOLLIN)
        children.append(fork(waiting(one)))
    for child in children:
        child.wait_blocked("epoll_wait")
    data.write(b"!")
    assert [numbers(child.result()) for child in children] == [[data.read_fd]] * 3


@clause("epoll.exclusive-wakes-some", "epoll_ctl(2)", "EPOLLEXCLUSIVE", since="4.5")
def test_an_exclusive_interest_is_told_to_at_least_one(instance, pipe, fork):
    """With EPOLLEXCLUSIVE at least one instance gets the event; those that watch without it all do."""
    data = pipe()
    instances = [instance() for _ in range(4)]
    children = []
    for one, flag in zip(instances, (EPOLLEXCLUSIVE, EPOLLEXCLUSIVE, 0, 0), strict=True):
        one.add(data.read_fd, EPOLLIN | flag)
        children.append(fork(waiting(one)))
    for child in children:
        child.wait_blocked("epoll_wait")
    data.write(b"!")
    exclusive, plain = children[:2], children[2:]
    assert [numbers(child.result()) for child in plain] == [[data.read_fd]] * 2
    assert numbers(ended(exclusive).result()) == [data.read_fd]
