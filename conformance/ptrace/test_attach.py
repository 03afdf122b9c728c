"""ptrace(2): how a process comes to be traced, and how it comes to be free again."""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import ECHILD, EIO, EPERM, ESRCH
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SIGTRAP, SIGUSR1, SIGUSR2, signal
from threading import Thread, get_native_id

import pytest

from pytest_ipc import clause, disputed, fails_with
from pytest_ipc.kernel import (
    PTRACE_ATTACH,
    PTRACE_CONT,
    PTRACE_DETACH,
    PTRACE_EVENT_EXIT,
    PTRACE_GETSIGINFO,
    PTRACE_INTERRUPT,
    PTRACE_LISTEN,
    PTRACE_O_EXITKILL,
    PTRACE_O_TRACEEXIT,
    PTRACE_SEIZE,
    PTRACE_SETOPTIONS,
    PTRACE_SYSCALL,
    PTRACE_TRACEME,
    kill,
    pause,
    ptrace,
    ptrace_peek,
    ptrace_siginfo,
)

from ..conftest import succeeded
from ..signal.plain_child import NOBODY, bare_child, become_program
from .tracee import Exited, Killed, Stopped, next_of, raising, reaches, silent, sleep, traced


def reader(pipe) -> int:
    """A child that waits for a byte, and leaves with its number."""
    return bare_child(lambda: pipe.read(1)[0])


def asking(*arguments: int) -> Callable[[], int]:
    """What a child does that asks to be traced, sends itself SIGUSR1, and leaves with 3."""

    def life() -> int:
        ptrace(PTRACE_TRACEME, *(arguments or (0,)))
        return raising(SIGUSR1, 3)()

    return life


@pytest.fixture
def orphaned(fork, pipe) -> Callable[[bool], bytes]:
    """What a tracee does whose tracer dies while it is in the stop of a SIGUSR1: orphaned(whether the tracer waits for it).

    It writes "s" when it handles the signal, and "e" at its end.
    """
    told = pipe()

    def child() -> int:
        signal(SIGUSR1, lambda *_: told.write(b"s"))
        kill(os.getpid(), SIGUSR1)
        told.write(b"e")
        return 0

    def tracer(*, waits: bool) -> int:
        pid = traced(child)
        ptrace(PTRACE_CONT, pid)
        if waits:
            return next_of(pid) != Stopped(SIGUSR1)
        return not reaches(pid, "tT")

    def life(waits: bool) -> bytes:
        assert next_of(bare_child(lambda: tracer(waits=waits))) == Exited(0)
        told.close_write()
        return b"".join(iter(told.read, b""))

    def run(waits: bool) -> bytes:
        child = fork(life, waits)
        told.close_write()
        found: bytes = child.result()
        return found

    return run


@clause("ptrace.traceme-parent-traces", "ptrace(2)", "Attaching and detaching")
def test_traceme_lets_the_parent_trace(fork):
    """After PTRACE_TRACEME the parent is told of a signal of the child, and the child waits for it: a signal-delivery-stop."""

    def life() -> None:
        pid = bare_child(asking())
        assert next_of(pid) == Stopped(SIGUSR1)
        assert silent(pid)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(3)

    fork(life).result()


@clause("ptrace.traceme-no-stop", "ptrace(2)", "Attaching and detaching")
def test_traceme_does_not_stop(fork):
    """PTRACE_TRACEME itself stops nobody: the thread goes on."""

    def life() -> None:
        assert next_of(bare_child(lambda: ptrace(PTRACE_TRACEME, 0) or 7)) == Exited(7)

    fork(life).result()


@clause("ptrace.traceme-ignores-arguments", "ptrace(2)", "DESCRIPTION")
def test_traceme_takes_no_argument(fork):
    """PTRACE_TRACEME ignores pid, addr and data."""

    def life() -> None:
        pid = bare_child(asking(NOBODY, 1, -1))
        assert next_of(pid) == Stopped(SIGUSR1)

    fork(life).result()


@clause("ptrace.traced-already-eperm", "ptrace(2)", "ERRORS", errno=EPERM)
@pytest.mark.parametrize("op", [PTRACE_TRACEME, PTRACE_ATTACH, PTRACE_SEIZE], ids=["TRACEME", "ATTACH", "SEIZE"])
def test_a_tracee_has_one_tracer(fork, op):
    """A thread that is traced already cannot be traced once more, by its tracer or another process."""

    def again() -> int:
        with fails_with(EPERM):
            ptrace(PTRACE_TRACEME, 0)
        return 0

    def life() -> None:
        if op == PTRACE_TRACEME:
            pid = traced(again)
            ptrace(PTRACE_CONT, pid)
            assert next_of(pid) == Exited(0)
        else:
            with fails_with(EPERM):
                ptrace(op, traced(int))

    fork(life).result()


@clause("ptrace.attach-stops", "ptrace(2)", "Attaching and detaching")
def test_attach_sends_a_sigstop(fork):
    """PTRACE_ATTACH sends the thread a SIGSTOP, and it comes to a signal-delivery-stop for that."""

    def life() -> None:
        pid = bare_child(sleep)
        ptrace(PTRACE_ATTACH, pid)
        assert next_of(pid) == Stopped(SIGSTOP)
        assert ptrace_siginfo(pid).signo == SIGSTOP

    fork(life).result()


@clause("ptrace.attach-suppressed", "ptrace(2)", "Attaching and detaching")
def test_the_sigstop_of_attach_can_be_suppressed(fork, pipe):
    """The SIGSTOP of PTRACE_ATTACH has no effect when the tracer suppresses it: the tracee goes on where it was."""
    go = pipe()

    def life() -> None:
        pid = reader(go)
        ptrace(PTRACE_ATTACH, pid)
        assert next_of(pid) == Stopped(SIGSTOP)
        ptrace(PTRACE_CONT, pid)
        go.write(b"\x05")
        assert next_of(pid) == Exited(5)

    fork(life).result()


@clause("ptrace.attach-any-process", "ptrace(2)", "DESCRIPTION")
def test_the_tracer_need_not_be_the_parent(fork, pipe):
    """A process that is not the parent can attach to a process: waitpid(2) then reports of it, and not before or afterwards."""
    told = pipe()

    def child() -> int:
        grandchild = bare_child(sleep)
        told.write(grandchild.to_bytes(4, "little"))
        return os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]) + SIGKILL

    def life() -> None:
        parent = bare_child(child)
        pid = int.from_bytes(told.read(4), "little")
        with fails_with(ECHILD):
            os.waitpid(pid, os.WNOHANG)
        ptrace(PTRACE_ATTACH, pid)
        assert next_of(pid) == Stopped(SIGSTOP)
        ptrace(PTRACE_DETACH, pid)
        with fails_with(ECHILD):
            os.waitpid(pid, os.WNOHANG)
        kill(pid, SIGKILL)
        assert next_of(parent) == Exited(0)

    fork(life).result()


@clause("ptrace.attach-one-thread", "ptrace(2)", "DESCRIPTION")
def test_a_thread_is_traced_and_not_a_process(fork, pipe):
    """A tracee is one thread: the other threads of its process are not traced and run while it is stopped."""
    told, go, answer = pipe(), pipe(), pipe()

    def child() -> int:
        def other() -> None:
            told.write(get_native_id().to_bytes(4, "little"))
            pause()

        Thread(target=other, daemon=True).start()
        answer.write(go.read(1))
        return 0

    def life() -> None:
        pid = bare_child(child)
        tid = int.from_bytes(told.read(4), "little")
        ptrace(PTRACE_ATTACH, tid)
        assert next_of(tid) == Stopped(SIGSTOP)
        go.write(b"!")
        assert answer.read(1) == b"!"
        assert [next_of(tid), next_of(pid)] == [Exited(0), Exited(0)]

    fork(life).result()


@clause("ptrace.attach-esrch", "ptrace(2)", "ERRORS", errno=ESRCH)
@pytest.mark.parametrize("op", [PTRACE_ATTACH, PTRACE_SEIZE], ids=["ATTACH", "SEIZE"])
def test_nobody_can_be_attached_to(fork, op):
    """A process that does not exist cannot be traced."""

    def life() -> None:
        gone = bare_child(int)
        os.waitpid(gone, 0)
        for pid in (gone, NOBODY):
            with fails_with(ESRCH):
                ptrace(op, pid)

    fork(life).result()


@clause("ptrace.seize-no-stop", "ptrace(2)", "DESCRIPTION", since="3.4")
def test_seize_does_not_stop(fork, pipe):
    """PTRACE_SEIZE makes a tracee and does not stop it."""
    go, answer = pipe(), pipe()

    def life() -> None:
        pid = bare_child(lambda: answer.write(go.read(1)) and go.read(1)[0])
        ptrace(PTRACE_SEIZE, pid)
        go.write(b"!")
        assert answer.read(1) == b"!"
        assert silent(pid)
        kill(pid, SIGUSR1)
        assert next_of(pid) == Stopped(SIGUSR1)

    fork(life).result()


@clause("ptrace.seize-addr-zero", "ptrace(2)", "DESCRIPTION", errno=EIO, since="3.4")
def test_seize_takes_no_address(fork):
    """PTRACE_SEIZE with an addr other than zero fails, and nobody is traced."""

    def life() -> None:
        pid = bare_child(sleep)
        with fails_with(EIO):
            ptrace(PTRACE_SEIZE, pid, 1)
        kill(pid, SIGTERM)
        assert next_of(pid) == Killed(SIGTERM)

    fork(life).result()


@clause("ptrace.seize-options", "ptrace(2)", "DESCRIPTION", since="3.4")
def test_seize_sets_options(fork, pipe):
    """The options in data of PTRACE_SEIZE are in effect at once."""
    go = pipe()

    def life() -> None:
        pid = reader(go)
        ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEEXIT)
        go.write(b"!")
        assert next_of(pid) == Stopped(SIGTRAP, PTRACE_EVENT_EXIT)

    fork(life).result()


@clause("ptrace.seized-only-eio", "ptrace(2)", "DESCRIPTION", errno=EIO, since="3.4")
@pytest.mark.parametrize("op", [PTRACE_INTERRUPT, PTRACE_LISTEN], ids=["INTERRUPT", "LISTEN"])
def test_some_operations_are_for_the_seized(fork, op):
    """PTRACE_INTERRUPT and PTRACE_LISTEN work on tracees that PTRACE_SEIZE attached, and fail on others."""

    def life() -> None:
        with fails_with(EIO):
            ptrace(op, traced(int))

    fork(life).result()


@clause("ptrace.detach-restarts", "ptrace(2)", "DESCRIPTION")
@pytest.mark.parametrize("how", [PTRACE_TRACEME, PTRACE_ATTACH, PTRACE_SEIZE], ids=["TRACEME", "ATTACH", "SEIZE"])
def test_detach_lets_go(fork, pipe, how):
    """PTRACE_DETACH restarts the tracee, which is traced no more: signals do not stop it, however it was attached."""
    go = pipe()

    def life() -> None:
        if how == PTRACE_TRACEME:
            pid = traced(lambda: go.read(1)[0])
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
def test_detach_can_inject_a_signal(fork):
    """PTRACE_DETACH from a signal-delivery-stop delivers the signal that data names."""

    def life() -> None:
        pid = traced(int)
        ptrace(PTRACE_DETACH, pid, 0, SIGUSR2)
        assert next_of(pid) == Killed(SIGUSR2)

    fork(life).result()


@clause("ptrace.running-esrch", "ptrace(2)", "Informational and restarting ptrace commands", errno=ESRCH)
@pytest.mark.parametrize(
    "op",
    [PTRACE_CONT, PTRACE_SYSCALL, PTRACE_DETACH, PTRACE_GETSIGINFO, PTRACE_SETOPTIONS],
    ids=["CONT", "SYSCALL", "DETACH", "GETSIGINFO", "SETOPTIONS"],
)
def test_a_tracee_must_be_stopped(fork, op):
    """Operations other than attaching, PTRACE_INTERRUPT and PTRACE_KILL fail on a tracee that runs, or sleeps in a call."""

    def life() -> None:
        pid = traced(sleep)
        ptrace(PTRACE_CONT, pid)
        assert reaches(pid, "S")
        with fails_with(ESRCH):
            ptrace(op, pid)

    fork(life).result()


@clause("ptrace.not-the-tracer-esrch", "ptrace(2)", "ERRORS", errno=ESRCH)
def test_who_is_not_the_tracer_is_refused(fork):
    """Operations on a process fail for a process that does not trace it, whether another traces it or none."""

    def other(pid: int) -> int:
        with fails_with(ESRCH):
            ptrace_peek(pid, 0)
        with fails_with(ESRCH):
            ptrace(PTRACE_CONT, pid)
        return 0

    def life() -> None:
        pid = traced(int)
        assert next_of(bare_child(lambda: other(pid))) == Exited(0)
        assert next_of(bare_child(lambda: other(os.getppid()))) == Exited(0)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(0)

    fork(life).result()


@clause("ptrace.unknown-operation-eio", "ptrace(2)", "ERRORS", errno=EIO)
def test_an_unknown_operation_is_refused(fork):
    """An operation that ptrace(2) does not have fails."""

    def life() -> None:
        pid = traced(int)
        for op in (-1, 0x7FFF_0000):
            with fails_with(EIO):
                ptrace(op, pid)

    fork(life).result()


@clause("ptrace.restart-invalid-signal-eio", "ptrace(2)", "ERRORS", errno=EIO)
@pytest.mark.parametrize("op", [PTRACE_CONT, PTRACE_SYSCALL, PTRACE_DETACH], ids=["CONT", "SYSCALL", "DETACH"])
def test_a_restart_with_no_signal_number_is_refused(fork, op):
    """A restart with a number that no signal has fails, and the tracee stays stopped."""

    def life() -> None:
        pid = traced(int)
        with fails_with(EIO):
            ptrace(op, pid, 0, 1000)
        assert reaches(pid, "t")
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(0)

    fork(life).result()


@clause("ptrace.tracer-execs", "ptrace(2)", "NOTES")
def test_a_tracer_stays_one_through_exec(fork):
    """A tracer that calls execve(2) goes on being the tracer."""

    def life() -> None:
        pid = traced(sleep)
        ptrace(PTRACE_CONT, pid)
        become_program(
            "import os, sys\n"
            "pid, signo = map(int, sys.argv[1:])\n"
            "os.kill(pid, signo)\n"
            "status = os.waitpid(pid, 0)[1]\n"  # without WUNTRACED a tracer alone is told of a stop
            "sys.exit(not os.WIFSTOPPED(status) or os.WSTOPSIG(status) != signo)",
            pid,
            int(SIGUSR1),
        )

    succeeded(fork(life))


@clause("ptrace.tracer-dies-detaches", "ptrace(2)", "Attaching and detaching")
def test_the_tracers_end_sets_the_tracee_free(fork, pipe):
    """When the tracer dies its tracees are detached and restarted."""
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
def test_a_signal_is_delivered_at_the_tracers_end(orphaned):
    """A tracee in a signal-delivery-stop gets the signal when its tracer dies."""
    assert orphaned(False) == b"se"


@clause(
    "ptrace.tracer-dies-injects-seen",
    "ptrace(2)",
    "Attaching and detaching",
    disputed="the signal is lost if the tracer has waited for the stop",
)
def test_a_signal_that_was_seen_is_delivered_at_the_tracers_end(orphaned):
    """A tracee in a signal-delivery-stop that its tracer has waited for gets the signal when the tracer dies."""
    did = orphaned(True)
    if did == b"e":
        disputed("that the pending signal is injected", "loses the signal once the tracer has waited for the stop")
    assert did == b"se"


@clause("ptrace.exitkill", "ptrace(2)", "DESCRIPTION", since="3.8")
def test_exitkill_ends_the_tracee_with_its_tracer(fork, pipe):
    """With PTRACE_O_EXITKILL the tracee is killed when its tracer exits."""
    alive = pipe()

    def tracer() -> int:
        ptrace(PTRACE_CONT, traced(sleep, PTRACE_O_EXITKILL))
        return 0

    def life() -> None:
        assert next_of(bare_child(tracer)) == Exited(0)
        alive.close_write()
        assert alive.read(1) == b""  # nobody holds the other end any more

    child = fork(life)
    alive.close_write()
    child.result()
