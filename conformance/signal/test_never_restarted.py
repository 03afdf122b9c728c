"""signal(7): waits that end when a handler has run, SA_RESTART or not; fcntl(2): signals that tell of descriptors."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
from collections.abc import Callable
from errno import EAGAIN, EINTR
from signal import SIGIO, SIGRTMIN, SIGUSR1

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import POLL_IN, SA_RESTART, Timespec, epoll_wait, nanosleep, read, sigtimedwait
from pytest_ipc.kernel import poll as raw_poll
from pytest_ipc.kernel import select as raw_select

from .plain_child import SOON

ALWAYS = "Interruption of system calls and library functions by signal handlers"
F_SETSIG = 10


def interrupted(fork, signals, name: str, call: Callable[[], object]) -> None:
    """Assert that *call* ends in EINTR when a handler with SA_RESTART has run."""

    def life():
        caught = signals.catch(SIGUSR1, flags=SA_RESTART)
        with fails_with(EINTR):
            call()
        return caught.count

    actor = fork(life)
    actor.wait_blocked(name)
    actor.signal(SIGUSR1)
    assert actor.result() == 1


@clause("signal.sysv-and-poll-never-restart", "signal(7)", ALWAYS, errno=EINTR)
@pytest.mark.parametrize("call", ["poll", "select", "epoll_wait"])
def test_waiting_for_descriptors_is_not_restarted(fork, signals, pipe, call):
    """poll(2), select(2) and epoll_wait(2) end when a handler has run, also when it was installed with SA_RESTART."""
    channel = pipe()
    queue = select.epoll()
    queue.register(channel.read_fd, select.EPOLLIN)
    waits: dict[str, Callable[[], object]] = {
        "poll": lambda: raw_poll({channel.read_fd: select.POLLIN}, -1),
        "select": lambda: raw_select({channel.read_fd}, -1),
        "epoll_wait": lambda: epoll_wait(queue.fileno(), 1, -1),
    }
    interrupted(fork, signals, call, waits[call])
    queue.close()


@clause("signal.nanosleep-never-restarts", "signal(7)", ALWAYS, errno=EINTR)
def test_sleep_is_not_restarted(fork, signals):
    """nanosleep(2) ends when a handler has run, also when it was installed with SA_RESTART."""
    interrupted(fork, signals, "nanosleep", lambda: nanosleep(Timespec(600)))


@clause("signal.so_rcvtimeo-disables-restart", "signal(7)", ALWAYS, errno=EINTR)
def test_a_socket_with_a_time_limit_is_not_restarted(fork, signals):
    """Reading a socket that has SO_RCVTIMEO ends when a handler has run, also when it was installed with SA_RESTART."""
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 600, 0))
    interrupted(fork, signals, "read", lambda: read(near.fileno(), 1))
    near.close()
    far.close()


@pytest.fixture
def telling() -> Callable[..., tuple[socket.socket, socket.socket]]:
    """A pair of sockets of which this process is told by *signo*, 0 for none in particular: telling(signo)."""

    def make(signo: int) -> tuple[socket.socket, socket.socket]:
        near, far = socket.socketpair()
        fcntl.fcntl(near, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(near, F_SETSIG, signo)
        fcntl.fcntl(near, fcntl.F_SETFL, fcntl.fcntl(near, fcntl.F_GETFL) | os.O_ASYNC)
        return near, far

    return make


@pytest.mark.usefixtures("room_for_signals")
@clause("siginfo.sigio-band-fd", "F_GETSIG(2const)", "F_SETSIG")
def test_a_signal_tells_of_a_descriptor(fork, signals, telling):
    """A signal chosen with F_SETSIG tells which descriptor has something to read, by number, and by the events of poll(2)."""

    def life() -> None:
        signals.block(SIGRTMIN)
        near, far = telling(SIGRTMIN)
        far.send(b"x")
        info = sigtimedwait({SIGRTMIN}, SOON)
        assert (info.signo, info.code, info.fd) == (SIGRTMIN, POLL_IN, near.fileno())
        assert info.band & (select.POLLIN | select.POLLRDNORM) == select.POLLIN | select.POLLRDNORM

    fork(life).result()


@clause("siginfo.sigio-plain", "F_GETSIG(2const)", "F_SETOWN")
def test_sigio_comes_where_no_signal_was_chosen(fork, signals, telling):
    """A descriptor with O_ASYNC sends its owner SIGIO when there is something to read, and nothing before."""

    def life() -> int:
        signals.block(SIGIO)
        _near, far = telling(0)
        with fails_with(EAGAIN):
            sigtimedwait({SIGIO}, 0)
        far.send(b"x")
        return sigtimedwait({SIGIO}, SOON).signo

    assert fork(life).result() == SIGIO
