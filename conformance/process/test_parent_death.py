"""prctl(2), PR_SET_PDEATHSIG: the parent death signal."""

from __future__ import annotations

import os
from collections.abc import Callable
from ctypes import addressof, c_int
from errno import EAGAIN, EINVAL
from os import O_CLOEXEC, O_NONBLOCK
from select import select
from signal import SIG_BLOCK, SIGKILL, SIGTERM, SIGUSR1, pause, pthread_sigmask, sigwait
from threading import Event, Thread

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import PR_GET_PDEATHSIG, PR_SET_PDEATHSIG, Deadline, prctl, read

PAGE, SECTION = "prctl(2)", "PR_SET_PDEATHSIG"


def death_signal() -> int:
    """Return the parent death signal of this process, by PR_GET_PDEATHSIG."""
    number = c_int(-1)
    prctl(PR_GET_PDEATHSIG, addressof(number))
    return number.value


@pytest.fixture
def ended() -> Callable[[int], int | None]:
    """Wait 5 s for the end of a child: ended(pid) -> exit status, -N for signal N, or None, after which it is
    killed."""

    def wait(pid: int) -> int | None:
        status: list[int] = []

        def gone() -> bool:
            found, how = os.waitpid(pid, os.WNOHANG)
            if found:
                status.append(os.waitstatus_to_exitcode(how))
            return bool(found)

        if Deadline(5).until(gone):
            return status[0]
        os.kill(pid, SIGKILL)
        os.waitpid(pid, 0)
        return None

    return wait


@clause("prctl.pdeathsig-told", PAGE, "PR_GET_PDEATHSIG")
def test_pr_get_pdeathsig_returns_setting(fork):
    """PR_GET_PDEATHSIG returns the signal that PR_SET_PDEATHSIG has set, or 0 after it was cleared; an invalid
    signal fails with EINVAL.
    """

    def life() -> list[int]:
        seen = []
        for signo in (SIGUSR1, 0):
            prctl(PR_SET_PDEATHSIG, signo)
            seen.append(death_signal())
        with fails_with(EINVAL):
            prctl(PR_SET_PDEATHSIG, 65)
        return seen

    assert fork(life).result() == [SIGUSR1, 0]


@clause("prctl.pdeathsig-cleared-for-children", PAGE, SECTION)
def test_fork_clears_parent_death_signal(fork):
    """The parent death signal is 0 in a child of fork()."""

    def life() -> int:
        prctl(PR_SET_PDEATHSIG, SIGUSR1)
        child = os.fork()
        if child == 0:
            os._exit(death_signal())
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert fork(life).result() == 0


@clause("prctl.pdeathsig-at-the-parents-end", PAGE, SECTION)
def test_signal_is_sent_when_parent_ends(fork, pipe):
    """The parent death signal is sent when the parent ends, and not before."""
    wakeup, gate = pipe(flags=O_NONBLOCK | O_CLOEXEC), pipe()

    def parent() -> None:
        ready, go = os.pipe()
        if os.fork() == 0:
            pthread_sigmask(SIG_BLOCK, {SIGUSR1})  # a handler before pause() would leave it asleep
            prctl(PR_SET_PDEATHSIG, SIGUSR1)
            os.write(go, b"r")
            sigwait({SIGUSR1})
            os.write(wakeup.write_fd, b"caught")
            os._exit(0)
        os.read(ready, 1)
        gate.read(1, timeout=None)
        os._exit(0)

    middle = fork(parent)
    middle.wait_blocked("read")
    with fails_with(EAGAIN):
        read(wakeup.read_fd, 9)
    gate.write(b"!")
    middle.wait()
    assert Deadline(5).until(lambda: select([wakeup.read_fd], [], [], 0)[0] != []), "the signal must come within 5 s"
    assert wakeup.read(9) == b"caught"


@clause("prctl.pdeathsig-parent-is-the-thread", PAGE, SECTION)
def test_parent_is_thread_that_forked(fork, ended):
    """The parent is the thread that called fork(): the signal is sent when that thread ends, even if its process
    continues.
    """

    def life() -> int | None:
        ready, go = os.pipe()
        children: list[int] = []
        seen, leave = Event(), Event()

        def make() -> None:
            child = os.fork()
            if child == 0:
                prctl(PR_SET_PDEATHSIG, SIGTERM)
                os.write(go, b"r")
                pause()
                os._exit(0)
            children.append(child)
            os.read(ready, 1)
            seen.set()
            leave.wait()

        thread = Thread(target=make)
        thread.start()
        seen.wait()
        alive = os.waitpid(children[0], os.WNOHANG) == (0, 0)
        leave.set()
        thread.join()
        return ended(children[0]) if alive else 0

    assert fork(life).result(timeout=30) == -SIGTERM
