"""pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2), and waiting on a pidfd: poll(2), waitid(2)."""

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

from pytest_ipc import Child, Need, clause, fails_with, untested
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
    """Call pidfd_open(2) and close the descriptor at the end: opened(pid, flags=0)."""
    fds = []

    def make(pid: int, flags: int = 0) -> int:
        fds.append(pidfd_open(pid, flags))
        return fds[-1]

    yield make
    for fd in fds:
        os.close(fd)


@pytest.fixture
def sleeper(fork) -> Child[Any]:
    """Return a child that sleeps."""
    child: Child[Any] = fork(pause)
    child.wait_blocked("pause")
    return child


def readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


@clause("pidfd_open.readable-at-the-end", "pidfd_open(2)", "DESCRIPTION", since="5.3")
def test_pidfd_is_readable_after_termination(opened, sleeper):
    """select() reports a pidfd as readable once its process has terminated, before and after it is waited for."""
    fd = opened(sleeper.pid)
    assert not readable(fd)
    kill(sleeper.pid, SIGKILL)
    assert select.select([fd], [], [], SOON)[0] == [fd]
    assert sleeper.wait() == -SIGKILL
    assert readable(fd)


@clause("pidfd_open.stop-is-no-end", "pidfd_open(2)", "DESCRIPTION", since="5.3")
def test_pidfd_of_stopped_process_is_not_readable(opened, sleeper):
    """select() does not report the pidfd of a stopped process as readable."""
    fd = opened(sleeper.pid)
    kill(sleeper.pid, SIGSTOP)
    sleeper.wait_state("T")
    assert not readable(fd)


@clause("pidfd_open.cloexec", "pidfd_open(2)", "DESCRIPTION", since="5.3")
def test_pidfd_is_close_on_exec(opened):
    """pidfd_open() sets the close-on-exec flag on the descriptor."""
    assert not os.get_inheritable(opened(os.getpid()))


@clause("pidfd_open.esrch", "pidfd_open(2)", "ERRORS", errno=ESRCH, since="5.3")
def test_nonexistent_process_fails(fork):
    """pidfd_open() fails with ESRCH for a process that does not exist or has been waited for."""
    gone = fork(int)
    gone.wait()
    before = open_descriptors()
    for pid in (gone.pid, NOBODY):
        with fails_with(ESRCH):
            pidfd_open(pid)
    assert open_descriptors() == before


@clause("pidfd_open.invalid-pid-einval", "pidfd_open(2)", "ERRORS", errno=EINVAL, since="5.3")
@pytest.mark.parametrize("pid", [0, -1])
def test_invalid_pid_fails(pid):
    """pidfd_open() fails with EINVAL for a pid that is not positive."""
    with fails_with(EINVAL):
        pidfd_open(pid)


@clause("pidfd_open.unknown-flag-einval", "pidfd_open(2)", "ERRORS", errno=EINVAL, since="5.3")
@pytest.mark.parametrize("flags", [1, 2, 0x4000_0000])
def test_unknown_flag_fails(flags):
    """pidfd_open() fails with EINVAL for an unknown flag, and opens no descriptor."""
    before = open_descriptors()
    with fails_with(EINVAL):
        pidfd_open(os.getpid(), flags)
    assert open_descriptors() == before


@clause("pidfd_open.zombie", "pidfd_open(2)", "DESCRIPTION", since="5.3")
def test_pidfd_of_zombie_is_readable(opened, fork):
    """pidfd_open() of a zombie succeeds, and the pidfd is readable at once."""

    def life() -> bool:
        pid = bare_child(int)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        ready = readable(opened(pid))
        os.waitpid(pid, 0)
        return ready

    assert fork(life).result() is True


@clause("pidfd.read-einval", "pidfd_open(2)", "NOTES", errno=EINVAL, since="5.3")
def test_read_of_pidfd_fails(opened, sleeper):
    """read() of a pidfd fails with EINVAL, both before and after the process has terminated."""
    fd = opened(sleeper.pid)
    with fails_with(EINVAL):
        read(fd, 64)
    kill(sleeper.pid, SIGKILL)
    sleeper.wait()
    with fails_with(EINVAL):
        read(fd, 64)


@clause("pidfd.pid-in-fdinfo", "pidfd_open(2)", "NOTES", since="5.3")
def test_fdinfo_shows_pid(opened, sleeper):
    """/proc/PID/fdinfo shows the process ID of a pidfd, and -1 once the process has been waited for."""

    def shown() -> list[str]:
        try:
            lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
        except OSError as error:
            untested(Need.PROC_FILES, f"needs /proc/PID/fdinfo: {error.strerror}")
        return [line.split()[1] for line in lines if line.startswith("Pid:")]

    fd = opened(sleeper.pid)
    assert shown() == [str(sleeper.pid)]
    kill(sleeper.pid, SIGKILL)
    sleeper.wait()
    assert shown() == ["-1"]


@clause("pidfd_send_signal.as-kill", "pidfd_send_signal(2)", "DESCRIPTION", since="5.1")
def test_pidfd_send_signal_sends_as_kill(opened, fork, signals):
    """pidfd_send_signal() without siginfo_t sends the signal as kill() does, with SI_USER and the sender's process
    ID and user ID.
    """

    def life():
        signals.block(SIGUSR1)
        return sigtimedwait({SIGUSR1}, None)

    child = fork(life)
    child.wait_blocked("sigtimedwait")
    pidfd_send_signal(opened(child.pid), SIGUSR1)
    info = child.result()
    assert (info.signo, info.code, info.pid, info.uid) == (SIGUSR1, SI_USER, os.getpid(), os.getuid())


@clause("pidfd_send_signal.null-signal-probes", "pidfd_send_signal(2)", "DESCRIPTION", since="5.1")
def test_signal_0_sends_nothing(opened, sleeper):
    """pidfd_send_signal() with signal 0 succeeds for an existing process and sends nothing."""
    pidfd_send_signal(opened(sleeper.pid), 0)
    sleeper.wait_blocked("pause")


@clause("pidfd_send_signal.esrch", "pidfd_send_signal(2)", "ERRORS", errno=ESRCH, since="5.1")
@pytest.mark.parametrize("signo", [0, SIGTERM])
def test_signal_to_reaped_process_fails(opened, sleeper, signo):
    """pidfd_send_signal() fails with ESRCH, with signal 0 too, if the process has terminated and been waited for."""
    fd = opened(sleeper.pid)
    pidfd_send_signal(fd, SIGKILL)
    sleeper.wait()
    with fails_with(ESRCH):
        pidfd_send_signal(fd, signo)


@clause("pidfd_send_signal.invalid-signal-einval", "pidfd_send_signal(2)", "ERRORS", errno=EINVAL, since="5.1")
@pytest.mark.parametrize("signo", [-1, max(valid_signals()) + 1])
def test_invalid_signal_fails(opened, sleeper, signo):
    """pidfd_send_signal() fails with EINVAL for an invalid signal number."""
    with fails_with(EINVAL):
        pidfd_send_signal(opened(sleeper.pid), signo)


@clause("pidfd_send_signal.unknown-flag-einval", "pidfd_send_signal(2)", "ERRORS", errno=EINVAL, since="5.1")
def test_unknown_send_flag_fails(opened, sleeper):
    """pidfd_send_signal() fails with EINVAL for an unknown flag, and sends nothing."""
    fd = opened(sleeper.pid)
    with fails_with(EINVAL):
        pidfd_send_signal(fd, SIGTERM, 0x4000_0000)
    sleeper.wait_blocked("pause")


@clause("pidfd_send_signal.not-a-pidfd-ebadf", "pidfd_send_signal(2)", "ERRORS", errno=EBADF, since="5.1")
def test_send_to_other_descriptor_fails(pipe):
    """pidfd_send_signal() fails with EBADF for a descriptor that is invalid or not a pidfd."""
    for fd in (pipe().read_fd, -1):
        with fails_with(EBADF):
            pidfd_send_signal(fd, 0)


@clause("pidfd_send_signal.eperm", "pidfd_send_signal(2)", "ERRORS", errno=EPERM, since="5.1")
def test_send_without_permission_fails(opened, sleeper, as_user):
    """pidfd_send_signal() fails with EPERM if the caller has no permission to signal the process."""
    fd = opened(sleeper.pid)

    def send() -> None:
        with fails_with(EPERM):
            pidfd_send_signal(fd, SIGTERM)

    as_user(STRANGER, GROUP, send)
    sleeper.wait_blocked("pause")


@pytest.mark.usefixtures("sigpending_limit")
@clause("pidfd_send_signal.info-is-delivered", "pidfd_send_signal(2)", "DESCRIPTION", since="5.1")
def test_siginfo_is_delivered(opened, fork, signals):
    """pidfd_send_signal() delivers a siginfo_t with a negative si_code; it fails with EINVAL if si_signo is another
    signal.
    """

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
def test_forged_siginfo_fails(opened, sleeper):
    """pidfd_send_signal() to another process fails with EPERM if si_code is SI_USER or positive."""
    fd = opened(sleeper.pid)
    for code in (SI_USER, 1):
        with fails_with(EPERM):
            pidfd_send_signal(fd, SIGTERM, info=(SIGTERM, code))
    sleeper.wait_blocked("pause")


@clause("pidfd_send_signal.process-group", "pidfd_send_signal(2)", "DESCRIPTION", since="6.9")
def test_process_group_is_signalled(opened, fork, sleeper):
    """pidfd_send_signal() with PIDFD_SIGNAL_PROCESS_GROUP signals the whole process group that the process leads."""
    member = fork(pause)
    member.wait_blocked("pause")
    os.setpgid(member.pid, sleeper.pid)
    pidfd_send_signal(opened(sleeper.pid), SIGUSR1, PIDFD_SIGNAL_PROCESS_GROUP)
    kill(member.pid, SIGTERM)  # terminates it only if no signal came before
    assert [sleeper.wait(), member.wait()] == [-SIGUSR1, -SIGUSR1]


def highest() -> int:
    """Return a descriptor number that is allowed, but unlikely to be in use."""
    return min(200, getrlimit(RLIMIT_NOFILE)[0] - 1)


@clause("pidfd_getfd.same-description", "pidfd_getfd(2)", "DESCRIPTION", since="5.6")
def test_pidfd_getfd_duplicates_descriptor(opened, fork, tmp_path):
    """pidfd_getfd() returns a duplicate of the other process's descriptor, with a shared file offset, close-on-exec
    set.
    """
    (tmp_path / "file").write_text("0123456789")

    def life() -> None:
        fd = os.open(tmp_path / "file", os.O_RDONLY)
        os.read(fd, 4)
        os.dup2(fd, highest())
        pause()

    child = fork(life)
    child.wait_blocked("pause")
    fd = pidfd_getfd(opened(child.pid), highest())
    found = os.read(fd, 3), os.get_inheritable(fd)
    os.close(fd)
    assert found == (b"456", False)


@clause("pidfd_getfd.not-open-ebadf", "pidfd_getfd(2)", "ERRORS", errno=EBADF, since="5.6")
def test_pidfd_getfd_of_closed_descriptor_fails(opened, sleeper, pipe):
    """pidfd_getfd() fails with EBADF if the number is not open in the other process, or if the first descriptor is
    not a pidfd.
    """
    mine = os.dup2(0, highest(), inheritable=False)
    with fails_with(EBADF):
        pidfd_getfd(opened(sleeper.pid), mine)
    os.close(mine)
    with fails_with(EBADF):
        pidfd_getfd(pipe().read_fd, 0)


@clause("pidfd_getfd.esrch", "pidfd_getfd(2)", "ERRORS", errno=ESRCH, since="5.6")
def test_pidfd_getfd_from_reaped_process_fails(opened, sleeper):
    """pidfd_getfd() fails with ESRCH if the process has terminated and been waited for."""
    fd = opened(sleeper.pid)
    kill(sleeper.pid, SIGKILL)
    sleeper.wait()
    with fails_with(ESRCH):
        pidfd_getfd(fd, 0)


@clause("pidfd_getfd.unknown-flag-einval", "pidfd_getfd(2)", "ERRORS", errno=EINVAL, since="5.6")
def test_pidfd_getfd_flags_fail(opened):
    """pidfd_getfd() fails with EINVAL if flags is not 0."""
    fd = opened(os.getpid())
    with fails_with(EINVAL):
        pidfd_getfd(fd, 0, 1)


@clause("pidfd_getfd.eperm", "pidfd_getfd(2)", "ERRORS", errno=EPERM, since="5.6")
def test_pidfd_getfd_without_permission_fails(opened, fork, as_user):
    """pidfd_getfd() fails with EPERM if the caller has no permission to trace the process."""

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
def test_waitid_p_pidfd_waits_for_its_child(fork, opened):
    """waitid() with P_PIDFD waits for the child of the pidfd, and for no other."""

    def life() -> None:
        first, second = bare_child(lambda: 3), bare_child(lambda: 4)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        info = os.waitid(os.P_PIDFD, opened(second), os.WEXITED)
        assert info is not None
        assert (info.si_pid, info.si_status, info.si_code) == (second, 4, os.CLD_EXITED)
        assert os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) == 3

    fork(life).result()


@clause("waitid.pidfd-echild", "wait(2)", "ERRORS", errno=ECHILD, since="5.4")
def test_waitid_p_pidfd_of_other_process_fails(fork, opened, sleeper):
    """waitid() with P_PIDFD fails with ECHILD for a process that is not a child of the caller."""
    fd = opened(sleeper.pid)

    def life() -> None:
        with fails_with(ECHILD):
            os.waitid(os.P_PIDFD, fd, os.WEXITED)

    fork(life).result()
    assert sleeper.alive


@clause("waitid.pidfd-nonblock-eagain", "pidfd_open(2)", "PIDFD_NONBLOCK", errno=EAGAIN, since="5.10")
def test_waitid_of_nonblocking_pidfd_fails(opened, sleeper):
    """waitid() with a PIDFD_NONBLOCK pidfd fails with EAGAIN if the child has not terminated."""
    fd = opened(sleeper.pid, PIDFD_NONBLOCK)
    assert not os.get_blocking(fd)  # otherwise the call below would block
    with fails_with(EAGAIN):
        os.waitid(os.P_PIDFD, fd, os.WEXITED)


@clause("waitid.not-a-pidfd-ebadf", "wait(2)", "ERRORS", errno=EBADF, since="5.4")
def test_waitid_p_pidfd_of_other_descriptor_fails(pipe):
    """waitid() with P_PIDFD fails with EBADF for a descriptor that is not a pidfd."""
    with fails_with(EBADF):
        os.waitid(os.P_PIDFD, pipe().read_fd, os.WEXITED | os.WNOHANG)
