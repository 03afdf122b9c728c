"""Who a process is: by pid and start time, dead when it is a zombie, and known by its tag wherever it has gone."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import threading

import pytest

from pytest_ipc import scope
from pytest_ipc.custody.identity import (
    RLIMIT_LOCKS,
    TAGS,
    Process,
    new_tag,
    set_tag,
    start_of,
    tag_of,
    tagged,
)
from pytest_ipc.custody.machine import boot_id
from pytest_ipc.custody.namespaces import pid_namespace
from pytest_ipc.kernel import Deadline, process_state
from pytest_ipc.kernel.namespace import CLONE_NEWPID, CLONE_NEWUSER, unshare

from .forging import dead_process


def test_this_process_is_alive_and_another_start_time_is_another_process():
    process = Process.current()
    state = process_state(os.getpid())
    assert state is not None
    assert process == Process(os.getpid(), state.starttime)
    assert process.alive()
    assert not Process(process.pid, process.start + 1).alive()
    assert not Process(process.pid, process.start - 1).alive()
    assert not dead_process().alive()


def test_a_zombie_has_ended_and_a_stopped_process_has_not(fork):
    child = fork(signal.pause)
    process = Process(child.pid, start_of(child.pid) or 0)
    child.signal(signal.SIGSTOP)
    child.wait_state("T")
    assert process.alive()
    child.signal(signal.SIGKILL)
    child.wait_state("Z")
    assert start_of(child.pid) == process.start
    assert not process.alive()


def test_a_name_with_parentheses_and_spaces_hides_no_start_time(fork):
    def life():
        with open("/proc/self/comm", "w") as file:
            file.write(") Z 1 (x")
        signal.pause()

    child = fork(life)
    child.wait_blocked("pause")
    state = process_state(child.pid)
    assert state is not None
    assert Process(child.pid, state.starttime).alive()


def test_the_boot_has_an_id_and_where_none_is_shown_it_is_empty(monkeypatch):
    with open("/proc/sys/kernel/random/boot_id") as file:
        assert boot_id() == file.read().strip()

    def missing(*_arguments, **_named):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("pytest_ipc.unpatched.io.open", missing)
    monkeypatch.setattr("pytest_ipc.unpatched.os.open", missing)
    monkeypatch.setattr("pytest_ipc.unpatched.os.stat", missing)
    assert boot_id.__wrapped__() == ""
    assert start_of(os.getpid()) is None
    assert tag_of(os.getpid()) is None


def test_tags_are_of_their_range_and_all_different():
    tags = {new_tag() for _ in range(1000)}
    assert len(tags) == 1000
    assert all(TAGS[0] <= tag <= TAGS[1] for tag in tags)


def test_a_tag_stays_through_two_forks_a_session_and_exec(fork):
    def life():
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.setsid()
            pid = os.fork()
            if pid:
                os.write(writer, str(pid).encode())
                os._exit(0)
            os.closerange(0, 64)
            os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"])
        os.wait()
        return int(os.read(reader, 20))

    child = fork(life)
    daemon = child.result()
    tag = tag_of(daemon)
    assert tag == tag_of(child.pid) or tag_of(child.pid) is None  # a reaped child shows none
    assert tag is not None
    assert TAGS[0] <= tag <= TAGS[1]
    assert Deadline(30).until(lambda: os.getsid(daemon) != os.getsid(0))
    assert tagged(tag) == [daemon]
    assert tag_of(os.getpid()) != tag
    child.close()
    assert tagged(tag) == []


def test_process_without_a_tag(fork):
    def life():
        hard = resource.getrlimit(RLIMIT_LOCKS)[1]
        resource.setrlimit(RLIMIT_LOCKS, (hard, hard))
        return tag_of("self"), tag_of(2**22 + 1)

    if resource.getrlimit(RLIMIT_LOCKS)[1] != resource.RLIM_INFINITY:
        pytest.skip("the limit of file locks has been lowered here")
    assert fork(life).result() == (None, None)


def test_lowered_limit_prevents_a_tag(fork):
    def life():
        resource.setrlimit(RLIMIT_LOCKS, (1000, 1000))
        os.setresuid(65534, 65534, 65534)
        return set_tag(new_tag())

    if os.geteuid() != 0:
        pytest.skip("needs a second user: this one is not root")
    assert fork(life).result() is False


def test_in_a_pid_namespace_of_its_own_a_process_is_known_by_the_number_in_proc(fork):
    def life():
        try:
            unshare(CLONE_NEWPID)
        except PermissionError:
            unshare(CLONE_NEWUSER | CLONE_NEWPID)
        with scope() as ipc:
            inner = ipc.fork(lambda: (os.getpid(), Process.current(), pid_namespace()))
            return inner.pid, inner.result()

    try:
        outer, (own, process, namespace) = fork(life).result()
    except PermissionError as error:
        pytest.skip(f"no PID namespace can be made here: {error}")
    assert (own, process.pid, namespace) == (1, outer, "")


def run_on_in_a_thread() -> None:
    """End the first thread of this process; another one sleeps on. The kernel shows the process as a zombie then."""
    threading.Thread(target=signal.pause).start()
    ctypes.CDLL(None).pthread_exit(None)


def has_no_first_thread(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"


def test_a_process_whose_first_thread_has_ended_lives_on(fork):
    child = fork(run_on_in_a_thread)
    process = Process(child.pid, start_of(child.pid) or 0)
    assert Deadline(30).until(lambda: has_no_first_thread(child.pid))
    assert process.alive()
    child.signal(signal.SIGKILL)
    assert Deadline(30).until(lambda: not process.alive())
