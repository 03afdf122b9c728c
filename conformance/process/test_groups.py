"""setpgid(2), setsid(2), credentials(7): process groups and sessions."""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import EACCES, EINVAL, EPERM, ESRCH
from signal import SIGHUP, SIGSTOP
from typing import Any

import pytest

from pytest_ipc import Child, clause, fails_with
from pytest_ipc.kernel import pause, sigtimedwait

from ..signal.plain_child import NOBODY, SOON, bare_child, become_program, leave_session, printed


@pytest.fixture
def sleeper(fork) -> Callable[[], Child[Any]]:
    """Start a child that sleeps in its own group: sleeper()."""

    def start() -> Child[Any]:
        child: Child[Any] = fork(pause)
        child.wait_blocked("pause")
        return child

    return start


@clause("setpgid.own-group", "setpgid(2)", "DESCRIPTION")
def test_setpgid_creates_own_group(fork, sleeper):
    """setpgid(0, 0) makes the caller the leader of a new process group with its process ID."""
    other = sleeper()

    def life() -> tuple[int, int]:
        os.setpgid(0, other.pid)
        joined = os.getpgid(0)
        os.setpgid(0, 0)
        return joined, os.getpgrp()

    child = fork(life)
    assert child.result() == (other.pid, child.pid)


@clause("setpgid.moves-a-child", "setpgid(2)", "DESCRIPTION")
def test_parent_moves_child(sleeper):
    """setpgid() can move a child to another group of the session, or make it the leader of its own group."""
    leader, child = sleeper(), sleeper()
    os.setpgid(child.pid, leader.pid)
    assert os.getpgid(child.pid) == leader.pid
    os.setpgid(child.pid, 0)
    assert os.getpgid(child.pid) == child.pid


@clause("setpgid.after-exec-eacces", "setpgid(2)", "ERRORS", errno=EACCES)
def test_child_after_execve_cannot_be_moved(fork, sleeper, pipe):
    """setpgid() of a child fails with EACCES after the child has called execve()."""
    leader, ready, go = sleeper(), pipe(), pipe()
    source = "import os, sys; os.write(int(sys.argv[1]), b'!'); os.read(int(sys.argv[2]), 1)"

    def life() -> None:
        for fd in (ready.write_fd, go.read_fd):
            os.set_inheritable(fd, True)
        become_program(source, ready.write_fd, go.read_fd)

    child = fork(life)
    assert ready.read(1) == b"!"
    with fails_with(EACCES):
        os.setpgid(child.pid, leader.pid)
    assert os.getpgid(child.pid) == child.pid


@clause("setpgid.negative-einval", "setpgid(2)", "ERRORS", errno=EINVAL)
def test_negative_group_fails(fork):
    """setpgid() fails with EINVAL if pgid is negative."""

    def life() -> bool:
        with fails_with(EINVAL):
            os.setpgid(0, -1)
        return os.getpgrp() == os.getpid()

    assert fork(life).result()


@clause("setpgid.no-such-group-eperm", "setpgid(2)", "ERRORS", errno=EPERM)
def test_nonexistent_group_fails(fork):
    """setpgid() fails with EPERM if no group of the session has the ID pgid."""

    def life() -> None:
        with fails_with(EPERM):
            os.setpgid(0, NOBODY)

    fork(life).result()


@clause("setpgid.other-session-eperm", "setpgid(2)", "ERRORS", errno=EPERM)
def test_group_of_other_session_fails(fork, sleeper):
    """setpgid() fails with EPERM for a group of another session."""
    member, other = sleeper(), sleeper()

    def life() -> None:
        leave_session(member)
        inner = bare_child(lambda: refused(other.pid))
        assert os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]) == 0

    def refused(group: int) -> int:
        with fails_with(EPERM):
            os.setpgid(0, group)
        return 0

    fork(life).result()


@clause("setpgid.session-leader-eperm", "setpgid(2)", "ERRORS", errno=EPERM)
def test_session_leader_cannot_be_moved(fork, sleeper):
    """setpgid() of a session leader fails with EPERM, even for its own group."""
    member = sleeper()

    def life() -> bool:
        leave_session(member)
        with fails_with(EPERM):
            os.setpgid(0, 0)
        return os.getpgrp() == os.getpid()

    assert fork(life).result()


@clause("setpgid.not-a-child-esrch", "setpgid(2)", "ERRORS", errno=ESRCH)
def test_setpgid_of_other_process_fails(fork, sleeper):
    """setpgid() fails with ESRCH for a process that does not exist or is neither the caller nor its child."""
    other = sleeper()

    def life() -> None:
        for pid in (other.pid, NOBODY):
            with fails_with(ESRCH):
                os.setpgid(pid, pid)

    fork(life).result()


@clause("getpgid.esrch", "setpgid(2)", "ERRORS", errno=ESRCH)
def test_group_of_nonexistent_process_fails():
    """getpgid() and getsid() fail with ESRCH for a process that does not exist."""
    with fails_with(ESRCH):
        os.getpgid(NOBODY)
    with fails_with(ESRCH):
        os.getsid(NOBODY)


@clause("setsid.new-session-and-group", "setsid(2)", "DESCRIPTION")
def test_setsid_creates_session_and_group(fork, sleeper):
    """setsid() makes the caller the leader of a new session and a new process group, both with its process ID."""
    member = sleeper()

    def life() -> tuple[int, int, int]:
        os.setpgid(0, member.pid)
        os.setsid()
        return os.getpid(), os.getpgrp(), os.getsid(0)

    child = fork(life)
    assert child.result() == (child.pid,) * 3
    assert os.getsid(member.pid) == os.getsid(0)


@clause("setsid.group-leader-eperm", "setsid(2)", "ERRORS", errno=EPERM)
def test_setsid_by_group_leader_fails(fork):
    """setsid() fails with EPERM if the caller is a process group leader, and does not change its session."""

    def life() -> int:
        with fails_with(EPERM):
            os.setsid()
        return os.getsid(0)

    assert fork(life).result() == os.getsid(0)


@clause("setsid.group-number-in-use-eperm", "setsid(2)", "ERRORS", errno=EPERM)
def test_setsid_with_existing_group_id_fails(fork, sleeper):
    """setsid() fails with EPERM if a process group with the caller's ID exists, even if the caller has left it."""
    other = sleeper()

    def life() -> None:
        with Child.start(pause) as member:
            member.wait_blocked("pause")
            os.setpgid(member.pid, os.getpid())
            os.setpgid(0, other.pid)
            with fails_with(EPERM):
                os.setsid()

    fork(life).result()


@clause("setpgid.orphaned-stopped-group-is-hung-up", "setpgid(2)", "NOTES")
def test_orphaned_stopped_group_gets_sighup(fork, signals, sleeper, pipe):
    """When the end of a process orphans a group with a stopped member, every member gets SIGHUP and SIGCONT."""
    member, received = sleeper(), pipe()

    def hung_up() -> int:
        received.write(bytes([sigtimedwait({SIGHUP}, SOON).signo]))
        return 0

    def session() -> None:
        leave_session(member)  # from now on only this process connects the group below with its session
        signals.block(SIGHUP)

        def stopped() -> int:
            os.setpgid(0, 0)
            os.kill(os.getpid(), SIGSTOP)
            return hung_up()

        child = bare_child(stopped)
        os.waitpid(child, os.WUNTRACED)
        os.setpgid(bare_child(hung_up), child)  # another member, which is not stopped

    fork(session).result()
    received.close_write()
    assert [received.read(1), received.read(1)] == [bytes([SIGHUP])] * 2


@clause("setsid.exec-and-fork-keep-it", "setsid(2)", "NOTES")
def test_fork_and_execve_keep_session(fork, sleeper):
    """fork() and execve() keep the session."""
    member = sleeper()

    def life() -> None:
        leave_session(member)
        same = bare_child(lambda: int(os.getsid(0) != os.getppid()))
        assert os.waitpid(same, 0)[1] == 0
        become_program("import os; print(os.getsid(0))")

    leader = fork(life)
    assert printed(leader) == str(leader.pid)
