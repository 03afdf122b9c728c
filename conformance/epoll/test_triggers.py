"""epoll(7): level-triggered, edge-triggered, one-shot and exclusive notification."""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import EAGAIN
from select import EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLRDHUP
from socket import SHUT_WR
from typing import Any

import pytest

from pytest_ipc import Child, clause, fails_with
from pytest_ipc.kernel import EpollEvent, epoll_wait, read

from ..signal.plain_child import comes_true
from .conftest import Instance, numbers


@clause("epoll.level-triggered", "epoll(7)", "Level-triggered and edge-triggered")
def test_level_triggered_event_is_reported_while_ready(epoll, pipe):
    """epoll_wait() without EPOLLET reports a descriptor at every call while it is ready."""
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
def test_edge_triggered_event_is_reported_once(epoll, pipe):
    """epoll_wait() with EPOLLET reports a descriptor once for new
    data, even if not all are read, and again for more data.
    """
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
def test_edge_is_reported_for_a_ready_descriptor_at_add(epoll, pipe, how):
    """epoll_wait() with EPOLLET reports a descriptor that is ready when it is added or modified."""
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
def test_edge_follows_eagain(epoll, pipe):
    """epoll_wait() with EPOLLET reports new data each time after a reader has read until EAGAIN."""
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
def test_oneshot_event_is_reported_once(epoll, pipe):
    """epoll_wait() with EPOLLONESHOT reports a descriptor once, until EPOLL_CTL_MOD rearms it."""
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
def test_epollerr_is_reported_without_request(epoll, pipe):
    """epoll_wait() reports EPOLLERR of a pipe's write end without readers, even if not requested."""
    ends = pipe()
    epoll.add(ends.write_fd, 0)
    assert epoll.ready() == []
    ends.close_read()
    assert [event.events & (EPOLLERR | EPOLLOUT) for event in epoll.ready()] == [EPOLLERR]


@clause("epoll.hup-unasked", "epoll_ctl(2)", "EPOLLHUP")
def test_epollhup_is_reported_without_request(epoll, pipe):
    """epoll_wait() reports EPOLLHUP of a pipe's read end without
    writers, even if not requested; its data stay readable.
    """
    ends = pipe()
    ends.write(b"!")
    epoll.add(ends.read_fd, 0)
    assert epoll.ready() == []
    ends.close_write()
    assert epoll.ready() == [EpollEvent(EPOLLHUP, ends.read_fd)]
    assert [ends.read(), ends.read()] == [b"!", b""]


@clause("epoll.rdhup", "epoll_ctl(2)", "EPOLLRDHUP", since="2.6.17")
@pytest.mark.parametrize("how", ["shutdown", "close"])
def test_epollrdhup_after_shutdown_or_close(epoll, sockets, how):
    """epoll_wait() reports EPOLLRDHUP on a stream socket after the peer has closed it or shut down its writing half."""
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
    """epoll_wait() combines the events of one descriptor since the last call into one."""
    left, right = sockets.pair()
    epoll.add(left.fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
    assert epoll.ready() == [EpollEvent(EPOLLOUT, left.fd)]
    for _ in range(3):
        right.send(b"!")
    right.socket.shutdown(SHUT_WR)
    assert epoll.ready() == [EpollEvent(EPOLLIN | EPOLLOUT | EPOLLRDHUP, left.fd)]
    assert epoll.ready() == []


@clause("epoll.two-instances", "epoll(7)", "Questions and answers")
def test_two_instances_report_one_descriptor(instance, pipe):
    """Two epoll instances that monitor one descriptor both report its events."""
    data = pipe()
    both = instance(), instance()
    for one in both:
        one.add(data.read_fd, EPOLLIN | EPOLLET)
    data.write(b"!")
    assert [numbers(one.ready()) for one in both] == [[data.read_fd]] * 2


@clause("epoll.instance-is-pollable", "epoll(7)", "Questions and answers")
def test_an_instance_is_readable_when_it_has_events(epoll, instance, pipe):
    """An epoll instance monitored by another one is readable exactly while it has events."""
    data, outer = pipe(), instance()
    epoll.add(data.read_fd, EPOLLIN)
    outer.add(epoll.fd, EPOLLIN)
    assert outer.ready() == []
    data.write(b"!")
    assert outer.ready() == [EpollEvent(EPOLLIN, epoll.fd)]
    data.read(1)
    assert outer.ready() == []


def ended(children: list[Child[Any]]) -> Child[Any]:
    """Wait for the first child that terminates; return it."""
    assert comes_true(lambda: not all(child.alive for child in children))
    return next(child for child in children if not child.alive)


def wait_for_events(instance: Instance) -> Callable[[], list[EpollEvent]]:
    """Return the function of a child that waits for an event of an instance."""
    return lambda: epoll_wait(instance.fd, 4, -1)


@clause("epoll.edge-wakes-one", "epoll(7)", "Level-triggered and edge-triggered")
def test_edge_wakes_one_process(epoll, pipe, fork):
    """An edge-triggered event wakes only one of several processes blocked in epoll_wait() on one instance."""
    data = pipe()
    epoll.add(data.read_fd, EPOLLIN | EPOLLET)
    children = [fork(wait_for_events(epoll)) for _ in range(3)]
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
def test_event_wakes_every_instance_by_default(instance, pipe, fork):
    """Without EPOLLEXCLUSIVE, an event wakes a process on every instance that monitors the descriptor."""
    data = pipe()
    instances = [instance() for _ in range(3)]
    children = []
    for one in instances:
        one.add(data.read_fd, EPOLLIN)
        children.append(fork(wait_for_events(one)))
    for child in children:
        child.wait_blocked("epoll_wait")
    data.write(b"!")
    assert [numbers(child.result()) for child in children] == [[data.read_fd]] * 3


@clause("epoll.exclusive-wakes-some", "epoll_ctl(2)", "EPOLLEXCLUSIVE", since="4.5")
def test_exclusive_event_wakes_at_least_one(instance, pipe, fork):
    """With EPOLLEXCLUSIVE, an event wakes at least one of the
    instances, and all that monitor the descriptor without it.
    """
    data = pipe()
    instances = [instance() for _ in range(4)]
    children = []
    for one, flag in zip(instances, (EPOLLEXCLUSIVE, EPOLLEXCLUSIVE, 0, 0), strict=True):
        one.add(data.read_fd, EPOLLIN | flag)
        children.append(fork(wait_for_events(one)))
    for child in children:
        child.wait_blocked("epoll_wait")
    data.write(b"!")
    exclusive, plain = children[:2], children[2:]
    assert [numbers(child.result()) for child in plain] == [[data.read_fd]] * 2
    assert numbers(ended(exclusive).result()) == [data.read_fd]
