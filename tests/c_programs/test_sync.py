"""A C program at the other side of counters, futexes, mutexes and signals, and one that stops itself."""

from __future__ import annotations

import mmap
import os
import socket
from collections.abc import Callable, Iterator
from ctypes import addressof, c_char, c_uint32
from errno import EOWNERDEAD
from pathlib import Path
from signal import SIGCONT, SIGRTMIN
from typing import Any

import pytest

from pytest_ipc import Child, Fork, fails_with
from pytest_ipc.kernel import (
    SI_QUEUE,
    Timespec,
    futex_wait,
    futex_wake,
    mutex_consistent,
    mutex_init,
    mutex_lock,
    mutex_timedlock,
    mutex_trylock,
    mutex_unlock,
)

Holding = Callable[..., Child[Any]]


@pytest.fixture
def peer_holding(fork: Fork, compiled: Callable[[str], Path]) -> Holding:
    """Run the C program with a descriptor that it inherits: peer_holding(what, fd) -> Child."""

    def run(what: str, fd: int) -> Child[Any]:
        program = compiled("sync")

        def life() -> None:
            os.set_inheritable(fd, True)
            os.execv(program, ["sync", what, str(fd)])

        return fork.keeping(fd)(life)

    return run


@pytest.fixture
def memory() -> Iterator[tuple[int, int]]:
    """Yield a page of a file in memory: its descriptor, and where it is mapped here."""
    fd = os.memfd_create("shared")
    os.ftruncate(fd, 4096)
    page = mmap.mmap(fd, 4096)
    start = c_char.from_buffer(page)
    yield fd, addressof(start)
    del start
    page.close()
    os.close(fd)


def ended(child: Child[Any]) -> str:
    assert child.wait() == 0, child.output
    return child.output


def test_it_adds_to_a_counter_that_we_sent_it(eventfd, peer_holding):
    counter = eventfd(21)
    near, far = socket.socketpair()
    with near, far:
        other = peer_holding("eventfd", far.fileno())
        socket.send_fds(near, [b"x"], [counter.fd])
        ended(other)
    assert counter.read() == 42


def test_program_waits_on_our_futex_word(memory, peer_holding):
    fd, address = memory
    other = peer_holding("futex", fd)
    other.wait_blocked("futex")
    word = c_uint32.from_address(address)
    word.value = 7
    assert futex_wake(address) == 1
    ended(other)
    assert word.value == 14


def test_we_wait_on_a_futex_word_of_the_program(fork, memory, peer_holding):
    fd, address = memory
    c_uint32.from_address(address).value = 5
    waiter = fork(futex_wait, address, 5)
    waiter.wait_blocked("futex")
    ended(peer_holding("futex", fd))
    waiter.result()
    assert c_uint32.from_address(address).value == 10


@pytest.mark.parametrize("maker", ["we", "they"])
def test_it_dies_with_a_mutex_and_we_learn_of_it(memory, peer_holding, maker):
    fd, address = memory
    if maker == "we":
        mutex_init(address, robust=True)
    else:
        ended(peer_holding("make-mutex", fd))
    mutex_lock(address)
    other = peer_holding("mutex", fd)
    other.wait_blocked("futex")
    mutex_unlock(address)
    ended(other)
    with fails_with(EOWNERDEAD):
        mutex_timedlock(address, Timespec(1))
    mutex_consistent(address)
    mutex_unlock(address)
    mutex_trylock(address)


def test_its_signal_brings_a_value(fork, signals, compiled):
    program = compiled("sync")

    def life():
        source = signals.fd(SIGRTMIN)
        sender = os.spawnv(os.P_NOWAIT, program, ["sync", "queue", str(os.getpid()), "-12"])
        info = source.read()
        assert os.waitpid(sender, 0)[1] == 0
        return info.pid == sender, info.code, info.value

    assert fork(life).result() == (True, SI_QUEUE, -12)


def test_it_stops_itself_and_is_continued(peer):
    other = peer("sync", "stop")
    assert other.wait_state("T") == "T"
    assert other.output == ""
    other.signal(SIGCONT)
    assert ended(other) == "went on\n"


def test_it_is_ended_while_it_is_stopped(peer):
    other = peer("sync", "stop")
    other.wait_state("T")
    other.close()
    assert other.status == -9
