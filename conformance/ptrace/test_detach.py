"""ptrace(2): detaching from a process, and the end of its tracer."""

from __future__ import annotations

import os
from collections.abc import Callable
from signal import SIGCONT, SIGTERM, SIGUSR1, SIGUSR2, signal

import pytest

from pytest_ipc import clause, disputed
from pytest_ipc.kernel import (
    PTRACE_ATTACH,
    PTRACE_CONT,
    PTRACE_DETACH,
    PTRACE_INTERRUPT,
    PTRACE_O_EXITKILL,
    PTRACE_SEIZE,
    PTRACE_TRACEME,
    kill,
    ptrace,
)

from ..conftest import succeeded
from ..signal.plain_child import bare_child, become_program
from .tracee import Exited, Killed, Stopped, next_of, reaches, reader, sleep, traced


@pytest.fixture
def orphaned(fork, pipe) -> Callable[[bool], bytes]:
    """Let a tracer die during its tracee's signal-delivery-stop of SIGUSR1: orphaned(whether the tracer waits for it).

    Return the bytes that the tracee writes: "s" in its handler of the signal, and "e" at its end.
    """
    output = pipe()

    def child() -> int:
        signal(SIGUSR1, lambda *_: output.write(b"s"))
        kill(os.getpid(), SIGUSR1)
        output.write(b"e")
        return 0

    def tracer(*, waits: bool) -> int:
        pid = traced(child)
        ptrace(PTRACE_CONT, pid)
        if waits:
            return next_of(pid) != Stopped(SIGUSR1)
        return not reaches(pid, "tT")

    def life(waits: bool) -> bytes:
        assert next_of(bare_child(lambda: tracer(waits=waits))) == Exited(0)
        output.close_write()
        return b"".join(iter(output.read, b""))

    def run(waits: bool) -> bytes:
        child = fork(life, waits)
        output.close_write()
        found: bytes = child.result()
        return found

    return run


@clause("ptrace.detach-restarts", "ptrace(2)", "DESCRIPTION")
@pytest.mark.parametrize("how", [PTRACE_TRACEME, PTRACE_ATTACH, PTRACE_SEIZE], ids=["TRACEME", "ATTACH", "SEIZE"])
def test_detach_restarts_tracee(fork, pipe, how):
    """PTRACE_DETACH restarts the tracee, however it was attached; signals no longer stop it for the tracer."""
    go = pipe()

    def life() -> None:
        if how == PTRACE_TRACEME:
            pid = traced(lambda: go.read(1, timeout=None)[0])
        else:
            pid = reader(go)
            ptrace(how, pid)
            if how == PTRACE_SEIZE:
                ptrace(PTRACE_INTERRUPT, pid)
            next_of(pid)
        ptrace(PTRACE_DETACH, pid)
        kill(pid, SIGTERM)
        assert next_of(pid) == Killed(SIGTERM)

    fork(life).result()


@clause("ptrace.detach-injects", "ptrace(2)", "Attaching and detaching")
def test_detach_injects_signal(fork):
    """PTRACE_DETACH from a signal-delivery-stop delivers the signal in data."""

    def life() -> None:
        pid = traced(int)
        ptrace(PTRACE_DETACH, pid, 0, SIGUSR2)
        assert next_of(pid) == Killed(SIGUSR2)

    fork(life).result()


@clause("ptrace.tracer-execs", "ptrace(2)", "NOTES")
def test_tracer_keeps_tracees_across_execve(fork):
    """A tracer keeps its tracees across execve()."""

    def life() -> None:
        pid = traced(sleep)
        ptrace(PTRACE_CONT, pid)
        become_program(
            "import os, sys\n"
            "pid, signo = map(int, sys.argv[1:])\n"
            "os.kill(pid, signo)\n"
            "status = os.waitpid(pid, 0)[1]\n"  # without WUNTRACED only a tracer gets a report of a stop
            "sys.exit(not os.WIFSTOPPED(status) or os.WSTOPSIG(status) != signo)",
            pid,
            int(SIGUSR1),
        )

    succeeded(fork(life))


@clause("ptrace.tracer-dies-detaches", "ptrace(2)", "Attaching and detaching")
def test_tracer_exit_detaches_tracees(fork, pipe):
    """When the tracer dies, its tracees are detached and restarted."""
    answer = pipe()

    def child() -> int:
        signal(SIGUSR1, lambda *_: answer.write(b"s"))
        answer.write(os.getpid().to_bytes(4, "little"))
        kill(os.getpid(), SIGCONT)
        return sleep()

    def tracer() -> int:
        pid = traced(child)
        ptrace(PTRACE_CONT, pid)
        return next_of(pid) != Stopped(SIGCONT)

    def life() -> None:
        assert next_of(bare_child(tracer)) == Exited(0)
        kill(int.from_bytes(answer.read(4), "little"), SIGUSR1)
        assert answer.read(1) == b"s"

    fork(life).result()


@clause("ptrace.tracer-dies-injects", "ptrace(2)", "Attaching and detaching")
def test_tracer_exit_injects_signal(orphaned):
    """A tracee in a signal-delivery-stop gets the signal when its tracer dies."""
    assert orphaned(False) == b"se"


@clause(
    "ptrace.tracer-dies-injects-seen",
    "ptrace(2)",
    "Attaching and detaching",
    disputed="the signal is lost if the tracer has waited for the stop",
)
def test_tracer_exit_injects_reported_signal(orphaned):
    """A tracee in a signal-delivery-stop that its tracer has waited for gets the signal when the tracer dies."""
    did = orphaned(True)
    if did == b"e":
        disputed("the pending signal is injected", "loses the signal once the tracer has waited for the stop")
    assert did == b"se"


@clause("ptrace.exitkill", "ptrace(2)", "DESCRIPTION", since="3.8")
def test_exitkill_kills_tracee_with_tracer(fork, pipe):
    """With PTRACE_O_EXITKILL the tracee is killed when its tracer exits."""
    alive = pipe()

    def tracer() -> int:
        ptrace(PTRACE_CONT, traced(sleep, PTRACE_O_EXITKILL))
        return 0

    def life() -> None:
        assert next_of(bare_child(tracer)) == Exited(0)
        alive.close_write()
        assert alive.read(1) == b""  # the other end is open in no process

    child = fork(life)
    alive.close_write()
    child.result()
