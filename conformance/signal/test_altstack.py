"""sigaltstack(2): the alternate stack of a thread, and when it is used, inherited and dropped."""

from __future__ import annotations

import os
from errno import EFAULT, EINVAL, ENOMEM
from signal import SIGUSR1

import pytest

from pytest_ipc import Child, Need, clause, fails_with, untested
from pytest_ipc.kernel import SA_ONSTACK, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK, Stack, kill, sigaltstack

from ..memory import free_range
from ..raw_syscalls import raw
from .plain_child import become_program, in_thread, printed

ASK = """
import ctypes
class Stack(ctypes.Structure):
    _fields_ = [("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]
stack = Stack()
assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0, "sigaltstack() must succeed"
print(stack.flags)
"""


@clause("sigaltstack.set-and-asked", "sigaltstack(2)", "DESCRIPTION")
def test_sigaltstack_returns_previous_stack(fork, signals):
    """sigaltstack() returns the previous alternate stack; with a NULL new stack it only returns the current one."""

    def life() -> None:
        sigaltstack(Stack(0, 0, SS_DISABLE))
        first = signals.alternate_stack(1 << 16)
        assert sigaltstack() == Stack(first.address, first.size, 0)
        second = signals.alternate_stack(1 << 17)
        assert sigaltstack(Stack(first.address, first.size)) == Stack(second.address, second.size, 0)

    fork(life).result()


@clause("sigaltstack.disabled", "sigaltstack(2)", "SS_DISABLE")
def test_ss_disable_disables_stack(fork, signals):
    """sigaltstack() with SS_DISABLE disables the alternate stack, and a thread without one gets SS_DISABLE as
    ss_flags.
    """

    def life() -> None:
        stack = signals.alternate_stack()
        assert sigaltstack(Stack(0, 0, SS_DISABLE)).sp == stack.address
        assert sigaltstack().flags == SS_DISABLE

    fork(life).result()


@clause("sigaction.onstack", "sigaction(2)", "SA_ONSTACK")
def test_sa_onstack_runs_handler_on_alternate_stack(fork, signals):
    """A handler with SA_ONSTACK runs on the alternate stack; a handler without it does not."""

    def life() -> list[bool]:
        touched = []
        for flags in (0, SA_ONSTACK):
            stack = signals.alternate_stack()
            signals.catch(SIGUSR1, flags=flags)
            kill(os.getpid(), SIGUSR1)
            touched.append(any(stack.memory))
        return touched

    assert fork(life).result() == [False, True]


@clause("sigaltstack.onstack-without-a-stack", "sigaltstack(2)", "NOTES")
def test_sa_onstack_without_alternate_stack(fork, signals):
    """A handler with SA_ONSTACK runs on the normal stack if no alternate stack is enabled."""

    def life():
        sigaltstack(Stack(0, 0, SS_DISABLE))
        caught = signals.catch(SIGUSR1, flags=SA_ONSTACK)
        kill(os.getpid(), SIGUSR1)
        return caught.count

    assert fork(life).result() == 1


@clause("sigaltstack.too-small-enomem", "sigaltstack(2)", "ERRORS", errno=ENOMEM)
@pytest.mark.parametrize("size", [0, 1, 1024])
def test_too_small_stack_fails(fork, signals, size):
    """sigaltstack() fails with ENOMEM for a stack smaller than MINSIGSTKSZ, and keeps the previous stack."""

    def life() -> None:
        stack = signals.alternate_stack()
        with fails_with(ENOMEM):
            sigaltstack(Stack(stack.address, size))
        assert sigaltstack() == Stack(stack.address, stack.size, 0)

    fork(life).result()


@clause("sigaltstack.unknown-flag-einval", "sigaltstack(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("flags", [4, SS_DISABLE | 4, 0x1000])
def test_unknown_flag_fails(fork, signals, flags):
    """sigaltstack() fails with EINVAL for an unknown flag, and keeps the previous stack."""

    def life() -> None:
        stack = signals.alternate_stack()
        with fails_with(EINVAL):
            sigaltstack(Stack(stack.address, stack.size, flags))
        assert sigaltstack() == Stack(stack.address, stack.size, 0)

    fork(life).result()


@clause("sigaltstack.efault", "sigaltstack(2)", "ERRORS", errno=EFAULT)
def test_invalid_address_fails(page):
    """sigaltstack() fails with EFAULT if the address of the new or the old structure is not accessible."""
    nowhere = free_range(page)
    for arguments in ((nowhere, 0), (0, nowhere)):
        with fails_with(EFAULT):
            raw("sigaltstack", *arguments)  # a raw system call: libc may access the structure


@clause("sigaltstack.autodisarm", "sigaltstack(2)", "SS_AUTODISARM", since="4.7")
def test_ss_autodisarm_is_kept(fork, signals):
    """sigaltstack() returns SS_AUTODISARM among the flags of a stack set with it, also after a handler has run on
    it.
    """

    def life() -> list[int]:
        try:
            signals.alternate_stack(flags=SS_AUTODISARM)
        except OSError as error:
            if error.errno != EINVAL:
                raise
            untested(Need.NEWER_KERNEL, "needs Linux 4.7: SS_AUTODISARM is an unknown flag here")
        before = sigaltstack().flags
        signals.catch(SIGUSR1, flags=SA_ONSTACK)
        kill(os.getpid(), SIGUSR1)
        return [before, sigaltstack().flags & ~SS_ONSTACK]

    assert fork(life).result() == [SS_AUTODISARM, SS_AUTODISARM]


@clause("sigaltstack.per-thread", "sigaltstack(2)", "DESCRIPTION")
def test_alternate_stack_is_per_thread(fork, signals):
    """The alternate stack is per thread: a new thread has none, and setting one does not affect other threads."""

    def life() -> None:
        stack = signals.alternate_stack()

        def thread() -> int:
            return sigaltstack(Stack(stack.address, stack.size // 2)).flags

        assert in_thread(thread) == SS_DISABLE
        assert sigaltstack() == Stack(stack.address, stack.size, 0)

    fork(life).result()


@clause("sigaltstack.fork-copies", "sigaltstack(2)", "NOTES")
def test_fork_copies_alternate_stack(fork, signals):
    """After fork() the child has a copy of the parent's alternate stack: disabling it does not affect the parent."""

    def life() -> None:
        stack = signals.alternate_stack()

        def child() -> int:
            before = sigaltstack(Stack(0, 0, SS_DISABLE))
            return before.sp

        with Child.start(child) as other:
            assert other.result() == stack.address
        assert sigaltstack() == Stack(stack.address, stack.size, 0)

    fork(life).result()


@clause("signal.exec-altstack-dropped", "execve(2)", "Effect on process attributes")
def test_execve_drops_alternate_stack(fork, signals):
    """execve() removes the alternate stack."""

    def life() -> None:
        signals.alternate_stack()
        become_program(ASK)

    assert printed(fork(life)) == str(SS_DISABLE)
