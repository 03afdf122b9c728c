"""A child that fails and for which nobody has waited fails the test at its end."""

from __future__ import annotations

import os
import signal
import threading
from functools import partial

import pytest

from pytest_ipc import ChildDied, Pipe, scope
from pytest_ipc.kernel import Deadline
from pytest_ipc.processes import tree


def fails() -> None:
    raise LookupError("planted")


def crashes(signo: int) -> None:
    signal.signal(signo, signal.SIG_DFL)
    os.kill(os.getpid(), signo)


def reads(pipe: Pipe) -> None:
    os.read(pipe.read_fd, 1)
    fails()


def sleep() -> None:
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    signal.pause()


def ended(pid: int) -> bool:
    """Whether it has ended, without reaping it."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def wait_for_end(pid: int) -> None:
    assert Deadline(30).until(lambda: ended(pid))


def test_an_exception_is_raised_with_the_childs_traceback():
    with pytest.raises(LookupError, match="planted") as caught, scope() as ipc:
        wait_for_end(ipc.fork(fails).pid)
    assert "for which nobody has waited" in caught.value.__notes__[0]
    assert "in fails" in caught.value.__notes__[0]


@pytest.mark.parametrize("signo", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_is_raised(signo):
    with (
        pytest.raises(ChildDied, match=f"was killed by {signo.name}, and nobody has waited for it"),
        scope() as ipc,
    ):
        wait_for_end(ipc.fork(crashes, signo).pid)


def test_a_program_that_crashes_is_raised():
    with pytest.raises(ChildDied, match="was killed by SIGSEGV"), scope() as ipc:
        wait_for_end(ipc.spawn(["sh", "-c", "ulimit -c 0; echo about to crash; kill -SEGV $$"]).pid)


@pytest.mark.parametrize("how", ["child", "program"])
def test_a_crash_in_the_last_moment_is_raised(monkeypatch, how):
    """After the look at how it ended, and before it is killed."""

    def crash(process):
        os.kill(process.pid, signal.SIGSEGV)
        wait_for_end(process.pid)
        return set()

    monkeypatch.setattr(tree, "descendants", crash)
    with pytest.raises(ChildDied, match="was killed by SIGSEGV, and nobody has waited for it"), scope() as ipc:
        (ipc.fork(sleep) if how == "child" else ipc.spawn(["sleep", "1000"])).wait_blocked()


def test_an_exception_in_the_last_moment_may_be_of_the_end_of_the_test(monkeypatch):
    """The test has removed what its child waited for."""
    with scope() as ipc:
        pipe = ipc.pipe()
        child = ipc.fork(reads, pipe)
        child.wait_blocked("read")

        def let_go(_process):
            os.write(pipe.write_fd, b"x")
            wait_for_end(child.pid)
            return set()

        monkeypatch.setattr(tree, "descendants", let_go)


@pytest.mark.parametrize("how", ["wait", "result", "returned", "unsendable", "may_fail", "sent", "alive", "killed"])
def test_what_the_test_knows_or_has_done_is_no_failure(how):
    with scope() as ipc:
        child = ipc.fork(crashes, signal.SIGSEGV) if how == "wait" else ipc.fork(fails)
        if how == "wait":
            assert child.wait() == -signal.SIGSEGV
        elif how == "result":
            with pytest.raises(LookupError):
                child.result()
        elif how == "may_fail":
            child.may_fail = True
        else:
            with pytest.raises(LookupError):
                child.result()
            other = ipc.fork({"returned": os.getpid, "unsendable": threading.Lock}.get(how, signal.pause))
            if how == "sent":
                other.wait_blocked("pause")
                other.signal(signal.SIGABRT)
                wait_for_end(other.pid)
            elif how in ("returned", "unsendable"):
                wait_for_end(other.pid)
            elif how == "killed":
                other.wait_blocked("pause")
                os.kill(other.pid, signal.SIGKILL)
                wait_for_end(other.pid)
        if how == "may_fail":
            wait_for_end(child.pid)


@pytest.mark.parametrize("start", [lambda ipc: ipc.fork, lambda ipc: ipc.fork.keeping()], ids=["fork", "keeping"])
def test_a_child_that_may_fail_is_no_failure(start):
    with scope() as ipc:
        raising = start(ipc)(divmod, 1, 0, may_fail=True)
        crashing = start(ipc)(crashes, signal.SIGSEGV, may_fail=True)
        assert raising.may_fail
        for child in (raising, crashing):
            wait_for_end(child.pid)
    with pytest.raises(ZeroDivisionError), scope() as ipc:
        start(ipc)(divmod, 1, 0, may_fail=True).result()  # who asks for it gets it
    with pytest.raises(ZeroDivisionError), scope() as ipc:
        wait_for_end(start(ipc)(divmod, 1, 0, may_fail=False).pid)


def test_a_function_gets_a_may_fail_of_its_own_by_partial():
    def life(*, may_fail: str) -> str:
        return may_fail

    with scope() as ipc:
        child = ipc.fork(partial(life, may_fail="its own"), may_fail=True)
        assert child.result() == "its own"
        assert child.may_fail is True


@pytest.mark.parametrize("how", ["wait", "returncode", "may_fail"])
def test_a_program_whose_end_is_known_is_no_failure(how):
    with scope() as ipc:
        program = ipc.spawn(["sh", "-c", "ulimit -c 0; kill -SEGV $$"], may_fail=how == "may_fail")
        if how == "wait":
            assert program.wait() == -signal.SIGSEGV
        else:
            wait_for_end(program.pid)
        if how == "returncode":
            assert program.returncode == -signal.SIGSEGV


def test_it_fails_the_test(pytester):
    pytester.makepyfile(
        """
        import os

        def test_forks(fork):
            def fails():
                raise LookupError("planted")
            child = fork(fails)
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*LookupError: planted*", "*for which nobody has waited*"])
