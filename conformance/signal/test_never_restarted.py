"""signal(7): calls that are never restarted, even with SA_RESTART; fcntl(2): signals for events on descriptors."""

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
    """Assert that *call* fails with EINTR after a handler with SA_RESTART has run."""

    def life():
        caught = signals.catch(SIGUSR1, flags=SA_RESTART)
        with fails_with(EINTR):
            call()
        return caught.count

    child = fork(life)
    child.wait_blocked(name)
    child.signal(SIGUSR1)
    assert child.result() == 1


@clause("signal.sysv-and-poll-never-restart", "signal(7)", ALWAYS, errno=EINTR)
@pytest.mark.parametrize("call", ["poll", "select", "epoll_wait"])
def test_poll_select_epoll_wait_are_not_restarted(fork, signals, pipe, call):
    """poll(), select() and epoll_wait() fail with EINTR after a handler has run, even one with SA_RESTART."""
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
def test_nanosleep_is_not_restarted(fork, signals):
    """nanosleep() fails with EINTR after a handler has run, even one with SA_RESTART."""
    interrupted(fork, signals, "nanosleep", lambda: nanosleep(Timespec(600)))


@clause("signal.so_rcvtimeo-disables-restart", "signal(7)", ALWAYS, errno=EINTR)
def test_read_of_socket_with_timeout_is_not_restarted(fork, signals):
    """read() of a socket with SO_RCVTIMEO fails with EINTR after a handler has run, even one with SA_RESTART."""
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 600, 0))
    interrupted(fork, signals, "read", lambda: read(near.fileno(), 1))
    near.close()
    far.close()


@pytest.fixture
def signalling() -> Callable[..., tuple[socket.socket, socket.socket]]:
    """Return a socket pair whose first socket sends *signo* to this process, 0 for SIGIO: signalling(signo)."""

    def make(signo: int) -> tuple[socket.socket, socket.socket]:
        near, far = socket.socketpair()
        fcntl.fcntl(near, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(near, F_SETSIG, signo)
        fcntl.fcntl(near, fcntl.F_SETFL, fcntl.fcntl(near, fcntl.F_GETFL) | os.O_ASYNC)
        return near, far

    return make


@pytest.mark.usefixtures("sigpending_limit")
@clause("siginfo.sigio-band-fd", "F_GETSIG(2const)", "F_SETSIG")
def test_f_setsig_signal_names_descriptor(fork, signals, signalling):
    """A signal set with F_SETSIG reports the readable descriptor in si_fd and the poll() events in si_band."""

    def life() -> None:
        signals.block(SIGRTMIN)
        near, far = signalling(SIGRTMIN)
        far.send(b"x")
        info = sigtimedwait({SIGRTMIN}, SOON)
        assert (info.signo, info.code, info.fd) == (SIGRTMIN, POLL_IN, near.fileno())
        assert info.band & (select.POLLIN | select.POLLRDNORM) == select.POLLIN | select.POLLRDNORM

    fork(life).result()


@clause("siginfo.sigio-plain", "F_GETSIG(2const)", "F_SETOWN")
def test_o_async_sends_sigio(fork, signals, signalling):
    """A descriptor with O_ASYNC sends SIGIO to its owner when it becomes readable, and not before."""

    def life() -> int:
        signals.block(SIGIO)
        _near, far = signalling(0)
        with fails_with(EAGAIN):
            sigtimedwait({SIGIO}, 0)
        far.send(b"x")
        return sigtimedwait({SIGIO}, SOON).signo

    assert fork(life).result() == SIGIO
