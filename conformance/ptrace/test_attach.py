"""ptrace(2): attaching to a process, and operations that fail for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import ECHILD, EIO, EPERM, ESRCH
from signal import SIGKILL, SIGSTOP, SIGTERM, SIGTRAP, SIGUSR1
from threading import Thread, get_native_id

import pytest

from pytest_ipc import clause, fails_with, observe
from pytest_ipc.kernel import (
    PTRACE_ATTACH,
    PTRACE_CONT,
    PTRACE_DETACH,
    PTRACE_EVENT_EXIT,
    PTRACE_GETSIGINFO,
    PTRACE_INTERRUPT,
    PTRACE_LISTEN,
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

from ..signal.plain_child import NOBODY, bare_child
from .tracee import Exited, Killed, Stopped, next_of, raising, reaches, reader, silent, sleep, traced


def asking(*arguments: int) -> Callable[[], int]:
    """Return the function of a child that calls PTRACE_TRACEME, sends itself SIGUSR1, and exits with 3."""

    def life() -> int:
        ptrace(PTRACE_TRACEME, *(arguments or (0,)))
        return raising(SIGUSR1, 3)()

    return life


@clause("ptrace.traceme-parent-traces", "ptrace(2)", "Attaching and detaching")
def test_traceme_lets_parent_trace(fork):
    """After PTRACE_TRACEME waitpid() of the parent reports a signal-delivery-stop of the child for every signal,
    until it restarts the child.
    """

    def life() -> None:
        pid = bare_child(asking())
        assert next_of(pid) == Stopped(SIGUSR1)
        assert silent(pid)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(3)

    fork(life).result()


@clause("ptrace.traceme-no-stop", "ptrace(2)", "Attaching and detaching")
def test_traceme_does_not_stop(fork):
    """PTRACE_TRACEME does not stop the calling thread."""

    def life() -> None:
        assert next_of(bare_child(lambda: ptrace(PTRACE_TRACEME, 0) or 7)) == Exited(7)

    fork(life).result()


@clause("ptrace.traceme-ignores-arguments", "ptrace(2)", "DESCRIPTION")
def test_traceme_ignores_arguments(fork):
    """PTRACE_TRACEME ignores pid, addr and data."""

    def life() -> None:
        pid = bare_child(asking(NOBODY, 1, -1))
        assert next_of(pid) == Stopped(SIGUSR1)

    fork(life).result()


@clause("ptrace.traced-already-eperm", "ptrace(2)", "ERRORS", errno=EPERM)
@pytest.mark.parametrize("op", [PTRACE_TRACEME, PTRACE_ATTACH, PTRACE_SEIZE], ids=["TRACEME", "ATTACH", "SEIZE"])
def test_traced_thread_cannot_be_traced_again(fork, op):
    """PTRACE_TRACEME, PTRACE_ATTACH and PTRACE_SEIZE fail with EPERM for a thread that is already traced."""

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
def test_attach_sends_sigstop(fork):
    """PTRACE_ATTACH sends SIGSTOP to the thread, which enters a signal-delivery-stop."""

    def life() -> None:
        pid = bare_child(sleep)
        ptrace(PTRACE_ATTACH, pid)
        assert next_of(pid) == Stopped(SIGSTOP)
        assert ptrace_siginfo(pid).signo == SIGSTOP

    fork(life).result()


@clause("ptrace.attach-suppressed", "ptrace(2)", "Attaching and detaching")
def test_sigstop_of_attach_can_be_suppressed(fork, pipe):
    """If the tracer suppresses the SIGSTOP of PTRACE_ATTACH, the tracee continues where it was."""
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
def test_tracer_need_not_be_parent(fork, pipe):
    """A process that is not the parent can attach to a process; while it is attached, and only then, waitpid()
    reports its stops.
    """
    channel = pipe()

    def child() -> int:
        grandchild = bare_child(sleep)
        channel.write(grandchild.to_bytes(4, "little"))
        return os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]) + SIGKILL

    def life() -> None:
        parent = bare_child(child)
        pid = int.from_bytes(channel.read(4), "little")
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
def test_tracing_applies_to_one_thread(fork, pipe):
    """Attaching is per thread: other threads of the process are not traced and run while the tracee is stopped."""
    ready, go, answer = pipe(), pipe(), pipe()

    def child() -> int:
        def other() -> None:
            ready.write(get_native_id().to_bytes(4, "little"))
            pause()

        Thread(target=other, daemon=True).start()
        answer.write(go.read(1, timeout=None))
        return 0

    def life() -> None:
        pid = bare_child(child)
        tid = int.from_bytes(ready.read(4), "little")
        observe(tid).wait_blocked("pause")  # else it may be stopped with the lock of the interpreter
        ptrace(PTRACE_ATTACH, tid)
        assert next_of(tid) == Stopped(SIGSTOP)
        go.write(b"!")
        assert answer.read(1) == b"!"
        assert [next_of(tid), next_of(pid)] == [Exited(0), Exited(0)]

    fork(life).result()


@clause("ptrace.attach-esrch", "ptrace(2)", "ERRORS", errno=ESRCH)
@pytest.mark.parametrize("op", [PTRACE_ATTACH, PTRACE_SEIZE], ids=["ATTACH", "SEIZE"])
def test_attach_to_nonexistent_process_fails(fork, op):
    """PTRACE_ATTACH and PTRACE_SEIZE fail with ESRCH for a process that does not exist."""

    def life() -> None:
        gone = bare_child(int)
        os.waitpid(gone, 0)
        for pid in (gone, NOBODY):
            with fails_with(ESRCH):
                ptrace(op, pid)

    fork(life).result()


@clause("ptrace.seize-no-stop", "ptrace(2)", "DESCRIPTION", since="3.4")
def test_seize_does_not_stop(fork, pipe):
    """PTRACE_SEIZE attaches to a process without stopping it."""
    go, answer = pipe(), pipe()

    def life() -> None:
        pid = bare_child(lambda: answer.write(go.read(1, timeout=None)) and go.read(1, timeout=None)[0])
        ptrace(PTRACE_SEIZE, pid)
        go.write(b"!")
        assert answer.read(1) == b"!"
        assert silent(pid)
        kill(pid, SIGUSR1)
        assert next_of(pid) == Stopped(SIGUSR1)

    fork(life).result()


@clause("ptrace.seize-addr-zero", "ptrace(2)", "DESCRIPTION", errno=EIO, since="3.4")
def test_seize_with_address_fails(fork):
    """PTRACE_SEIZE fails with EIO if addr is not 0, and does not attach."""

    def life() -> None:
        pid = bare_child(sleep)
        with fails_with(EIO):
            ptrace(PTRACE_SEIZE, pid, 1)
        kill(pid, SIGTERM)
        assert next_of(pid) == Killed(SIGTERM)

    fork(life).result()


@clause("ptrace.seize-options", "ptrace(2)", "DESCRIPTION", since="3.4")
def test_seize_sets_options(fork, pipe):
    """PTRACE_SEIZE sets the options in data at once."""
    go = pipe()

    def life() -> None:
        pid = reader(go)
        ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEEXIT)
        go.write(b"!")
        assert next_of(pid) == Stopped(SIGTRAP, PTRACE_EVENT_EXIT)

    fork(life).result()


@clause("ptrace.seized-only-eio", "ptrace(2)", "DESCRIPTION", errno=EIO, since="3.4")
@pytest.mark.parametrize("op", [PTRACE_INTERRUPT, PTRACE_LISTEN], ids=["INTERRUPT", "LISTEN"])
def test_interrupt_and_listen_need_seize(fork, op):
    """PTRACE_INTERRUPT and PTRACE_LISTEN fail with EIO on a tracee that was not attached by PTRACE_SEIZE."""

    def life() -> None:
        with fails_with(EIO):
            ptrace(op, traced(int))

    fork(life).result()


@clause("ptrace.running-esrch", "ptrace(2)", "Informational and restarting ptrace commands", errno=ESRCH)
@pytest.mark.parametrize(
    "op",
    [PTRACE_CONT, PTRACE_SYSCALL, PTRACE_DETACH, PTRACE_GETSIGINFO, PTRACE_SETOPTIONS],
    ids=["CONT", "SYSCALL", "DETACH", "GETSIGINFO", "SETOPTIONS"],
)
def test_operation_on_running_tracee_fails(fork, op):
    """PTRACE_CONT, PTRACE_SYSCALL, PTRACE_DETACH, PTRACE_GETSIGINFO and PTRACE_SETOPTIONS fail with ESRCH if the
    tracee is not stopped.
    """

    def life() -> None:
        pid = traced(sleep)
        ptrace(PTRACE_CONT, pid)
        assert reaches(pid, "S")
        with fails_with(ESRCH):
            ptrace(op, pid)

    fork(life).result()


@clause("ptrace.not-the-tracer-esrch", "ptrace(2)", "ERRORS", errno=ESRCH)
def test_operation_by_other_process_fails(fork):
    """ptrace() operations fail with ESRCH for a process that the caller does not trace, whether it has another
    tracer or none.
    """

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
def test_unknown_operation_fails(fork):
    """ptrace() fails with EIO for an unknown operation."""

    def life() -> None:
        pid = traced(int)
        for op in (-1, 0x7FFF_0000):
            with fails_with(EIO):
                ptrace(op, pid)

    fork(life).result()


@clause("ptrace.restart-invalid-signal-eio", "ptrace(2)", "ERRORS", errno=EIO)
@pytest.mark.parametrize("op", [PTRACE_CONT, PTRACE_SYSCALL, PTRACE_DETACH], ids=["CONT", "SYSCALL", "DETACH"])
def test_restart_with_invalid_signal_fails(fork, op):
    """PTRACE_CONT, PTRACE_SYSCALL and PTRACE_DETACH fail with EIO for an invalid signal number, and the tracee stays
    stopped.
    """

    def life() -> None:
        pid = traced(int)
        with fails_with(EIO):
            ptrace(op, pid, 0, 1000)
        assert reaches(pid, "t")
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(0)

    fork(life).result()
