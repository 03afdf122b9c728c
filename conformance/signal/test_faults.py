"""sigaction(2), core(5): what a handler is told, above all of a fault, bad pointers, and the core that a death leaves.

No Python can run in a handler. But any function of libc can be one, and the kernel lays what it tells a handler on the stack
that the handler runs on: `_exit` as a handler shows its first argument as the exit status, and leaves on an alternate stack that
is shared with the test the siginfo_t that it was given.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import sys
from collections.abc import Callable
from errno import EFAULT
from pathlib import Path
from signal import (
    SIG_BLOCK,
    SIG_DFL,
    SIGABRT,
    SIGBUS,
    SIGCHLD,
    SIGKILL,
    SIGRTMAX,
    SIGRTMIN,
    SIGSEGV,
    SIGTERM,
    SIGUSR1,
    signal,
)

import pytest

from pytest_ipc import Child, clause, fails_with, untested
from pytest_ipc.kernel import (
    BUS_ADRERR,
    CLD_DUMPED,
    CLD_KILLED,
    SA_ONSTACK,
    SA_SIGINFO,
    SEGV_ACCERR,
    SEGV_MAPERR,
    SI_QUEUE,
    SigAction,
    SigInfo,
    abi,
    kill,
    mprotect,
    number_of,
    sigaction,
    sigprocmask,
    sigqueue,
    sigtimedwait,
)
from pytest_ipc.kernel.libc import syscall
from pytest_ipc.kernel.signals import siginfo

from ..memory import free_range
from .plain_child import SOON

TOLD = "The siginfo_t argument to a SA_SIGINFO handler"

libc = ctypes.CDLL(None)


def address_of(name: str) -> int:
    """Where a function of libc begins."""
    return ctypes.cast(getattr(libc, name), ctypes.c_void_p).value or 0


def told(memory: bytes, signo: int) -> list[SigInfo]:
    """Every siginfo_t about *signo* that lies in *memory*: its number, an errno of 0, and members that make sense."""
    begin = signo.to_bytes(4, sys.byteorder) + bytes(4)
    places = [at for at in range(0, len(memory) - abi.SIGINFO_BYTES + 1, 4) if memory.startswith(begin, at)]
    return [siginfo(memory[at : at + abi.SIGINFO_BYTES]) for at in places]


@pytest.fixture
def dies_of(fork, signals) -> Callable[..., list[SigInfo]]:
    """What the handler of *signo* was told when a child did something: dies_of(signo, what)."""

    def run(signo: int, what: Callable[[], object]) -> list[SigInfo]:
        stack = signals.alternate_stack()

        def life() -> None:
            sigaction(signo, SigAction(address_of("_exit"), SA_SIGINFO | SA_ONSTACK, frozenset()))
            what()

        assert fork(life).wait() == signo
        return told(stack.memory, signo)

    return run


def touch(address: int) -> Callable[[], int]:
    """Read the byte at *address*."""
    return lambda: ctypes.c_ubyte.from_address(address).value


@clause("siginfo.sigsegv-maperr-accerr-addr", "sigaction(2)", TOLD)
def test_a_fault_where_nothing_is_mapped(dies_of):
    """SIGSEGV for an address at which nothing is mapped has the code SEGV_MAPERR, and that address."""
    nowhere = 123  # in the first page, where no program has anything
    assert (SEGV_MAPERR, nowhere) in [(info.code, info.addr) for info in dies_of(SIGSEGV, touch(nowhere))]


@clause("siginfo.sigsegv-accerr", "sigaction(2)", TOLD)
def test_a_fault_where_access_is_not_allowed(dies_of, page):
    """SIGSEGV for memory that may not be used so has the code SEGV_ACCERR, and the address."""
    memory = mmap.mmap(-1, page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    mprotect(address, page, 0)
    assert (SEGV_ACCERR, address + 77) in [(info.code, info.addr) for info in dies_of(SIGSEGV, touch(address + 77))]
    mprotect(address, page, mmap.PROT_READ | mmap.PROT_WRITE)


@clause("siginfo.sigbus-adrerr-addr", "sigaction(2)", TOLD)
def test_a_fault_behind_the_end_of_a_file(dies_of, page):
    """SIGBUS for mapped memory behind the end of its file has the code BUS_ADRERR, and the address."""
    fd = os.memfd_create("short")
    os.ftruncate(fd, 2 * page)
    memory = mmap.mmap(fd, 2 * page)
    os.ftruncate(fd, page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + page + 5
    os.close(fd)
    assert (BUS_ADRERR, address) in [(info.code, info.addr) for info in dies_of(SIGBUS, touch(address))]


@clause("sigaction.siginfo-args", "sigaction(2)", "SA_SIGINFO")
def test_a_handler_is_given_number_and_siginfo(fork, pipe):
    """A handler with SA_SIGINFO is given the signal's number, and second the address of a siginfo_t that begins with it."""
    if sys.byteorder == "big":
        untested(
            "needs a little-endian machine: dprintf(3), the handler here, finds the end of its text in the first byte"
        )
    # A printable character's number, which means nothing to dprintf(3), and a free descriptor's.
    signo = next(number for number in range(int(SIGRTMIN) + 2, int(SIGRTMAX)) if number != ord("%"))
    channel = pipe(flags=0)

    def life() -> None:
        # dprintf(signo, info): writes the text that begins at info, up to the zeros of si_signo, to the descriptor signo.
        os.dup2(channel.write_fd, signo)
        sigaction(signo, SigAction(address_of("dprintf"), SA_SIGINFO, frozenset()))
        kill(os.getpid(), signo)

    fork(life).result()
    channel.close_write()
    assert channel.read() == bytes([signo])


@pytest.mark.usefixtures("room_for_signals")
@clause("siginfo.handler-told-of-the-sender", "sigaction(2)", TOLD)
def test_a_handler_is_told_of_sender_and_value(dies_of):
    """The siginfo_t of a handler has the code, process, user and value that sigqueue(3) gave the signal."""
    infos = dies_of(SIGUSR1, lambda: sigqueue(os.getpid(), SIGUSR1, 4321))
    assert [(info.code, info.uid, info.value) for info in infos if info.code == SI_QUEUE] == [
        (SI_QUEUE, os.getuid(), 4321)
    ]


@clause("sigaction.handler-gets-the-number", "sigaction(2)", "DESCRIPTION")
@pytest.mark.parametrize("flags", [0, SA_SIGINFO], ids=["plain", "SA_SIGINFO"])
def test_a_handler_is_given_the_number(fork, flags):
    """A handler's first argument is the signal's number, with SA_SIGINFO or without."""

    def life(signo: int) -> None:
        sigaction(signo, SigAction(address_of("_exit"), flags, frozenset()))
        kill(os.getpid(), signo)

    for signo in (SIGUSR1, SIGTERM, SIGRTMIN):
        assert fork(life, int(signo)).wait() == signo


@clause("sigaction.efault", "sigaction(2)", "ERRORS", errno=EFAULT)
def test_an_action_that_is_not_there_is_refused(page):
    """The system call fails for a structure that lies in no memory of the process, to install an action and to be told of one."""
    nowhere, before = free_range(page), sigaction(SIGUSR1)
    for arguments in ((nowhere, 0), (0, nowhere)):
        with fails_with(EFAULT):
            syscall(number_of("rt_sigaction"), SIGUSR1, *arguments, abi.KERNEL_SIGSET_BYTES)
    assert sigaction(SIGUSR1) == before


@clause("sigmask.efault", "sigprocmask(2)", "ERRORS", errno=EFAULT)
def test_a_mask_that_is_not_there_is_refused(page):
    """The system call fails for a set that lies in no memory of the process, to change the mask and to be told of it."""
    nowhere, before = free_range(page), sigprocmask(SIG_BLOCK)
    for arguments in ((nowhere, 0), (0, nowhere)):
        with fails_with(EFAULT):
            syscall(number_of("rt_sigprocmask"), SIG_BLOCK, *arguments, abi.KERNEL_SIGSET_BYTES)
    assert sigprocmask(SIG_BLOCK) == before


@pytest.fixture
def may_dump(tmp_path) -> Callable[[], None]:
    """Have this process, a child, leave its core in a directory of the test's. Untested where cores go elsewhere or are forbidden."""
    try:
        pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    except OSError as error:
        untested(f"cannot read /proc/sys/kernel/core_pattern: {error.strerror}")
    if not pattern or pattern.startswith(("|", "/", "@")):
        untested(f"cores do not go to the directory of who dies here: core_pattern is {pattern!r}")
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard == 0:
        untested("the hard limit RLIMIT_CORE is 0 here")

    def arrange() -> None:
        os.chdir(tmp_path)
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

    return arrange


@clause("signal.core-bit", "core(5)", "DESCRIPTION")
def test_a_core_is_told_of(fork, may_dump):
    """A parent is told of the core that a signal whose action is to dump one has left, and of none after a signal that does not."""

    def life(signo: int) -> bool:
        def die() -> None:
            may_dump()
            signal(SIGABRT, SIG_DFL)
            kill(os.getpid(), signo)

        with Child.start(die) as child:
            status = os.waitpid(child.pid, 0)[1]
        assert os.WTERMSIG(status) == signo
        return os.WCOREDUMP(status)

    assert fork(life, SIGABRT).result() is True
    assert fork(life, SIGTERM).result() is False
    assert fork(life, SIGKILL).result() is False


@clause("signal.no-core-at-limit-zero", "core(5)", "DESCRIPTION")
def test_there_is_no_core_where_the_limit_is_zero(fork, tmp_path, may_dump):
    """Where RLIMIT_CORE is 0 there is no core: the parent is told of none and no file is left."""

    def life() -> bool:
        def die() -> None:
            may_dump()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            kill(os.getpid(), SIGABRT)

        with Child.start(die) as child:
            return os.WCOREDUMP(os.waitpid(child.pid, 0)[1])

    assert fork(life).result() is False
    assert list(tmp_path.iterdir()) == []


@clause("siginfo.sigchld-dumped", "sigaction(2)", TOLD)
@pytest.mark.parametrize("dumps", [True, False], ids=["with-a-core", "without"])
def test_sigchld_tells_of_a_core(fork, signals, may_dump, dumps):
    """SIGCHLD has the code CLD_DUMPED where the child's death has left a core and CLD_KILLED where not, and the signal for status."""

    def life() -> tuple[int, int]:
        def die() -> None:
            may_dump()
            if not dumps:
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            kill(os.getpid(), SIGABRT)

        signals.catch(SIGCHLD)
        signals.block(SIGCHLD)
        with Child.start(die):
            info = sigtimedwait({SIGCHLD}, SOON)
            return info.code, info.status

    assert fork(life).result() == (CLD_DUMPED if dumps else CLD_KILLED, SIGABRT)
