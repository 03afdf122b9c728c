"""sigaltstack(2): the stack that a thread gives its handlers, and what becomes of it."""

from __future__ import annotations

import os
from errno import EFAULT, EINVAL, ENOMEM
from signal import SIGUSR1

import pytest

from pytest_ipc import Child, clause, fails_with, untested
from pytest_ipc.kernel import SA_ONSTACK, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK, Stack, kill, sigaltstack

from ..memory import free_range
from ..raw_syscalls import raw
from .plain_child import become_program, in_thread, printed

ASK = """
import ctypes
class Stack(ctypes.Structure):
    _fields_ = [("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]
stack = Stack()
assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0, "sigaltstack failed"
print(stack.flags)
"""


@clause("sigaltstack.set-and-asked", "sigaltstack(2)", "DESCRIPTION")
def test_the_stack_before_is_told(fork, signals):
    """Giving a stack tells the one before; without a new one the call only tells address and size of the one that stands."""

    def life() -> None:
        sigaltstack(Stack(0, 0, SS_DISABLE))
        first = signals.alternate_stack(1 << 16)
        assert sigaltstack() == Stack(first.address, first.size, 0)
        second = signals.alternate_stack(1 << 17)
        assert sigaltstack(Stack(first.address, first.size)) == Stack(second.address, second.size, 0)

    fork(life).result()


@clause("sigaltstack.disabled", "sigaltstack(2)", "SS_DISABLE")
def test_a_stack_is_taken_away(fork, signals):
    """SS_DISABLE takes the stack away, and is what a thread without one is told."""

    def life() -> None:
        stack = signals.alternate_stack()
        assert sigaltstack(Stack(0, 0, SS_DISABLE)).sp == stack.address
        assert sigaltstack().flags == SS_DISABLE

    fork(life).result()


@clause("sigaction.onstack", "sigaction(2)", "SA_ONSTACK")
def test_a_handler_with_onstack_runs_on_it(fork, signals):
    """A handler that was installed with SA_ONSTACK runs on the alternate stack; one without leaves it untouched."""

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
def test_without_a_stack_the_ordinary_one_serves(fork, signals):
    """A handler with SA_ONSTACK runs, on the ordinary stack, where there is no alternate one."""

    def life():
        sigaltstack(Stack(0, 0, SS_DISABLE))
        caught = signals.catch(SIGUSR1, flags=SA_ONSTACK)
        kill(os.getpid(), SIGUSR1)
        return caught.count

    assert fork(life).result() == 1


@clause("sigaltstack.too-small-enomem", "sigaltstack(2)", "ERRORS", errno=ENOMEM)
@pytest.mark.parametrize("size", [0, 1, 1024])
def test_too_small_a_stack_is_refused(fork, signals, size):
    """A stack of less than MINSIGSTKSZ bytes is refused, and the one before stands."""

    def life() -> None:
        stack = signals.alternate_stack()
        with fails_with(ENOMEM):
            sigaltstack(Stack(stack.address, size))
        assert sigaltstack() == Stack(stack.address, stack.size, 0)

    fork(life).result()


@clause("sigaltstack.unknown-flag-einval", "sigaltstack(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("flags", [4, SS_DISABLE | 4, 0x1000])
def test_an_unknown_flag_is_refused(fork, signals, flags):
    """A flag that sigaltstack(2) does not know is refused, and the stack before stands."""

    def life() -> None:
        stack = signals.alternate_stack()
        with fails_with(EINVAL):
            sigaltstack(Stack(stack.address, stack.size, flags))
        assert sigaltstack() == Stack(stack.address, stack.size, 0)

    fork(life).result()


@clause("sigaltstack.efault", "sigaltstack(2)", "ERRORS", errno=EFAULT)
def test_a_structure_that_is_not_there_is_refused(page):
    """A structure that lies in no memory of the process is refused, to give a stack and to be told of one."""
    nowhere = free_range(page)
    for arguments in ((nowhere, 0), (0, nowhere)):
        with fails_with(EFAULT):
            raw("sigaltstack", *arguments)  # past libc, which may look at the structure itself


@clause("sigaltstack.autodisarm", "sigaltstack(2)", "SS_AUTODISARM", since="4.7")
def test_autodisarm_is_kept(fork, signals):
    """A stack with SS_AUTODISARM is told with that flag, also after a handler has run on it."""

    def life() -> list[int]:
        try:
            signals.alternate_stack(flags=SS_AUTODISARM)
        except OSError as error:
            if error.errno != EINVAL:
                raise
            untested("needs Linux 4.7: SS_AUTODISARM is an unknown flag here")
        before = sigaltstack().flags
        signals.catch(SIGUSR1, flags=SA_ONSTACK)
        kill(os.getpid(), SIGUSR1)
        return [before, sigaltstack().flags & ~SS_ONSTACK]

    assert fork(life).result() == [SS_AUTODISARM, SS_AUTODISARM]


@clause("sigaltstack.per-thread", "sigaltstack(2)", "DESCRIPTION")
def test_every_thread_has_its_own(fork, signals):
    """A thread's stack is its own: a new thread has none, and giving it one leaves the other threads' as they are."""

    def life() -> None:
        stack = signals.alternate_stack()

        def thread() -> int:
            return sigaltstack(Stack(stack.address, stack.size // 2)).flags

        assert in_thread(thread) == SS_DISABLE
        assert sigaltstack() == Stack(stack.address, stack.size, 0)

    fork(life).result()


@clause("sigaltstack.fork-copies", "sigaltstack(2)", "NOTES")
def test_a_child_has_a_copy(fork, signals):
    """A child has its parent's alternate stack; taking its own away leaves the parent's."""

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
def test_another_program_has_none(fork, signals):
    """A program that is executed has no alternate stack, whatever there was before."""

    def life() -> None:
        signals.alternate_stack()
        become_program(ASK)

    assert printed(fork(life)) == str(SS_DISABLE)
