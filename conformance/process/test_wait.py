"""wait(2): waiting for one child, any child or a group's children, and the status that is returned."""

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
def test_status_of_exited_child(fork):
    """waitpid() returns for a child that exited a status with WIFEXITED and the exit status."""

    def life() -> None:
        pid = bare_child(lambda: 42)
        found, status = os.waitpid(pid, 0)
        assert found == pid
        assert (os.WIFEXITED(status), os.WIFSIGNALED(status), os.WIFSTOPPED(status)) == (True, False, False)
        assert os.WEXITSTATUS(status) == 42

    fork(life).result()


@clause("wait.tells-of-a-signal", "wait(2)", "DESCRIPTION")
@pytest.mark.parametrize("signo", [SIGKILL, SIGTERM, SIGUSR1], ids=["SIGKILL", "SIGTERM", "SIGUSR1"])
def test_status_of_signalled_child(fork, signo):
    """waitpid() returns for a child terminated by a signal a status with WIFSIGNALED and that signal."""

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
def test_waitpid_blocks_until_child_terminates(fork, pipe):
    """waitpid() blocks while the child runs and returns when it has terminated."""
    go = pipe()

    def life() -> int:
        pid = bare_child(lambda: len(go.read(1, timeout=None)))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    parent = fork(life)
    parent.wait_blocked("wait4")
    go.write(b"!")
    assert parent.result() == 1


@clause("wait.nohang-tells-nothing-yet", "wait(2)", "RETURN VALUE")
def test_wnohang_does_not_block(fork):
    """waitpid() with WNOHANG returns 0 if no child has terminated, and the child's process ID if one has."""

    def life() -> None:
        with Child.start(pause) as child:
            assert os.waitpid(-1, os.WNOHANG) == (0, 0)
            child.signal(SIGTERM)
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            assert os.waitpid(child.pid, os.WNOHANG) == (child.pid, SIGTERM)
            assert child.wait() is None

    fork(life).result()


@clause("wait.once", "wait(2)", "ERRORS", errno=ECHILD)
def test_status_is_returned_once(fork):
    """The status of a terminated child is returned once; then waitpid() fails with ECHILD."""

    def life() -> None:
        pid = bare_child(lambda: 0)
        os.waitpid(pid, 0)
        with fails_with(ECHILD):
            os.waitpid(pid, 0)

    fork(life).result()


@clause("wait.echild", "wait(2)", "ERRORS", errno=ECHILD)
def test_waiting_without_child_fails(fork):
    """waitpid() fails with ECHILD if the caller has no children, the process is not its child, or no child is in the
    group.
    """

    def life() -> None:
        with fails_with(ECHILD):
            os.wait()
        with Child.start(pause):
            for pid in (os.getpid(), os.getppid(), NOBODY, -NOBODY):
                with fails_with(ECHILD):
                    os.waitpid(pid, os.WNOHANG)

    fork(life).result()


@clause("wait.einval", "wait(2)", "ERRORS", errno=EINVAL)
def test_invalid_options_fail(fork):
    """waitpid() fails with EINVAL for unknown options; waitid() also fails with EINVAL without WEXITED, WSTOPPED or
    WCONTINUED.
    """

    def life() -> None:
        with Child.start(pause) as child:
            with fails_with(EINVAL):
                os.waitpid(child.pid, 0x10)
            with fails_with(EINVAL):
                os.waitid(os.P_PID, child.pid, os.WNOHANG)

    fork(life).result()


@clause("wait.any-child", "wait(2)", "DESCRIPTION")
def test_wait_returns_each_child_once(fork):
    """wait() returns each terminated child once, in any order."""

    def life() -> None:
        children = {bare_child(partial(int, status)): status for status in range(5)}
        waited = [os.wait() for _ in children]
        assert {pid: os.waitstatus_to_exitcode(status) for pid, status in waited} == children
        with fails_with(ECHILD):
            os.wait()

    fork(life).result()


@clause("wait.one-child", "wait(2)", "DESCRIPTION")
def test_waitpid_for_one_child(fork):
    """waitpid() for one child does not reap another."""

    def life() -> None:
        first, second = bare_child(lambda: 1), bare_child(lambda: 2)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        assert os.waitpid(second, 0)[0] == second
        assert os.waitpid(first, 0)[0] == first

    fork(life).result()


@clause("wait.group", "wait(2)", "DESCRIPTION")
def test_waitpid_for_group(fork):
    """waitpid() with a pid less than -1 waits for children in that process group, with 0 for those in the caller's
    group.
    """

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
def test_wnowait_keeps_child_waitable(fork):
    """waitid() with WNOWAIT returns the status of a terminated child without reaping it."""

    def life() -> None:
        pid = bare_child(lambda: 9)
        for options in (os.WEXITED | os.WNOWAIT, os.WEXITED | os.WNOWAIT, os.WEXITED):
            info = os.waitid(os.P_PID, pid, options)
            assert info is not None
            assert (info.si_pid, info.si_uid, info.si_code, info.si_status) == (pid, os.getuid(), os.CLD_EXITED, 9)
        with fails_with(ECHILD):
            os.waitid(os.P_PID, pid, os.WEXITED)

    fork(life).result()
