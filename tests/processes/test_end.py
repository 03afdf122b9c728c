"""The end of a child: by itself, by its scope, with its group, with its parent, and reaped by another caller."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from errno import EINVAL, ENOSYS
from subprocess import Popen
from typing import Any

import pytest

import pytest_ipc.processes.leader
from pytest_ipc import scope, unpatched
from pytest_ipc.kernel import SA_NOCLDWAIT, Deadline, SigAction, pidfd_open, process_state, sigaction


def gone(pid: int) -> bool:
    """Return whether the process has ended. A zombie has: not every init reaps."""
    state = process_state(pid)
    return state is None or state.state == "Z"


def end_comes(pid: int) -> bool:
    return Deadline(10).until(lambda: gone(pid))


def leave_a_grandchild() -> int:
    """Return, in a child, the pid of a process in its group that outlives it and needs none of its descriptors."""
    return os.posix_spawn(sys.executable, [sys.executable, "-c", "import signal; signal.pause()"], {})


def test_a_child_ends_with_its_scope():
    with scope() as ipc:
        child = ipc.fork(signal.pause)
        child.wait_blocked("pause")
        assert child.alive
    assert gone(child.pid)
    assert (child.closed, child.alive, child.status) == (True, False, -signal.SIGKILL)


def test_ending_is_idempotent(fork):
    child = fork(signal.pause)
    child.close()
    child.close()
    child.close()
    assert child.status == -signal.SIGKILL
    ended = fork(int)
    assert ended.wait() == 0
    ended.close()
    assert ended.status == 0


def test_ending_a_child_ends_its_group(fork):
    def life():
        print(leave_a_grandchild(), flush=True)
        signal.pause()

    child = fork(life)
    child.wait_blocked("pause")
    grandchild = int(child.output)
    assert os.getpgid(grandchild) == child.pid
    assert not gone(grandchild)
    child.close()
    assert end_comes(grandchild)


@pytest.mark.parametrize("pidfd", ["here", "group flag missing", "missing"])
def test_group_of_an_ended_child_is_killed(fork, monkeypatch, pidfd):
    def refuse(number: int) -> Callable[..., None]:
        def call(*_arguments: object) -> None:
            raise OSError(number, os.strerror(number))

        return call

    if pidfd == "missing":
        monkeypatch.setattr(pytest_ipc.processes.leader, "pidfd_open", refuse(ENOSYS))
    elif pidfd == "group flag missing":
        monkeypatch.setattr(pytest_ipc.processes.leader, "pidfd_send_signal", refuse(EINVAL))
    child = fork(leave_a_grandchild)
    grandchild = child.result()
    assert not gone(grandchild)
    assert os.getpgid(grandchild) == child.pid
    child.close()
    assert end_comes(grandchild)


def test_a_child_that_left_its_group_ends_too(fork):
    other = fork(signal.pause)
    other.wait_blocked("pause")  # it leads its group by now

    def life():
        os.setpgid(0, other.pid)
        signal.pause()

    child = fork(life)
    child.wait_blocked("pause")
    assert os.getpgid(child.pid) == other.pid
    child.close()
    assert child.status == -signal.SIGKILL


def test_a_stopped_child_ends_too(fork):
    child = fork(signal.pause)
    child.signal(signal.SIGSTOP)
    child.wait_state("T")
    assert child.alive
    child.close()
    assert child.status == -signal.SIGKILL


def test_a_signal_reaches_the_child_and_no_one_after_it(fork):
    child = fork(signal.pause)
    child.wait_blocked("pause")
    child.signal(signal.SIGTERM)
    assert child.wait() == -signal.SIGTERM
    with pytest.raises(ProcessLookupError, match="has ended"):
        child.signal(signal.SIGTERM)


def test_a_zombie_has_ended(fork):
    child = fork(int)
    assert child.wait_state("Z") == "Z"
    assert not child.alive


def test_without_pidfds_everything_works(fork, monkeypatch):
    def missing(*_arguments):
        raise OSError(ENOSYS, os.strerror(ENOSYS))

    monkeypatch.setattr(pytest_ipc.processes.leader, "pidfd_open", missing)
    child = fork(signal.pause)
    assert child.pidfd is None
    child.wait_blocked("pause")
    with pytest.raises(TimeoutError):
        child.wait(timeout=0.01)
    child.signal(signal.SIGTERM)
    assert child.wait() == -signal.SIGTERM
    assert fork(lambda: 7).result() == 7
    left = fork(signal.pause)
    left.close()
    assert left.status == -signal.SIGKILL


def test_a_test_may_reap_the_child_itself(fork):
    child = fork(lambda: 7)
    assert os.waitpid(child.pid, 0) == (child.pid, 0)
    assert child.result() == 7
    assert (child.status, child.alive) == (None, False)
    killed = fork(signal.pause)
    os.kill(killed.pid, signal.SIGKILL)
    os.waitpid(killed.pid, 0)
    with pytest.raises(pytest_ipc.ChildDied, match=r"ended, and its status is lost: another call of wait\(2\) took it"):
        killed.result()
    ended = fork(signal.pause)
    os.kill(ended.pid, signal.SIGKILL)
    os.waitpid(ended.pid, 0)
    ended.close()
    assert ended.status is None


def test_foreign_reaped_child_is_not_killed_again(fork, monkeypatch):
    """Its number may belong to another process by then."""
    child = fork(int)
    os.waitpid(child.pid, 0)
    killed = []
    monkeypatch.setattr(unpatched.os, "kill", lambda *arguments: killed.append(arguments))
    monkeypatch.setattr(unpatched.os, "killpg", lambda *arguments: killed.append(arguments))
    child.close()
    assert killed == []


def test_a_test_may_ignore_sigchld(fork):
    def life():
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        with scope() as ipc:
            assert ipc.fork(lambda: 7).result() == 7
            sleeping = ipc.fork(signal.pause)
            sleeping.wait_blocked("pause")
        return sleeping.closed

    assert fork(life).result()


@pytest.mark.parametrize("how", ["SIG_IGN", "SA_NOCLDWAIT"])
def test_missing_status_is_reported(fork, how):
    def life():
        if how == "SIG_IGN":
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        else:
            sigaction(signal.SIGCHLD, SigAction(signal.SIG_DFL, SA_NOCLDWAIT, frozenset()))
        with scope() as ipc:
            killed = ipc.fork(signal.pause)
            os.kill(killed.pid, signal.SIGKILL)
            killed.result()

    with pytest.raises(pytest_ipc.ChildDied, match="ended, and its status is lost: SIGCHLD is ignored here"):
        fork(life).result()


def test_a_child_in_a_child_belongs_to_it(fork):
    def life():
        with scope() as ipc:
            return ipc.fork(os.getppid).result() == os.getpid()

    assert fork(life).result()


def test_child_does_not_end_its_siblings(fork):
    first = fork(signal.pause)
    first.wait_blocked("pause")

    def life():
        first.close()
        return first.closed

    assert fork(life).result() is False
    assert first.alive


PARENT = """
import os, signal
from pathlib import Path
{imports}

{header}
    child = {fork}(signal.pause)
    child.wait_blocked("pause")
    Path("pid.new").write_text(f"{{child.pid}} {{os.getpid()}}")
    os.rename("pid.new", "pid")
    signal.pause()
"""


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
@pytest.mark.parametrize("parent", ["pytest", "program", "thread"])
def test_a_child_dies_with_its_parent(pytester, parent, death):
    """By the kernel where the main thread started it, else by the reaper."""
    if parent == "pytest":
        source = PARENT.format(imports="", header="def test_parent(fork):", fork="fork")
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(pytester.makepyfile(source))]
    else:
        fork = (
            "ipc.fork" if parent == "program" else "(lambda life: ThreadPoolExecutor().submit(ipc.fork, life).result())"
        )
        imports = "from concurrent.futures import ThreadPoolExecutor\nfrom pytest_ipc import scope"
        source = PARENT.format(imports=imports, header="with scope() as ipc:", fork=fork)
        command = [sys.executable, str(pytester.makepyfile(source))]
    note, log = pytester.path / "pid", pytester.path / "log"
    with open(log, "wb") as output, Popen(command, cwd=pytester.path, stdout=output, stderr=output) as process:
        try:
            assert Deadline(30).until(lambda: note.exists() or process.poll() is not None)
            assert note.exists(), log.read_text()
            child, owner = map(int, note.read_text().split())
            pidfd = pidfd_open(child)
            os.kill(owner, death)
            assert process.wait(timeout=30) == -death
        finally:
            process.kill()
    try:
        assert Deadline(30).until(lambda: gone(child), pidfd)
    finally:
        os.close(pidfd)


def test_a_child_outlives_the_thread_that_started_it(fork):
    """PR_SET_PDEATHSIG, by which a child of the main thread dies with its parent, is about the thread."""
    children: list[Any] = []
    tasks = len(os.listdir("/proc/self/task"))

    def start() -> None:
        children.append(fork(signal.pause))
        children[0].wait_blocked("pause")

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    (child,) = children
    # join() returns when Python is through with the thread; what the kernel does at its end comes a moment later.
    assert Deadline(30).until(lambda: len(os.listdir("/proc/self/task")) == tasks)
    assert child.alive
    child.signal(signal.SIGTERM)
    assert child.wait() == -signal.SIGTERM


def test_threads_start_children_side_by_side(fork):
    filters = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        children = list(pool.map(lambda number: fork(lambda: number), range(20)))
    assert [child.result() for child in children] == list(range(20))
    # Hidden of this package's forks is all that has been added, in any order.
    added = [each for each in warnings.filters if each not in filters]
    assert all("bare_fork" in str(each) for each in added)
    assert len(added) <= 1


def test_a_child_whose_parent_died_before_it_could_be_tied_to_it_leaves(pytester):
    """The parent dies between fork and prctl: the child looks whether its parent is still the one."""
    source = """
        import os, signal
        import pytest_ipc.processes.child as children
        import pytest_ipc.processes.bootstrap as child
        from pytest_ipc import scope

        parent = os.getpid()
        real = child.prctl

        def late(*arguments):
            os.kill(parent, signal.SIGKILL)
            while os.getppid() == parent:
                os.sched_yield()
            return real(*arguments)

        child.prctl = late
        with scope() as ipc:
            ipc.fork(lambda: open("ran", "w").close()).wait()
    """
    done = subprocess.run([sys.executable, pytester.makepyfile(source)], cwd=pytester.path, timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (pytester.path / "ran").exists()
