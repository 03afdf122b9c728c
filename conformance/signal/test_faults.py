"""sigaction(2), core(5): the arguments of a handler, mainly for a fault, invalid pointers, and core dumps.

No Python can run in a handler. But any function of libc can be one, and the kernel stores the siginfo_t on the stack of
the handler: `_exit` as a handler shows its first argument as the exit status, and leaves the siginfo_t on an alternate
stack that is shared with the test.
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

from pytest_ipc import Child, Need, clause, fails_with, untested
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

SIGINFO = "The siginfo_t argument to a SA_SIGINFO handler"

libc = ctypes.CDLL(None)


def address_of(name: str) -> int:
    """Return the address of a libc function."""
    return ctypes.cast(getattr(libc, name), ctypes.c_void_p).value or 0


def siginfos(memory: bytes, signo: int) -> list[SigInfo]:
    """Return every siginfo_t for *signo* in *memory*: its number, an errno of 0, and plausible members."""
    begin = signo.to_bytes(4, sys.byteorder) + bytes(4)
    places = [at for at in range(0, len(memory) - abi.SIGINFO_BYTES + 1, 4) if memory.startswith(begin, at)]
    return [siginfo(memory[at : at + abi.SIGINFO_BYTES]) for at in places]


@pytest.fixture
def dies_of(fork, signals) -> Callable[..., list[SigInfo]]:
    """Return the siginfo_t of the handler of *signo* in a child that calls *what*: dies_of(signo, what)."""

    def run(signo: int, what: Callable[[], object]) -> list[SigInfo]:
        stack = signals.alternate_stack()

        def life() -> None:
            sigaction(signo, SigAction(address_of("_exit"), SA_SIGINFO | SA_ONSTACK, frozenset()))
            what()

        assert fork(life).wait() == signo
        return siginfos(stack.memory, signo)

    return run


def touch(address: int) -> Callable[[], int]:
    """Return a function that reads the byte at *address*."""
    return lambda: ctypes.c_ubyte.from_address(address).value


@clause("siginfo.sigsegv-maperr-accerr-addr", "sigaction(2)", SIGINFO)
def test_fault_at_unmapped_address(dies_of):
    """SIGSEGV for an unmapped address has si_code SEGV_MAPERR and that address in si_addr."""
    nowhere = 123  # in the first page, which is never mapped
    assert (SEGV_MAPERR, nowhere) in [(info.code, info.addr) for info in dies_of(SIGSEGV, touch(nowhere))]


@clause("siginfo.sigsegv-accerr", "sigaction(2)", SIGINFO)
def test_fault_without_permission(dies_of, page):
    """SIGSEGV for memory without the needed permission has si_code SEGV_ACCERR and the address in si_addr."""
    memory = mmap.mmap(-1, page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    mprotect(address, page, 0)
    assert (SEGV_ACCERR, address + 77) in [(info.code, info.addr) for info in dies_of(SIGSEGV, touch(address + 77))]
    mprotect(address, page, mmap.PROT_READ | mmap.PROT_WRITE)


@clause("siginfo.sigbus-adrerr-addr", "sigaction(2)", SIGINFO)
def test_fault_after_end_of_file(dies_of, page):
    """SIGBUS for mapped memory beyond the end of its file has si_code BUS_ADRERR and the address in si_addr."""
    fd = os.memfd_create("short")
    os.ftruncate(fd, 2 * page)
    memory = mmap.mmap(fd, 2 * page)
    os.ftruncate(fd, page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + page + 5
    os.close(fd)
    assert (BUS_ADRERR, address) in [(info.code, info.addr) for info in dies_of(SIGBUS, touch(address))]


@clause("sigaction.siginfo-args", "sigaction(2)", "SA_SIGINFO")
def test_sa_siginfo_passes_number_and_siginfo(fork, pipe):
    """A handler with SA_SIGINFO gets the signal number and the address of a siginfo_t that starts with it."""
    if sys.byteorder == "big":
        untested(
            Need.ARCHITECTURE,
            "needs a little-endian machine: dprintf(3), the handler here, finds the end of its text in the first byte",
        )
    # Not the number of a printable conversion character, which dprintf(3) would interpret, and a free descriptor.
    signo = next(number for number in range(int(SIGRTMIN) + 2, int(SIGRTMAX)) if number != ord("%"))
    channel = pipe(flags=0)

    def life() -> None:
        # dprintf(signo, info) writes the text at info, up to the zeros of si_signo, to the descriptor signo.
        os.dup2(channel.write_fd, signo)
        sigaction(signo, SigAction(address_of("dprintf"), SA_SIGINFO, frozenset()))
        kill(os.getpid(), signo)

    fork(life).result()
    channel.close_write()
    assert channel.read() == bytes([signo])


@pytest.mark.usefixtures("sigpending_limit")
@clause("siginfo.handler-told-of-the-sender", "sigaction(2)", SIGINFO)
def test_siginfo_has_sender_and_value(dies_of):
    """The siginfo_t of a handler has the code, sender and value of the signal that sigqueue() sent."""
    infos = dies_of(SIGUSR1, lambda: sigqueue(os.getpid(), SIGUSR1, 4321))
    assert [(info.code, info.uid, info.value) for info in infos if info.code == SI_QUEUE] == [
        (SI_QUEUE, os.getuid(), 4321)
    ]


@clause("sigaction.handler-gets-the-number", "sigaction(2)", "DESCRIPTION")
@pytest.mark.parametrize("flags", [0, SA_SIGINFO], ids=["plain", "SA_SIGINFO"])
def test_handler_gets_signal_number(fork, flags):
    """The first argument of a handler is the signal number, with and without SA_SIGINFO."""

    def life(signo: int) -> None:
        sigaction(signo, SigAction(address_of("_exit"), flags, frozenset()))
        kill(os.getpid(), signo)

    for signo in (SIGUSR1, SIGTERM, SIGRTMIN):
        assert fork(life, int(signo)).wait() == signo


@clause("sigaction.efault", "sigaction(2)", "ERRORS", errno=EFAULT)
def test_sigaction_with_invalid_address_fails(page):
    """The sigaction() system call fails with EFAULT if the address of the new or the old action is not accessible."""
    nowhere, before = free_range(page), sigaction(SIGUSR1)
    for arguments in ((nowhere, 0), (0, nowhere)):
        with fails_with(EFAULT):
            syscall(number_of("rt_sigaction"), SIGUSR1, *arguments, abi.KERNEL_SIGSET_BYTES)
    assert sigaction(SIGUSR1) == before


@clause("sigmask.efault", "sigprocmask(2)", "ERRORS", errno=EFAULT)
def test_sigprocmask_with_invalid_address_fails(page):
    """The sigprocmask() system call fails with EFAULT if the address of the new or the old set is not accessible."""
    nowhere, before = free_range(page), sigprocmask(SIG_BLOCK)
    for arguments in ((nowhere, 0), (0, nowhere)):
        with fails_with(EFAULT):
            syscall(number_of("rt_sigprocmask"), SIG_BLOCK, *arguments, abi.KERNEL_SIGSET_BYTES)
    assert sigprocmask(SIG_BLOCK) == before


@pytest.fixture
def may_dump(tmp_path) -> Callable[[], None]:
    """Return a function that enables core files of this child in a test's directory; report untested if impossible."""
    try:
        pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    except OSError as error:
        untested(Need.CORE_FILES, f"cannot read /proc/sys/kernel/core_pattern: {error.strerror}")
    if not pattern or pattern.startswith(("|", "/", "@")):
        untested(Need.CORE_FILES, f"cores do not go to the directory of who dies here: core_pattern is {pattern!r}")
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard == 0:
        untested(Need.PROCESS_LIMITS, "the hard limit RLIMIT_CORE is 0 here")

    def arrange() -> None:
        os.chdir(tmp_path)
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

    return arrange


@clause("signal.core-bit", "core(5)", "DESCRIPTION")
def test_core_dump_is_reported(fork, may_dump):
    """The wait status of a child has WCOREDUMP set if a signal with that default action has dumped core, and clear
    otherwise.
    """

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
def test_no_core_if_limit_is_zero(fork, tmp_path, may_dump):
    """With RLIMIT_CORE 0 no core file is written and WCOREDUMP is not set."""

    def life() -> bool:
        def die() -> None:
            may_dump()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            kill(os.getpid(), SIGABRT)

        with Child.start(die) as child:
            return os.WCOREDUMP(os.waitpid(child.pid, 0)[1])

    assert fork(life).result() is False
    assert list(tmp_path.iterdir()) == []


@clause("siginfo.sigchld-dumped", "sigaction(2)", SIGINFO)
@pytest.mark.parametrize("dumps", [True, False], ids=["with-a-core", "without"])
def test_sigchld_reports_core_dump(fork, signals, may_dump, dumps):
    """SIGCHLD has si_code CLD_DUMPED if the child has dumped core, otherwise CLD_KILLED, and the signal in
    si_status.
    """

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
