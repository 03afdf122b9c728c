"""Orphans: a child is killed with all its descendants, even without ties, and no other process is."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from pytest_ipc import scope
from pytest_ipc.custody.identity import RLIMIT_LOCKS, tag_of, tagged
from pytest_ipc.kernel import PR_SET_CHILD_SUBREAPER, Deadline, prctl, process_state
from pytest_ipc.processes import tree

from ..leaks import children
from ..subprocesses import Running
from .owner import reapers
from .test_sweep import exists

SLEEPS = [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"]


def daemonise(first: Callable[[], object] = int) -> int:
    """In a child, start a daemon that runs *first* and detaches by all means. Return its pid."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            first()
            os.write(writer, str(os.getpid()).encode())
            os.chdir("/")
            os.closerange(0, 256)
            while True:
                signal.pause()
        os._exit(0)
    os.wait()
    pid = int(os.read(reader, 20))
    os.close(reader)
    os.close(writer)
    return pid


def is_subreaper() -> bool:
    found = ctypes.c_int()
    prctl(37, ctypes.addressof(found))  # PR_GET_CHILD_SUBREAPER
    return bool(found.value)


@pytest.mark.parametrize("end", ["returned", "killed", "ended"])
def test_a_daemon_ends_with_the_child_that_it_came_from_and_is_reaped(fork, end):
    def life():
        print(daemonise(), flush=True)
        if end != "returned":
            signal.pause()

    child = fork(life)
    if end == "returned":
        child.result()
    else:
        child.wait_blocked("pause")
    daemon = int(child.output)
    if end == "killed":
        child.signal(signal.SIGKILL)
        child.wait()
    state = process_state(daemon)
    assert state is not None
    assert state.state != "Z"
    child.close()
    assert process_state(daemon) is None  # not even a zombie
    assert children() == {}


def test_many_generations_end(fork):
    def life():
        pids = [daemonise() for _ in range(3)]
        nested = os.fork()
        if nested == 0:
            for _ in range(3):
                daemonise()
            os._exit(0)
        os.waitpid(nested, 0)
        return pids

    child = fork(life)
    pids = child.result()
    tag = tag_of(pids[0])
    assert tag is not None
    assert len(tagged(tag)) == 6
    child.close()
    assert tagged(tag) == []
    assert children() == {}


def test_unrelated_child_of_the_test_is_not_killed(fork):
    with Running(SLEEPS) as before:
        child = fork(daemonise)
        child.result()
        with Running(SLEEPS) as after:
            child.close()
            for process in (before, after):
                assert process.poll() is None
                process.kill()
                assert process.wait() == -signal.SIGKILL


def test_foreign_zombie_keeps_its_status(fork):
    with Running([sys.executable, "-I", "-S", "-c", "raise SystemExit(7)"]) as other:
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        child = fork(daemonise)
        child.result()
        child.close()
        assert other.wait() == 7


def test_process_started_in_a_child_is_not_the_parents(fork):
    """Processes that a child starts by other means have its tag: ending a nested child spares them."""

    def life():
        with Running(SLEEPS) as other, scope() as ipc:
            nested = ipc.fork(daemonise)
            nested.result()
            nested.close()
            alive = other.poll() is None
            other.kill()
            other.wait()
            return alive, children()

    assert fork(life).result() == (True, {})


@pytest.mark.parametrize("end", ["by itself", "killed"])
def test_leftovers_of_a_nested_child_end_with_the_outer_one(fork, end):
    def nested_life():
        print(daemonise(), daemonise(), flush=True)
        signal.pause()

    def life():
        with scope() as ipc:
            nested = ipc.fork(nested_life)
            nested.wait_blocked("pause")
            print(nested.pid, nested.output, flush=True)
            if end == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(0)

    child = fork(life)
    child.wait()
    pids = list(map(int, child.output.split()))
    assert len(pids) == 3
    child.close()
    assert Deadline(30).until(lambda: all(process_state(pid) is None for pid in pids))
    assert children() == {}


def test_living_child_keeps_its_daemons(fork):
    def life():
        print(daemonise(), flush=True)
        signal.pause()

    first, second = fork(life), fork(life)
    for child in (first, second):
        child.wait_blocked("pause")
    ended = int(first.output)
    first.close()
    assert process_state(ended) is None
    assert process_state(int(second.output)) is not None
    second.close()
    assert children() == {}


@pytest.mark.parametrize("before", [False, True])
def test_subreaper_setting_is_restored_after_the_last_child(before):
    was = is_subreaper()
    prctl(PR_SET_CHILD_SUBREAPER, int(before))
    try:
        with scope() as ipc:
            assert is_subreaper() is before
            first, second = ipc.fork(signal.pause), ipc.fork(signal.pause)
            assert is_subreaper()
            first.close()
            assert is_subreaper()
            second.close()
            assert is_subreaper() is before
            ipc.fork(int)
        assert is_subreaper() is before
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, int(was))


def test_unkillable_process_ends_in_an_error(fork, monkeypatch):
    child = fork(daemonise)
    daemon = child.result()
    monkeypatch.setattr(tree, "_PATIENCE", 0.05)
    monkeypatch.setattr(tree, "signal_process", lambda *_arguments: True)
    with pytest.raises(OSError, match=f"process {daemon}, a descendant of a child, cannot be killed"):
        child.close()
    os.kill(daemon, signal.SIGKILL)
    os.waitpid(daemon, 0)


def test_a_thread_that_looks_for_orphans_does_not_reap_the_child_that_another_is_starting(fork, monkeypatch):
    """The list of orphans is then older than what is known of the child."""
    child = fork(int)
    child.wait_state("Z")
    (tag,) = [tag for tag, process in tree._children.items() if process == child._process]
    tree._children[tag] = None

    def tag_of_meanwhile_started(pid: int) -> int | None:
        tree.started(tag, child._process)
        return tag_of(pid)

    monkeypatch.setattr(tree, "tag_of", tag_of_meanwhile_started)
    tree._reap_orphans()
    assert child.wait() == 0


def test_all_processes_are_searched_if_children_are_not_listed(fork, monkeypatch):
    child = fork(daemonise)
    daemon = child.result()
    monkeypatch.setattr(tree, "lists_children", lambda: False)
    child.close()
    assert process_state(daemon) is None


def lose_tag() -> None:
    """As pam_limits does in su and runuser, and prlimit(1) on request."""
    resource.setrlimit(RLIMIT_LOCKS, (resource.getrlimit(RLIMIT_LOCKS)[1],) * 2)
    assert tag_of("self") is None


def untagged_daemon() -> int:
    return daemonise(lose_tag)


@pytest.mark.parametrize("end", ["returned", "ended"])
def test_a_daemon_that_has_lost_its_tag_ends_with_the_child_that_it_came_from(fork, end):
    def life():
        print(untagged_daemon(), flush=True)
        if end != "returned":
            signal.pause()

    child = fork(life)
    if end == "returned":
        child.result()
    else:
        child.wait_blocked("pause")
    daemon = int(child.output)
    assert tag_of(daemon) is None
    child.close()
    assert process_state(daemon) is None
    assert children() == {}


@pytest.mark.parametrize(
    "command", ["su nobody -s /bin/sh -c", "runuser -u nobody -- sh -c", "prlimit --locks=1000: sh -c"]
)
def test_a_daemon_started_as_another_user_or_with_other_limits_ends_with_its_child(fork, command):
    if os.geteuid() != 0 or shutil.which(command.split()[0]) is None:
        pytest.skip(f"needs root and {command.split()[0]}")

    def life():
        done = subprocess.run(
            [*command.split(), "setsid sleep 1000 >/dev/null 2>&1 & echo $!"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return int(done.stdout)

    child = fork(life)
    daemon = child.result(timeout=30)
    # The number is setsid's, which becomes sleep; or forks, where it leads a group.
    assert process_state(daemon) is not None
    child.close()
    assert process_state(daemon) is None
    assert children() == {}


def test_orphan_of_either_child_ends_with_the_last(fork):
    first, second = fork(untagged_daemon), fork(signal.pause)
    daemon = first.result()
    first.close()
    assert process_state(daemon) is not None
    second.close()
    assert process_state(daemon) is None
    assert children() == {}


def test_descendants_of_a_killed_child_end_with_it(fork):
    """Without a tag it may be of either of two children; but its parent was seen."""

    def life():
        if os.fork() == 0:
            lose_tag()
            os.setsid()
            print(os.getpid(), flush=True)
            while True:
                signal.pause()
        signal.pause()

    first = fork(life)
    fork(signal.pause)
    first.wait_blocked("pause")
    assert Deadline(10).until(lambda: "\n" in first.output)
    below = int(first.output)
    first.close()
    assert process_state(below) is None


def test_untagged_process_of_the_test_is_not_killed(fork):
    source = (
        "import resource, signal; resource.setrlimit(10, (resource.getrlimit(10)[1],) * 2); print(flush=True); "
        "signal.pause()"
    )
    child = fork(signal.pause)
    with Running([sys.executable, "-I", "-S", "-c", source], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline()
        child.close()
        assert other.poll() is None
        other.kill()


def test_orphans_that_have_ended_are_reaped_while_their_child_lives(fork):
    def life():
        for _ in range(20):
            if (middle := os.fork()) == 0:
                if os.fork() == 0:
                    os._exit(0)
                os._exit(0)
            os.waitpid(middle, 0)
        signal.pause()

    child = fork(life)
    child.wait_blocked("pause")
    assert Deadline(10).until(lambda: [*children().values()].count("state Z") == 20)
    other = fork(signal.pause)
    assert set(children()) == {child.pid, other.pid}


RUN = """
import signal
from pytest_ipc import scope
with scope() as ipc:
    print(ipc.sysv_shm().id, ipc.fifo().path, flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("end", ["returned", "ended"])
def test_a_run_below_a_child_is_cleared_up_by_its_own_reaper_before_the_child_has_ended(fork, end):
    """The reaper has the child's tag and is an orphan of the child; it is given the time for its work."""

    def life():
        run = subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True)
        assert run.stdout is not None
        print(run.pid, run.stdout.readline(), flush=True)
        if end == "returned":
            os._exit(0)
        signal.pause()

    child = fork(life)
    if end == "returned":
        child.wait(timeout=30)
    else:
        child.wait_blocked("pause", timeout=30)
    run, segment, path = child.output.split()
    (reaper,) = reapers(int(run))
    assert exists(int(segment))
    child.close()
    assert not exists(int(segment))
    assert not os.path.exists(path)
    assert process_state(reaper) is None
    assert children() == {}


@pytest.mark.parametrize("when", ["the next is started", "the last has ended"])
def test_a_daemon_of_the_tests_own_program_is_reaped_where_its_session_shows_that_it_is_one(fork, when):
    """Its session is another process's, into which only that process can have put it: this process did not start it."""
    child = fork(signal.pause)
    source = "import os; os.setsid(); os.fork() and os._exit(0); print(os.getpid(), flush=True)"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert Deadline(10).until(lambda: children().get(int(done.stdout)) == "state Z")
    if when == "the next is started":
        other = fork(signal.pause)
        assert set(children()) == {child.pid, other.pid}
    else:
        child.close()
        assert children() == {}


def test_zombie_of_the_test_is_not_reaped(fork):
    with Running([sys.executable, "-c", "raise SystemExit(7)"], start_new_session=True) as other:
        child = fork(signal.pause)
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        fork(signal.pause).close()
        child.close()
        assert other.wait() == 7
