"""wait(2): waiting for children, one, any or a group's, and what is told of their ends."""

from __future__ import annotations

import os
from errno import ECHILD, EINVAL
from functools import partial
from signal import SIGKILL, SIGTERM, SIGUSR1

import pytest

from pytest_ipc import Child, clause, fails_with
from pytest_ipc.kernel import kill, pause

from ..signal.plain_child import NOBODY, bare_child


@clause("wait.tells-of-an-exit", "wait(2)", "DESCRIPTION")
def test_the_status_of_an_exit(fork):
    """Of a child that left by itself waitpid(2) tells just that, and its status."""

    def life() -> None:
        pid = bare_child(lambda: 42)
        found, status = os.waitpid(pid, 0)
        assert found == pid
        assert (os.WIFEXITED(status), os.WIFSIGNALED(status), os.WIFSTOPPED(status)) == (True, False, False)
        assert os.WEXITSTATUS(status) == 42

    fork(life).result()


@clause("wait.tells-of-a-signal", "wait(2)", "DESCRIPTION")
@pytest.mark.parametrize("signo", [SIGKILL, SIGTERM, SIGUSR1], ids=["SIGKILL", "SIGTERM", "SIGUSR1"])
def test_the_status_of_a_death_by_signal(fork, signo):
    """Of a child that a signal ended waitpid(2) tells just that, and which signal it was."""

    def die() -> int:
        kill(os.getpid(), signo)
        return 0

    def life() -> None:
        pid = bare_child(die)
        status = os.waitpid(pid, 0)[1]
        assert (os.WIFEXITED(status), os.WIFSIGNALED(status), os.WIFSTOPPED(status)) == (False, True, False)
        assert (os.WTERMSIG(status), os.WCOREDUMP(status)) == (signo, False)

    fork(life).result()


@clause("wait.blocks-until-a-child-ends", "wait(2)", "DESCRIPTION")
def test_wait_blocks_until_there_is_an_end(fork, pipe):
    """waitpid(2) blocks while the child runs, and returns when it has ended."""
    go = pipe()

    def life() -> int:
        pid = bare_child(lambda: len(go.read(1)))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    parent = fork(life)
    parent.wait_blocked("wait4")
    go.write(b"!")
    assert parent.result() == 1


@clause("wait.nohang-tells-nothing-yet", "wait(2)", "RETURN VALUE")
def test_nohang_does_not_wait(fork):
    """With WNOHANG waitpid(2) returns 0 at once while no child has ended, and the child's id when one has."""

    def life() -> None:
        with Child.start(pause) as child:
            assert os.waitpid(-1, os.WNOHANG) == (0, 0)
            child.signal(SIGTERM)
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            assert os.waitpid(child.pid, os.WNOHANG) == (child.pid, SIGTERM)
            assert child.wait() is None

    fork(life).result()


@clause("wait.once", "wait(2)", "ERRORS", errno=ECHILD)
def test_a_status_is_told_once(fork):
    """A child's end is told once; afterwards there is no such child."""

    def life() -> None:
        pid = bare_child(lambda: 0)
        os.waitpid(pid, 0)
        with fails_with(ECHILD):
            os.waitpid(pid, 0)

    fork(life).result()


@clause("wait.echild", "wait(2)", "ERRORS", errno=ECHILD)
def test_there_is_no_child_to_wait_for(fork):
    """Waiting fails where there is no child, where the process is not a child, and where no child is in the group."""

    def life() -> None:
        with fails_with(ECHILD):
            os.wait()
        with Child.start(pause):
            for nobody_s in (os.getpid(), os.getppid(), NOBODY, -NOBODY):
                with fails_with(ECHILD):
                    os.waitpid(nobody_s, os.WNOHANG)

    fork(life).result()


@clause("wait.einval", "wait(2)", "ERRORS", errno=EINVAL)
def test_unknown_options_are_refused(fork):
    """Options that are none are refused; waitid(2) also wants to be told what to wait for."""

    def life() -> None:
        with Child.start(pause) as child:
            with fails_with(EINVAL):
                os.waitpid(child.pid, 0x10)
            with fails_with(EINVAL):
                os.waitid(os.P_PID, child.pid, os.WNOHANG)

    fork(life).result()


@clause("wait.any-child", "wait(2)", "DESCRIPTION")
def test_any_child_will_do(fork):
    """Waiting for any child tells of each of them, once."""

    def life() -> None:
        children = {bare_child(partial(int, status)): status for status in range(5)}
        told = [os.wait() for _ in children]
        assert {pid: os.waitstatus_to_exitcode(status) for pid, status in told} == children
        with fails_with(ECHILD):
            os.wait()

    fork(life).result()


@clause("wait.one-child", "wait(2)", "DESCRIPTION")
def test_one_child_is_waited_for(fork):
    """Waiting for one child leaves the end of another for later."""

    def life() -> None:
        first, second = bare_child(lambda: 1), bare_child(lambda: 2)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        assert os.waitpid(second, 0)[0] == second
        assert os.waitpid(first, 0)[0] == first

    fork(life).result()


@clause("wait.group", "wait(2)", "DESCRIPTION")
def test_a_group_s_children_are_waited_for(fork):
    """A pid below -1 waits for children in that group, 0 for those in the caller's own, and both leave others' ends."""

    def lead() -> int:
        os.setpgid(0, 0)
        return 4

    def life() -> None:
        other, member, leader = bare_child(lead), bare_child(lambda: 3), bare_child(lead)
        for pid in (other, member, leader):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        for group, its in ((-leader, leader), (0, member)):
            assert os.waitpid(group, 0)[0] == its
            with fails_with(ECHILD):
                os.waitpid(group, 0)
        assert os.waitpid(other, 0)[0] == other

    fork(life).result()


@clause("waitid.nowait-leaves-it", "wait(2)", "waitid()")
def test_nowait_leaves_the_child_to_be_waited_for(fork):
    """With WNOWAIT waitid(2) tells of a child's end and leaves it: it can be waited for again."""

    def life() -> None:
        pid = bare_child(lambda: 9)
        for options in (os.WEXITED | os.WNOWAIT, os.WEXITED | os.WNOWAIT, os.WEXITED):
            told = os.waitid(os.P_PID, pid, options)
            assert told is not None
            assert (told.si_pid, told.si_uid, told.si_code, told.si_status) == (pid, os.getuid(), os.CLD_EXITED, 9)
        with fails_with(ECHILD):
            os.waitid(os.P_PID, pid, os.WEXITED)

    fork(life).result()
