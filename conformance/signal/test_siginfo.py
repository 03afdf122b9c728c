"""sigaction(2): what a signal brings along about its origin, taken by sigtimedwait(2)."""

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
def test_kill_tells_who_sent_it(fork, signals):
    """A signal from kill(2) has the code SI_USER, and its sender's process and real user id."""

    def life() -> None:
        signals.block(SIGUSR1)
        with Child.start(kill, (os.getpid(), SIGUSR1)) as sender:
            info = sigtimedwait({SIGUSR1}, SOON)
            assert (info.signo, info.code, info.pid, info.uid) == (SIGUSR1, SI_USER, sender.pid, os.getuid())

    fork(life).result()


@clause("siginfo.kill-real-uid", "sigaction(2)", "The siginfo_t argument to a SA_SIGINFO handler")
@pytest.mark.usefixtures("other_users")
def test_the_sender_s_user_is_its_real_one(fork, signals):
    """Where real and effective user of a sender differ, the signal tells the real one."""

    def life() -> None:
        signals.block(SIGUSR1)

        def send(pid: int) -> None:
            os.setresuid(OWNER, -1, -1)
            kill(pid, SIGUSR1)

        with Child.start(send, (os.getpid(),)) as sender:
            sender.result()
        assert sigtimedwait({SIGUSR1}, SOON).uid == OWNER

    fork(life).result()


@pytest.mark.usefixtures("room_for_signals")
@clause("siginfo.tgkill-si_tkill", "sigaction(2)", "The siginfo_t argument to a SA_SIGINFO handler")
def test_tgkill_has_a_code_of_its_own(fork, signals):
    """A signal from tgkill(2) has the code SI_TKILL: it can be told from one that kill(2) sent."""

    def life() -> None:
        signals.block(SIGUSR1)
        with Child.start(tgkill, (os.getpid(), threading.get_native_id(), SIGUSR1)) as sender:
            sender.result()
            # The system call itself: glibc's functions around it tell SI_USER in place of SI_TKILL.
            wanted, info = c_uint64(1 << SIGUSR1 - 1), (c_int * 32)()
            syscall(number_of("rt_sigtimedwait"), addressof(wanted), addressof(info), 0, sizeof(wanted))
            signo, _, code = info[:3]
            assert (signo, code) == (SIGUSR1, SI_TKILL)

    fork(life).result()


@pytest.mark.usefixtures("room_for_signals")
@clause("siginfo.sigqueue-si_queue-value", "sigqueue(3)", "DESCRIPTION")
def test_sigqueue_brings_a_value(fork, signals):
    """A signal from sigqueue(3) has the code SI_QUEUE, its sender's process and real user id, and the value that was sent."""

    def life() -> None:
        signals.block(SIGUSR1)
        for value in (0, 1, -1, 2**31 - 1, -(2**31)):
            with Child.start(sigqueue, (os.getpid(), SIGUSR1, value)) as sender:
                info = sigtimedwait({SIGUSR1}, SOON)
                assert (info.code, info.pid, info.uid, info.value) == (SI_QUEUE, sender.pid, os.getuid(), value)

    fork(life).result()


def assert_tells(info: SigInfo, child: Child[Any], code: int, status: int) -> None:
    """Assert that SIGCHLD told this of *child*."""
    assert (info.signo, info.code, info.status) == (SIGCHLD, code, status)
    assert (info.pid, info.uid) == (child.pid, os.getuid())


@clause("siginfo.sigchld-exited", "sigaction(2)", "The siginfo_t argument to a SA_SIGINFO handler")
def test_sigchld_tells_of_an_exit(fork, signals):
    """When a child has left by itself, SIGCHLD has the code CLD_EXITED, the child's process and user, and its exit status."""

    def life() -> None:
        signals.catch(SIGCHLD)
        signals.block(SIGCHLD)
        with Child.start(os._exit, (7,)) as child:
            assert_tells(sigtimedwait({SIGCHLD}, SOON), child, CLD_EXITED, 7)

    fork(life).result()


@clause("siginfo.sigchld-killed", "sigaction(2)", "The siginfo_t argument to a SA_SIGINFO handler")
def test_sigchld_tells_of_a_death_by_signal(fork, signals):
    """When a signal has ended a child without a core file, SIGCHLD has the code CLD_KILLED and that signal as status."""

    def life() -> None:
        signals.catch(SIGCHLD)
        signals.block(SIGCHLD)
        for signo in (SIGKILL, SIGUSR2):
            with Child.start(pause) as child:
                child.signal(signo)
                assert_tells(sigtimedwait({SIGCHLD}, SOON), child, CLD_KILLED, signo)

    fork(life).result()


@clause("siginfo.sigchld-stopped", "sigaction(2)", "The siginfo_t argument to a SA_SIGINFO handler")
def test_sigchld_tells_of_a_stop(fork, signals):
    """When a signal has stopped a child, SIGCHLD has the code CLD_STOPPED and that signal as status."""

    def life() -> None:
        signals.catch(SIGCHLD)
        signals.block(SIGCHLD)
        with Child.start(pause) as child:
            child.signal(SIGSTOP)
            assert_tells(sigtimedwait({SIGCHLD}, SOON), child, CLD_STOPPED, SIGSTOP)

    fork(life).result()


@clause("siginfo.sigchld-continued", "sigaction(2)", "The siginfo_t argument to a SA_SIGINFO handler")
def test_sigchld_tells_of_a_continuation(fork, signals):
    """When a stopped child has been continued, SIGCHLD has the code CLD_CONTINUED and SIGCONT as status."""

    def life() -> None:
        signals.catch(SIGCHLD)
        signals.block(SIGCHLD)
        with Child.start(pause) as child:
            child.signal(SIGSTOP)
            assert sigtimedwait({SIGCHLD}, SOON).code == CLD_STOPPED
            child.signal(SIGCONT)
            assert_tells(sigtimedwait({SIGCHLD}, SOON), child, CLD_CONTINUED, SIGCONT)

    fork(life).result()
