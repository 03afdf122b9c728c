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
    """Start a child that sleeps, in a group of its own: sleeper()."""

    def start() -> Child[Any]:
        child: Child[Any] = fork(pause)
        child.wait_blocked("pause")
        return child

    return start


@clause("setpgid.own-group", "setpgid(2)", "DESCRIPTION")
def test_a_process_makes_a_group_of_its_own(fork, sleeper):
    """With zeros for process and group a process becomes the leader of a new group, whose number is its own."""
    other = sleeper()

    def life() -> tuple[int, int]:
        os.setpgid(0, other.pid)
        joined = os.getpgid(0)
        os.setpgid(0, 0)
        return joined, os.getpgrp()

    child = fork(life)
    assert child.result() == (other.pid, child.pid)


@clause("setpgid.moves-a-child", "setpgid(2)", "DESCRIPTION")
def test_a_parent_moves_its_child(sleeper):
    """A process can put its child into a group of its session, or make it the leader of its own."""
    leader, child = sleeper(), sleeper()
    os.setpgid(child.pid, leader.pid)
    assert os.getpgid(child.pid) == leader.pid
    os.setpgid(child.pid, 0)
    assert os.getpgid(child.pid) == child.pid


@clause("setpgid.after-exec-eacces", "setpgid(2)", "ERRORS", errno=EACCES)
def test_a_child_that_runs_another_program_is_not_moved(fork, sleeper, pipe):
    """A child that has executed another program can no longer be moved by its parent."""
    leader, told, go = sleeper(), pipe(), pipe()
    source = "import os, sys; os.write(int(sys.argv[1]), b'!'); os.read(int(sys.argv[2]), 1)"

    def life() -> None:
        for fd in (told.write_fd, go.read_fd):
            os.set_inheritable(fd, True)
        become_program(source, told.write_fd, go.read_fd)

    child = fork(life)
    assert told.read(1) == b"!"
    with fails_with(EACCES):
        os.setpgid(child.pid, leader.pid)
    assert os.getpgid(child.pid) == child.pid


@clause("setpgid.negative-einval", "setpgid(2)", "ERRORS", errno=EINVAL)
def test_no_group_has_a_negative_number(fork):
    """A group number below zero is refused."""

    def life() -> bool:
        with fails_with(EINVAL):
            os.setpgid(0, -1)
        return os.getpgrp() == os.getpid()

    assert fork(life).result()


@clause("setpgid.no-such-group-eperm", "setpgid(2)", "ERRORS", errno=EPERM)
def test_a_group_that_is_not_there_cannot_be_joined(fork):
    """A process cannot be put into a group that does not exist in its session."""

    def life() -> None:
        with fails_with(EPERM):
            os.setpgid(0, NOBODY)

    fork(life).result()


@clause("setpgid.other-session-eperm", "setpgid(2)", "ERRORS", errno=EPERM)
def test_a_group_of_another_session_cannot_be_joined(fork, sleeper):
    """A process cannot be put into a group of another session."""
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
def test_the_leader_of_a_session_stays_in_its_group(fork, sleeper):
    """The leader of a session cannot be put into another group, nor anew into its own."""
    member = sleeper()

    def life() -> bool:
        leave_session(member)
        with fails_with(EPERM):
            os.setpgid(0, 0)
        return os.getpgrp() == os.getpid()

    assert fork(life).result()


@clause("setpgid.not-a-child-esrch", "setpgid(2)", "ERRORS", errno=ESRCH)
def test_only_a_child_can_be_moved(fork, sleeper):
    """A process that is neither the caller nor a child of it cannot be moved, nor one that does not exist."""
    other = sleeper()

    def life() -> None:
        for pid in (other.pid, NOBODY):
            with fails_with(ESRCH):
                os.setpgid(pid, pid)

    fork(life).result()


@clause("getpgid.esrch", "setpgid(2)", "ERRORS", errno=ESRCH)
def test_nobody_has_no_group():
    """The group and the session of a process that does not exist cannot be asked for."""
    with fails_with(ESRCH):
        os.getpgid(NOBODY)
    with fails_with(ESRCH):
        os.getsid(NOBODY)


@clause("setsid.new-session-and-group", "setsid(2)", "DESCRIPTION")
def test_a_new_session_has_its_maker_for_leader(fork, sleeper):
    """setsid(2) makes the caller the leader of a new session and of a new group in it, both with its number."""
    member = sleeper()

    def life() -> tuple[int, int, int]:
        os.setpgid(0, member.pid)
        os.setsid()
        return os.getpid(), os.getpgrp(), os.getsid(0)

    child = fork(life)
    assert child.result() == (child.pid,) * 3
    assert os.getsid(member.pid) == os.getsid(0)


@clause("setsid.group-leader-eperm", "setsid(2)", "ERRORS", errno=EPERM)
def test_the_leader_of_a_group_makes_no_session(fork):
    """The leader of a group cannot make a session, and stays in its own."""

    def life() -> int:
        with fails_with(EPERM):
            os.setsid()
        return os.getsid(0)

    assert fork(life).result() == os.getsid(0)


@clause("setsid.group-number-in-use-eperm", "setsid(2)", "ERRORS", errno=EPERM)
def test_a_group_with_the_callers_number_is_enough(fork, sleeper):
    """A process whose number is still that of a group with members cannot make a session, though it has left that group."""
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
def test_a_stopped_group_that_becomes_orphaned_is_told(fork, signals, sleeper, pipe):
    """When a process's end leaves a group with a stopped member orphaned, every member gets SIGHUP and SIGCONT."""
    member, told = sleeper(), pipe()

    def hung_up() -> int:
        told.write(bytes([sigtimedwait({SIGHUP}, SOON).signo]))
        return 0

    def session() -> None:
        leave_session(member)  # from here on only this process connects the group below with its session
        signals.block(SIGHUP)

        def stopped() -> int:
            os.setpgid(0, 0)
            os.kill(os.getpid(), SIGSTOP)
            return hung_up()

        child = bare_child(stopped)
        os.waitpid(child, os.WUNTRACED)
        os.setpgid(bare_child(hung_up), child)  # another member, which is not stopped

    fork(session).result()
    told.close_write()
    assert [told.read(1), told.read(1)] == [bytes([SIGHUP])] * 2


@clause("setsid.exec-and-fork-keep-it", "setsid(2)", "NOTES")
def test_children_and_programs_are_in_the_same_session(fork, sleeper):
    """A child is in its parent's session, and so is the program that it executes."""
    member = sleeper()

    def life() -> None:
        leave_session(member)
        same = bare_child(lambda: int(os.getsid(0) != os.getppid()))
        assert os.waitpid(same, 0)[1] == 0
        become_program("import os; print(os.getsid(0))")

    leader = fork(life)
    assert printed(leader) == str(leader.pid)
