"""Whether a child sleeps, and in what, by the kernel's own account; and what it did instead."""

from __future__ import annotations

import ctypes
import os
import signal
import time

import pytest

from pytest_ipc import ChildDied, scope, unpatched
from pytest_ipc.kernel import proc


def spin() -> None:
    while True:
        pass


def test_a_child_is_seen_to_sleep_in_a_call(fork, pipe):
    ends = pipe()
    child = fork(os.read, ends.read_fd, 1)
    child.wait_blocked("read")
    assert child.source == ("syscall" if proc.process_syscall(child.pid) else "state")
    ends.write(b"x")
    assert child.result() == b"x"


@pytest.mark.parametrize("call", ["open", "openat"])
def test_the_name_a_program_uses_is_as_good_as_the_calls(fork, fifo, call):
    fork(os.open, fifo().path, os.O_RDONLY).wait_blocked(call)


@pytest.mark.parametrize(
    ("call", "sleep"),
    [
        ("pause", signal.pause),
        ("sleep", lambda: time.sleep(600)),
        ("sigwait", lambda: signal.sigwait([signal.SIGUSR1])),
        ("wait", lambda: os.waitpid(os.posix_spawn("/bin/sleep", ["sleep", "600"], {}), 0)),
    ],
    ids=["pause", "sleep", "sigwait", "wait"],
)
def test_calls_that_libc_makes_in_anothers_stead_are_known(fork, call, sleep):
    fork(sleep).wait_blocked(call)


def test_any_sleep_will_do_without_a_name(fork, pipe):
    child = fork(os.read, pipe().read_fd, 1)
    child.wait_blocked()
    state = proc.process_state(child.pid)
    assert state is not None
    assert state.state == "S"


def test_a_child_that_runs_is_not_asleep(fork):
    child = fork(spin)
    with pytest.raises(TimeoutError, match=r"waited 0.2 s for <child \d+ \(spin\)> to sleep; it was in state R"):
        child.wait_blocked(timeout=0.2)


def test_other_sleep_is_reported(fork, pipe):
    child = fork(os.read, pipe().read_fd, 7)
    child.wait_blocked("read")
    with pytest.raises(
        TimeoutError, match=r"to sleep in openat; it was in state S, in read\(0x\w+, .*waiting in "
    ) as caught:
        child.wait_blocked("openat", timeout=0.05)
    assert "0x7" in str(caught.value)


def test_output_of_the_child_is_reported(fork, pipe):
    def life(fd):
        print("about to read")
        os.read(fd, 1)

    child = fork(life, pipe().read_fd)
    child.wait_blocked("read")
    with pytest.raises(TimeoutError, match="its output was:\nabout to read"):
        child.wait_blocked("openat", timeout=0)


@pytest.mark.parametrize(
    ("end", "text"),
    [(lambda: os._exit(3), "exited with status 3"), (lambda: os.kill(os.getpid(), 9), "killed by SIGKILL")],
)
def test_child_that_ends_instead_is_reported_at_once(fork, end, text):
    with pytest.raises(ChildDied, match=rf"waited for <child \d+ .*> to sleep in read, but it .*{text}") as caught:
        fork(end).wait_blocked("read", timeout=600)
    assert caught.value.status is not None


def test_an_unknown_call_is_refused(fork, pipe):
    child = fork(os.read, pipe().read_fd, 1)
    with pytest.raises(ValueError, match=r"system call must be one of .*, not 'raed'"):
        child.wait_blocked("raed")


WAITS = {
    "blocked": lambda child: child.wait_blocked(timeout=600),
    "state": lambda child: child.wait_state("S", timeout=600),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_wait_fails_at_once_without_proc(fork, pipe, monkeypatch, wait):
    child = fork(os.read, pipe().read_fd, 1)
    child.wait_blocked()
    real = unpatched.os.stat
    monkeypatch.setattr(proc, "process_state", lambda _pid: None)
    with monkeypatch.context() as patch:
        patch.setattr(
            unpatched.os, "stat", lambda path, **more: real("/nowhere" if "/proc" in str(path) else path, **more)
        )
        with pytest.raises(FileNotFoundError, match=f"the state of <child {child.pid} .*/proc/{child.pid}/stat"):
            wait(child)


def test_where_the_call_is_not_shown_the_state_must_do(fork, pipe, monkeypatch):
    monkeypatch.setattr(proc, "process_syscall", lambda _pid: None)
    ends = pipe()
    child = fork(os.read, ends.read_fd, 1)
    child.wait_blocked("read")
    assert child.source == "state"
    running = fork(spin)
    with pytest.raises(TimeoutError, match="to sleep in read; it was in state R"):
        running.wait_blocked("read", timeout=0.2)
    assert running.source == "state"


def test_where_the_machines_numbers_are_not_known_any_sleep_must_do(fork, pipe, monkeypatch):
    import pytest_ipc.processes.sleep_watch

    monkeypatch.setattr(pytest_ipc.processes.sleep_watch, "numbers_of", lambda _call: frozenset())
    fork(os.read, pipe().read_fd, 1).wait_blocked("read")
    with pytest.raises(TimeoutError, match="in state R"):
        fork(spin).wait_blocked("read", timeout=0.2)


def test_sleep_before_the_function_starts_does_not_count(monkeypatch):
    """What a child sleeps in while it is made ready is this package's own business."""
    libc = ctypes.CDLL(None)
    gate, opened = os.pipe()

    def hold(*_arguments):
        os.read(gate, 1)

    with scope() as ipc:
        with monkeypatch.context() as patch:
            patch.setattr("pytest_ipc.processes.bootstrap._settle", hold)
            child = ipc.fork(libc.pause)
        with pytest.raises(TimeoutError, match=r"to sleep in read; .*before its function started"):
            child.wait_blocked("read", timeout=0.1)
        os.write(opened, b"x")
        child.wait_blocked("pause")
    os.close(gate)
    os.close(opened)


def test_a_state_can_be_waited_for(fork, pipe):
    child = fork(os.read, pipe().read_fd, 1)
    child.wait_blocked("read")
    child.signal(signal.SIGSTOP)
    assert child.wait_state("T") == "T"
    child.signal(signal.SIGCONT)
    assert child.wait_state("SR") in "SR"
    with pytest.raises(TimeoutError, match=r"to be in state Z; it was in state [SR]"):
        child.wait_state("Z", timeout=0.01)
    child.signal(signal.SIGKILL)
    assert child.wait_state("ZX") in "ZX"


@pytest.mark.parametrize(("call", "argument", "error"), [(os._exit, 3, ChildDied), (os.close, 999, OSError)])
def test_ended_child_reaches_no_other_state(fork, call, argument, error):
    with pytest.raises(error):
        fork(call, argument).wait_state("T")


def test_child_that_does_not_end_is_reported_with_its_state(fork, pipe):
    child = fork(os.read, pipe().read_fd, 1)
    child.wait_blocked("read")
    for wait in (child.wait, child.result):
        with pytest.raises(TimeoutError, match=r"waited 0.01 s for <child .*> to end; it was in state S, in read\("):
            wait(timeout=0.01)
    assert child.alive


def test_exception_instead_of_blocking_is_raised(fork):
    with pytest.raises(ZeroDivisionError) as caught:
        fork(lambda: 1 // 0).wait_blocked("read")
    assert "1 // 0" in caught.value.__notes__[0]
