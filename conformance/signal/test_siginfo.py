"""sigaction(2): the siginfo_t of a signal by its origin, as taken by sigtimedwait(2)."""

from __future__ import annotations

import os
import threading
from ctypes import addressof, c_int, c_uint64, sizeof
from signal import SIGCHLD, SIGCONT, SIGKILL, SIGSTOP, SIGUSR1, SIGUSR2
from typing import Any

import pytest

from pytest_ipc import Child, clause
from pytest_ipc.kernel import (
    CLD_CONTINUED,
    CLD_EXITED,
    CLD_KILLED,
    CLD_STOPPED,
    SI_QUEUE,
    SI_TKILL,
    SI_USER,
    SigInfo,
    kill,
    number_of,
    pause,
    sigqueue,
    sigtimedwait,
    tgkill,
)
from pytest_ipc.kernel.libc import syscall

from ..credentials import OWNER
from .plain_child import SOON


@clause("siginfo.kill-si_user", "sigaction(2)", "The siginfo_t argument to a SA_SIGINFO handler")
def test_kill_reports_sender(fork, signals):
    """A signal from kill() has si_code SI_USER and the sender's process ID and real user ID."""

    def life() -> None:
        signals.block(SIGUSR1)
        with Child.start(kill, (os.getpid(), SIGUSR1)) as sender:
            info = sigtimedwait({SIGUSR1}, SOON)
            assert (info.signo, info.code, info.pid, info.uid) == (SIGUSR1, SI_USER, sender.pid, os.getuid())

    fork(life).result()


@clause("siginfo.kill-real-uid", "sigaction(2)", "The siginfo_t argument to a SA_SIGINFO handler")
@pytest.mark.usefixtures("other_users")
def test_si_uid_is_real_user(fork, signals):
    """si_uid of a signal is the real user ID of the sender, not the effective one."""

    def life() -> None:
        signals.block(SIGUSR1)

        def send(pid: int) -> None:
            os.setresuid(OWNER, -1, -1)
            kill(pid, SIGUSR1)

        with Child.start(send, (os.getpid(),)) as sender:
            sender.result()
        assert sigtimedwait({SIGUSR1}, SOON).uid == OWNER

    fork(life).result()


@pytest.mark.usefixtures("sigpending_limit")
@clause("siginfo.tgkill-si_tkill", "sigaction(2)", "The siginfo_t argument to a SA_SIGINFO handler")
def test_tgkill_has_si_tkill(fork, signals):
    """A signal from tgkill() has si_code SI_TKILL, which differs from the SI_USER of kill()."""

    def life() -> None:
        signals.block(SIGUSR1)
        with Child.start(tgkill, (os.getpid(), threading.get_native_id(), SIGUSR1)) as sender:
            sender.result()
            # The raw system call: the glibc functions report SI_USER instead of SI_TKILL.
            wanted, info = c_uint64(1 << SIGUSR1 - 1), (c_int * 32)()
            syscall(number_of("rt_sigtimedwait"), addressof(wanted), addressof(info), 0, sizeof(wanted))
            signo, _, code = info[:3]
            assert (signo, code) == (SIGUSR1, SI_TKILL)

    fork(life).result()


@pytest.mark.usefixtures("sigpending_limit")
@clause("siginfo.sigqueue-si_queue-value", "sigqueue(3)", "DESCRIPTION")
def test_sigqueue_passes_value(fork, signals):
    """A signal from sigqueue() has si_code SI_QUEUE, the sender's process ID and real user ID, and the given value."""

    def life() -> None:
        signals.block(SIGUSR1)
        for value in (0, 1, -1, 2**31 - 1, -(2**31)):
            with Child.start(sigqueue, (os.getpid(), SIGUSR1, value)) as sender:
                info = sigtimedwait({SIGUSR1}, SOON)
                assert (info.code, info.pid, info.uid, info.value) == (SI_QUEUE, sender.pid, os.getuid(), value)

    fork(life).result()


def assert_reports(info: SigInfo, child: Child[Any], code: int, status: int) -> None:
    """Assert that SIGCHLD reported this of *child*."""
    assert (info.signo, info.code, info.status) == (SIGCHLD, code, status)
    assert (info.pid, info.uid) == (child.pid, os.getuid())


@clause("siginfo.sigchld-exited", "sigaction(2)", "The siginfo_t argument to a SA_SIGINFO handler")
def test_sigchld_reports_exit(fork, signals):
    """SIGCHLD for a child that exited has si_code CLD_EXITED, the child's process ID and user ID, and its exit
    status.
    """

    def life() -> None:
        signals.catch(SIGCHLD)
        signals.block(SIGCHLD)
        with Child.start(os._exit, (7,)) as child:
            assert_reports(sigtimedwait({SIGCHLD}, SOON), child, CLD_EXITED, 7)

    fork(life).result()


@clause("siginfo.sigchld-killed", "sigaction(2)", "The siginfo_t argument to a SA_SIGINFO handler")
def test_sigchld_reports_death_by_signal(fork, signals):
    """SIGCHLD for a child terminated by a signal without a core dump has si_code CLD_KILLED and the signal in
    si_status.
    """

    def life() -> None:
        signals.catch(SIGCHLD)
        signals.block(SIGCHLD)
        for signo in (SIGKILL, SIGUSR2):
            with Child.start(pause) as child:
                child.signal(signo)
                assert_reports(sigtimedwait({SIGCHLD}, SOON), child, CLD_KILLED, signo)

    fork(life).result()


@clause("siginfo.sigchld-stopped", "sigaction(2)", "The siginfo_t argument to a SA_SIGINFO handler")
def test_sigchld_reports_stop(fork, signals):
    """SIGCHLD for a child stopped by a signal has si_code CLD_STOPPED and the signal in si_status."""

    def life() -> None:
        signals.catch(SIGCHLD)
        signals.block(SIGCHLD)
        with Child.start(pause) as child:
            child.signal(SIGSTOP)
            assert_reports(sigtimedwait({SIGCHLD}, SOON), child, CLD_STOPPED, SIGSTOP)

    fork(life).result()


@clause("siginfo.sigchld-continued", "sigaction(2)", "The siginfo_t argument to a SA_SIGINFO handler")
def test_sigchld_reports_continue(fork, signals):
    """SIGCHLD for a continued child has si_code CLD_CONTINUED and SIGCONT in si_status."""

    def life() -> None:
        signals.catch(SIGCHLD)
        signals.block(SIGCHLD)
        with Child.start(pause) as child:
            child.signal(SIGSTOP)
            assert sigtimedwait({SIGCHLD}, SOON).code == CLD_STOPPED
            child.signal(SIGCONT)
            assert_reports(sigtimedwait({SIGCHLD}, SOON), child, CLD_CONTINUED, SIGCONT)

    fork(life).result()
