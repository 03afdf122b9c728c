"""Orphans: a child is ended with all that it has started, however that has cut its ties; and nobody else is."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

import pytest

from pytest_ipc import PR_SET_CHILD_SUBREAPER, Deadline, prctl, process_state, scope, unpatched
from pytest_ipc.custody import orphans
from pytest_ipc.custody.identity import tag_of, tagged

from ..leaks import children
from ..processes import Running

SLEEPS = [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"]


def daemonise() -> int:
    """In a child: a process that has left it by every means there is; its pid."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
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
    child.end()
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
    child.end()
    assert tagged(tag) == []
    assert children() == {}


def test_an_unrelated_child_of_the_test_is_left_alone(fork):
    with Running(SLEEPS) as before:
        child = fork(daemonise)
        child.result()
        with Running(SLEEPS) as after:
            child.end()
            for process in (before, after):
                assert process.poll() is None
                process.kill()
                assert process.wait() == -signal.SIGKILL


def test_a_zombie_of_somebody_elses_keeps_its_status(fork):
    with Running([sys.executable, "-I", "-S", "-c", "raise SystemExit(7)"]) as other:
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        child = fork(daemonise)
        child.result()
        child.end()
        assert other.wait() == 7


def test_a_process_that_an_actors_own_test_started_is_not_its_parents(fork):
    """In the child, what it started by other means has the child's own tag: an actor of its own takes none of it along."""

    def life():
        with Running(SLEEPS) as other, scope() as ipc:
            nested = ipc.fork(daemonise)
            nested.result()
            nested.end()
            alive = other.poll() is None
            other.kill()
            other.wait()
            return alive, children()

    assert fork(life).result() == (True, {})


@pytest.mark.parametrize("end", ["by itself", "killed"])
def test_what_a_nested_child_left_goes_with_the_outer_one(fork, end):
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
    child.end()
    assert Deadline(30).until(lambda: all(process_state(pid) is None for pid in pids))
    assert children() == {}


def test_another_actor_that_lives_keeps_its_daemons(fork):
    def life():
        print(daemonise(), flush=True)
        signal.pause()

    first, second = fork(life), fork(life)
    for child in (first, second):
        child.wait_blocked("pause")
    ended = int(first.output)
    first.end()
    assert process_state(ended) is None
    assert process_state(int(second.output)) is not None
    second.end()
    assert children() == {}


@pytest.mark.parametrize("before", [False, True])
def test_the_process_is_a_subreaper_while_actors_live_and_then_what_it_was(before):
    was = is_subreaper()
    prctl(PR_SET_CHILD_SUBREAPER, int(before))
    try:
        with scope() as ipc:
            assert is_subreaper() is before
            first, second = ipc.fork(signal.pause), ipc.fork(signal.pause)
            assert is_subreaper()
            first.end()
            assert is_subreaper()
            second.end()
            assert is_subreaper() is before
            ipc.fork(int)
        assert is_subreaper() is before
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, int(was))


def test_a_process_that_cannot_be_ended_keeps_nobody_for_ever(fork, monkeypatch):
    child = fork(daemonise)
    daemon = child.result()
    monkeypatch.setattr(orphans, "_PATIENCE", 0.05)
    monkeypatch.setattr(orphans, "end_process", lambda _pid, _is_ours: None)
    with pytest.raises(OSError, match=f"process {daemon} below a child cannot be ended"):
        child.end()
    os.kill(daemon, signal.SIGKILL)
    os.waitpid(daemon, 0)


def test_where_children_are_not_listed_they_are_found_by_their_tag(fork, monkeypatch):
    child = fork(daemonise)
    daemon = child.result()
    real = os.listdir

    def missing(path):
        if path == "/proc/self/task":
            raise FileNotFoundError
        return real(path)

    monkeypatch.setattr(unpatched.os, "listdir", missing)
    child.end()
    monkeypatch.undo()
    assert process_state(daemon) is None
