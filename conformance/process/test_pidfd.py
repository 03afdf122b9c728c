"""pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2), and waiting for a process by its descriptor: poll(2), waitid(2)."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from errno import EAGAIN, EBADF, ECHILD, EINVAL, EPERM, ESRCH
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit
from signal import SIGKILL, SIGSTOP, SIGTERM, SIGUSR1, valid_signals
from typing import Any

import pytest

from pytest_ipc import Child, clause, fails_with, untested
from pytest_ipc.kernel import (
    PIDFD_NONBLOCK,
    PIDFD_SIGNAL_PROCESS_GROUP,
    SI_QUEUE,
    SI_USER,
    kill,
    open_descriptors,
    pause,
    pidfd_getfd,
    pidfd_open,
    pidfd_send_signal,
    read,
    sigtimedwait,
)

from ..credentials import GROUP, OWNER, STRANGER, become
from ..signal.plain_child import NOBODY, SOON, bare_child

Open = Callable[..., int]


@pytest.fixture
def opened() -> Iterator[Open]:
    """pidfd_open(2), closed again at the end: opened(pid, flags=0)."""
    fds = []

    def make(pid: int, flags: int = 0) -> int:
        fds.append(pidfd_open(pid, flags))
        return fds[-1]

    yield make
    for fd in fds:
        os.close(fd)


@pytest.fixture
def sleeper(fork) -> Child[Any]:
    """A child that sleeps."""
    child: Child[Any] = fork(pause)
    child.wait_blocked("pause")
    return child


def readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


@clause("pidfd_open.readable-at-the-end", "pidfd_open(2)", "DESCRIPTION", since="5.3")
def test_it_is_readable_once_the_process_has_ended(opened, sleeper):
    """The descriptor can be read, says poll(2), once its process has ended, waited for or not, and not before."""
    fd = opened(sleeper.pid)
    assert not readable(fd)
    kill(sleeper.pid, SIGKILL)
    assert select.select([fd], [], [], SOON)[0] == [fd]
    assert sleeper.wait() == -SIGKILL
    assert readable(fd)


@clause("pidfd_open.stop-is-no-end", "pidfd_open(2)", "DESCRIPTION", since="5.3")
def test_a_stopped_process_has_not_ended(opened, sleeper):
    """The descriptor of a process that is stopped cannot be read."""
    fd = opened(sleeper.pid)
    kill(sleeper.pid, SIGSTOP)
    sleeper.wait_state("T")
    assert not readable(fd)


@clause("pidfd_open.cloexec", "pidfd_open(2)", "DESCRIPTION", since="5.3")
def test_it_is_closed_by_exec(opened):
    """The descriptor has the close-on-exec flag."""
    assert not os.get_inheritable(opened(os.getpid()))


@clause("pidfd_open.esrch", "pidfd_open(2)", "ERRORS", errno=ESRCH, since="5.3")
def test_no_such_process(fork):
    """A process that does not exist, or that has been waited for, cannot be opened."""
    gone = fork(int)
    gone.wait()
    before = open_descriptors()
    for pid in (gone.pid, NOBODY):
        with fails_with(ESRCH):
            pidfd_open(pid)
    assert open_descriptors() == before


@clause("pidfd_open.invalid-pid-einval", "pidfd_open(2)", "ERRORS", errno=EINVAL, since="5.3")
@pytest.mark.parametrize("pid", [0, -1])
def test_no_process_has_such_a_number(pid):
    """A number that no process can have is refused."""
    with fails_with(EINVAL):
        pidfd_open(pid)


@clause("pidfd_open.unknown-flag-einval", "pidfd_open(2)", "ERRORS", errno=EINVAL, since="5.3")
@pytest.mark.parametrize("flags", [1, 2, 0x4000_0000])
def test_an_unknown_flag_is_refused(flags):
    """A flag that pidfd_open(2) does not know is refused, and nothing is opened."""
    before = open_descriptors()
    with fails_with(EINVAL):
        pidfd_open(os.getpid(), flags)
    assert open_descriptors() == before


@clause("pidfd_open.zombie", "pidfd_open(2)", "DESCRIPTION", since="5.3")
def test_a_zombie_can_be_opened(opened, fork):
    """A process that has ended and was not waited for can still be opened, and can be read at once."""

    def life() -> bool:
        pid = bare_child(int)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        ready = readable(opened(pid))
        os.waitpid(pid, 0)
        return ready

    assert fork(life).result() is True


@clause("pidfd.read-einval", "pidfd_open(2)", "NOTES", errno=EINVAL, since="5.3")
def test_there_is_nothing_to_read(opened, sleeper):
    """The descriptor has nothing that read(2) could give, whether the process runs or has ended."""
    fd = opened(sleeper.pid)
    with fails_with(EINVAL):
        read(fd, 64)
    kill(sleeper.pid, SIGKILL)
    sleeper.wait()
    with fails_with(EINVAL):
        read(fd, 64)


@clause("pidfd.pid-in-fdinfo", "pidfd_open(2)", "NOTES", since="5.3")
def test_the_pid_can_be_seen_in_proc(opened, sleeper):
    """/proc/PID/fdinfo tells the process id that the descriptor stands for, and -1 once the process is gone."""

    def told() -> list[str]:
        try:
            lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
        except OSError as error:
            untested(f"needs /proc/PID/fdinfo: {error.strerror}")
        return [line.split()[1] for line in lines if line.startswith("Pid:")]

    fd = opened(sleeper.pid)
    assert told() == [str(sleeper.pid)]
    kill(sleeper.pid, SIGKILL)
    sleeper.wait()
    assert told() == ["-1"]


@clause("pidfd_send_signal.as-kill", "pidfd_send_signal(2)", "DESCRIPTION", since="5.1")
def test_the_signal_is_as_kill_sends_it(opened, fork, signals):
    """Without a siginfo_t the process gets what kill(2) would send: the code SI_USER, and the sender's process and user."""

    def life():
        signals.block(SIGUSR1)
        return sigtimedwait({SIGUSR1}, None)

    child = fork(life)
    child.wait_blocked("sigtimedwait")
    pidfd_send_signal(opened(child.pid), SIGUSR1)
    info = child.result()
    assert (info.signo, info.code, info.pid, info.uid) == (SIGUSR1, SI_USER, os.getpid(), os.getuid())


@clause("pidfd_send_signal.null-signal-probes", "pidfd_send_signal(2)", "DESCRIPTION", since="5.1")
def test_signal_0_only_asks(opened, sleeper):
    """Signal 0 does nothing to a process that is there."""
    pidfd_send_signal(opened(sleeper.pid), 0)
    sleeper.wait_blocked("pause")


@clause("pidfd_send_signal.esrch", "pidfd_send_signal(2)", "ERRORS", errno=ESRCH, since="5.1")
@pytest.mark.parametrize("signo", [0, SIGTERM])
def test_a_process_that_is_gone_gets_nothing(opened, sleeper, signo):
    """A process that has ended and was waited for cannot be signalled any more, by signal 0 either."""
    fd = opened(sleeper.pid)
    pidfd_send_signal(fd, SIGKILL)
    sleeper.wait()
    with fails_with(ESRCH):
        pidfd_send_signal(fd, signo)


@clause("pidfd_send_signal.invalid-signal-einval", "pidfd_send_signal(2)", "ERRORS", errno=EINVAL, since="5.1")
@pytest.mark.parametrize("signo", [-1, max(valid_signals()) + 1])
def test_no_signal_has_such_a_number(opened, sleeper, signo):
    """A number that is no signal's is refused."""
    with fails_with(EINVAL):
        pidfd_send_signal(opened(sleeper.pid), signo)


@clause("pidfd_send_signal.unknown-flag-einval", "pidfd_send_signal(2)", "ERRORS", errno=EINVAL, since="5.1")
def test_an_unknown_flag_to_send_is_refused(opened, sleeper):
    """A flag that pidfd_send_signal(2) does not know is refused, and nothing is sent."""
    fd = opened(sleeper.pid)
    with fails_with(EINVAL):
        pidfd_send_signal(fd, SIGTERM, 0x4000_0000)
    sleeper.wait_blocked("pause")


@clause("pidfd_send_signal.not-a-pidfd-ebadf", "pidfd_send_signal(2)", "ERRORS", errno=EBADF, since="5.1")
def test_another_descriptor_is_refused(pipe):
    """A descriptor of something else, or none, stands for no process."""
    for fd in (pipe().read_fd, -1):
        with fails_with(EBADF):
            pidfd_send_signal(fd, 0)


@clause("pidfd_send_signal.eperm", "pidfd_send_signal(2)", "ERRORS", errno=EPERM, since="5.1")
def test_another_user_may_not(opened, sleeper, as_user):
    """Who may not signal the process by kill(2) may not by its descriptor."""
    fd = opened(sleeper.pid)

    def send() -> None:
        with fails_with(EPERM):
            pidfd_send_signal(fd, SIGTERM)

    as_user(STRANGER, GROUP, send)
    sleeper.wait_blocked("pause")


@pytest.mark.usefixtures("room_for_signals")
@clause("pidfd_send_signal.info-is-delivered", "pidfd_send_signal(2)", "DESCRIPTION", since="5.1")
def test_a_siginfo_is_sent_along(opened, fork, signals):
    """A siginfo_t with a code below zero is what the process gets; one whose signal is another is refused."""

    def life():
        signals.block(SIGUSR1)
        return sigtimedwait({SIGUSR1}, None).code

    child = fork(life)
    child.wait_blocked("sigtimedwait")
    fd = opened(child.pid)
    with fails_with(EINVAL):
        pidfd_send_signal(fd, SIGUSR1, info=(SIGTERM, SI_QUEUE))
    pidfd_send_signal(fd, SIGUSR1, info=(SIGUSR1, SI_QUEUE))
    assert child.result() == SI_QUEUE


@clause("pidfd_send_signal.forged-info-eperm", "pidfd_send_signal(2)", "ERRORS", errno=EPERM, since="5.1")
def test_nobody_can_pretend_to_be_the_kernel(opened, sleeper):
    """A siginfo_t with a code that only the kernel or kill(2) gives is refused for another process."""
    fd = opened(sleeper.pid)
    for code in (SI_USER, 1):
        with fails_with(EPERM):
            pidfd_send_signal(fd, SIGTERM, info=(SIGTERM, code))
    sleeper.wait_blocked("pause")


@clause("pidfd_send_signal.process-group", "pidfd_send_signal(2)", "DESCRIPTION", since="6.9")
def test_a_whole_group_is_signalled(opened, fork, sleeper):
    """PIDFD_SIGNAL_PROCESS_GROUP sends the signal to the whole group that the process leads."""
    member = fork(pause)
    member.wait_blocked("pause")
    os.setpgid(member.pid, sleeper.pid)
    pidfd_send_signal(opened(sleeper.pid), SIGUSR1, PIDFD_SIGNAL_PROCESS_GROUP)
    kill(member.pid, SIGTERM)  # it ends of this only if nothing came before
    assert [sleeper.wait(), member.wait()] == [-SIGUSR1, -SIGUSR1]


def highest() -> int:
    """A number that hardly any process has a descriptor at, and that any may have."""
    return min(200, getrlimit(RLIMIT_NOFILE)[0] - 1)


@clause("pidfd_getfd.same-description", "pidfd_getfd(2)", "DESCRIPTION", since="5.6")
def test_a_descriptor_is_fetched_from_another_process(opened, fork, tmp_path):
    """The descriptor fetched is a duplicate of the other process's: both share file and offset. It is close-on-exec."""
    (tmp_path / "file").write_text("0123456789")

    def life() -> None:
        fd = os.open(tmp_path / "file", os.O_RDONLY)
        os.read(fd, 4)
        os.dup2(fd, highest())
        pause()

    child = fork(life)
    child.wait_blocked("pause")
    fd = pidfd_getfd(opened(child.pid), highest())
    told = os.read(fd, 3), os.get_inheritable(fd)
    os.close(fd)
    assert told == (b"456", False)


@clause("pidfd_getfd.not-open-ebadf", "pidfd_getfd(2)", "ERRORS", errno=EBADF, since="5.6")
def test_a_descriptor_that_is_not_open_is_refused(opened, sleeper, pipe):
    """A number that is open in the caller and not in the other process cannot be fetched, nor anything by what is no pidfd."""
    mine = os.dup2(0, highest(), inheritable=False)
    with fails_with(EBADF):
        pidfd_getfd(opened(sleeper.pid), mine)
    os.close(mine)
    with fails_with(EBADF):
        pidfd_getfd(pipe().read_fd, 0)


@clause("pidfd_getfd.esrch", "pidfd_getfd(2)", "ERRORS", errno=ESRCH, since="5.6")
def test_nothing_is_fetched_from_who_is_gone(opened, sleeper):
    """Nothing can be fetched from a process that has ended and was waited for."""
    fd = opened(sleeper.pid)
    kill(sleeper.pid, SIGKILL)
    sleeper.wait()
    with fails_with(ESRCH):
        pidfd_getfd(fd, 0)


@clause("pidfd_getfd.unknown-flag-einval", "pidfd_getfd(2)", "ERRORS", errno=EINVAL, since="5.6")
def test_a_flag_to_fetch_is_refused(opened):
    """pidfd_getfd(2) knows no flags and refuses any."""
    fd = opened(os.getpid())
    with fails_with(EINVAL):
        pidfd_getfd(fd, 0, 1)


@clause("pidfd_getfd.eperm", "pidfd_getfd(2)", "ERRORS", errno=EPERM, since="5.6")
def test_a_stranger_fetches_nothing(opened, fork, as_user):
    """Who may not trace a process may fetch no descriptor from it."""

    def life() -> None:
        become(OWNER, GROUP)
        pause()

    child = fork(life)
    child.wait_blocked("pause")
    fd = opened(child.pid)

    def fetch() -> None:
        with fails_with(EPERM):
            pidfd_getfd(fd, 0)

    as_user(STRANGER, GROUP, fetch)


@clause("waitid.pidfd", "wait(2)", "idtype == P_PIDFD", since="5.4")
def test_a_child_is_waited_for_by_its_descriptor(fork, opened):
    """waitid(2) with P_PIDFD waits for the child that the descriptor stands for, and for no other."""

    def life() -> None:
        first, second = bare_child(lambda: 3), bare_child(lambda: 4)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        info = os.waitid(os.P_PIDFD, opened(second), os.WEXITED)
        assert info is not None
        assert (info.si_pid, info.si_status, info.si_code) == (second, 4, os.CLD_EXITED)
        assert os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) == 3

    fork(life).result()


@clause("waitid.pidfd-echild", "wait(2)", "ERRORS", errno=ECHILD, since="5.4")
def test_only_a_child_can_be_waited_for(fork, opened, sleeper):
    """The descriptor of a process that is not the caller's child cannot be waited for; it is still the other's child."""
    fd = opened(sleeper.pid)

    def life() -> None:
        with fails_with(ECHILD):
            os.waitid(os.P_PIDFD, fd, os.WEXITED)

    fork(life).result()
    assert sleeper.alive


@clause("waitid.pidfd-nonblock-eagain", "pidfd_open(2)", "PIDFD_NONBLOCK", errno=EAGAIN, since="5.10")
def test_a_non_blocking_descriptor_is_not_waited_for(opened, sleeper):
    """With PIDFD_NONBLOCK waiting for a child that still runs fails instead of blocking."""
    fd = opened(sleeper.pid, PIDFD_NONBLOCK)
    assert not os.get_blocking(fd)  # or the call below would wait
    with fails_with(EAGAIN):
        os.waitid(os.P_PIDFD, fd, os.WEXITED)


@clause("waitid.not-a-pidfd-ebadf", "wait(2)", "ERRORS", errno=EBADF, since="5.4")
def test_another_descriptor_is_not_waited_for(pipe):
    """A descriptor of something else stands for no child."""
    with fails_with(EBADF):
        os.waitid(os.P_PIDFD, pipe().read_fd, os.WEXITED | os.WNOHANG)
