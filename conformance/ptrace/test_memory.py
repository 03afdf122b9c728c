"""ptrace(2): reading and changing the memory and the registers of a tracee."""

from __future__ import annotations

import ctypes
import os
import sys
from errno import EFAULT, EIO
from signal import SIGUSR1

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import (
    PTRACE_CONT,
    PTRACE_PEEKDATA,
    PTRACE_PEEKTEXT,
    PTRACE_POKEDATA,
    PTRACE_POKETEXT,
    kill,
    number_of,
    ptrace,
    ptrace_peek,
    ptrace_registers,
    ptrace_set_registers,
)
from pytest_ipc.kernel.libc import syscall

from .tracee import Exited, next_of, to_entry, to_syscall_stop, traced

WORD = ctypes.sizeof(ctypes.c_long)

# Which word of the general registers holds the result of a system call.
RESULT = {"x86_64": 10, "aarch64": 0, "riscv64": 10, "loongarch64": 4, "ppc64le": 3, "s390x": 4}

WORDS = [0x1234_5678, -1, 0, -(2 ** (8 * WORD - 1))]


@pytest.fixture
def word() -> ctypes.c_long:
    """Return a word of this process; a child has its own at the same address."""
    return ctypes.c_long()


@clause("ptrace.peek", "ptrace(2)", "DESCRIPTION")
@pytest.mark.parametrize("op", [PTRACE_PEEKDATA, PTRACE_PEEKTEXT], ids=["PEEKDATA", "PEEKTEXT"])
@pytest.mark.parametrize("value", WORDS, ids=hex)
def test_peek_returns_word(fork, word, op, value):
    """PTRACE_PEEKDATA and PTRACE_PEEKTEXT return the word at an address of the tracee, even if it is -1."""

    def child() -> int:
        word.value = value
        kill(os.getpid(), SIGUSR1)
        return 0

    def life() -> None:
        pid = traced(child)
        ptrace(PTRACE_CONT, pid)
        next_of(pid)
        word.value = 5
        assert ptrace_peek(pid, ctypes.addressof(word), op) == value
        assert word.value == 5

    fork(life).result()


@clause("ptrace.poke", "ptrace(2)", "DESCRIPTION")
@pytest.mark.parametrize("op", [PTRACE_POKEDATA, PTRACE_POKETEXT], ids=["POKEDATA", "POKETEXT"])
def test_poke_sets_word(fork, op):
    """PTRACE_POKEDATA and PTRACE_POKETEXT set the word at an address of the tracee, and no other."""
    words = (ctypes.c_long * 3)(1, 2, 3)

    def life() -> None:
        pid = traced(lambda: 0 if list(words) == [1, -7, 3] else 1)
        ptrace(op, pid, ctypes.addressof(words) + WORD, -7)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(0)
        assert list(words) == [1, 2, 3]

    fork(life).result()


@clause("ptrace.poke-read-only", "ptrace(2)", "DESCRIPTION")
def test_text_can_be_written(fork):
    """PTRACE_PEEKDATA reads and PTRACE_POKETEXT writes the text of the tracee; that of other processes does not
    change.
    """
    address = ctypes.cast(ctypes.pythonapi.Py_GetVersion, ctypes.c_void_p).value
    assert address is not None
    address -= address % WORD

    def life() -> None:
        pid = traced(int)
        mine = ctypes.c_long.from_address(address).value
        assert ptrace_peek(pid, address) == mine
        ptrace(PTRACE_POKETEXT, pid, address, mine ^ 0xFF)
        assert ptrace_peek(pid, address) == mine ^ 0xFF
        assert ctypes.c_long.from_address(address).value == mine
        ptrace(PTRACE_POKETEXT, pid, address, mine)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(0)

    fork(life).result()


@clause("ptrace.no-such-memory", "ptrace(2)", "ERRORS", errno=EIO)
@pytest.mark.parametrize("op", [PTRACE_PEEKDATA, PTRACE_POKEDATA], ids=["PEEKDATA", "POKEDATA"])
def test_unmapped_address_fails(fork, op):
    """PTRACE_PEEKDATA and PTRACE_POKEDATA fail with EIO or EFAULT for an address that is not mapped in the tracee."""

    def life() -> None:
        pid = traced(int)
        with fails_with(EIO, EFAULT):
            if op == PTRACE_PEEKDATA:
                ptrace_peek(pid, 0)
            else:
                ptrace(op, pid, 0, 1)

    fork(life).result()


@clause("ptrace.getregset", "ptrace(2)", "DESCRIPTION", since="2.6.34")
def test_getregset_returns_registers(fork):
    """PTRACE_GETREGSET returns the general-purpose registers, which do not change while the tracee is stopped."""

    def life() -> None:
        pid = traced(int)
        registers = ptrace_registers(pid)
        assert any(registers)
        assert len(registers) % 4 == 0
        assert ptrace_registers(pid) == registers

    fork(life).result()


@clause("ptrace.getregset-length", "ptrace(2)", "DESCRIPTION", since="2.6.34")
def test_getregset_returns_length(fork):
    """PTRACE_GETREGSET writes at most iov_len bytes and sets iov_len to the number of bytes written."""

    def life() -> None:
        pid = traced(int)
        registers = ptrace_registers(pid, 4096)
        assert 8 < len(registers) < 4096
        assert ptrace_registers(pid, 8) == registers[:8]

    fork(life).result()


@clause("ptrace.setregset", "ptrace(2)", "DESCRIPTION", since="2.6.34")
def test_setregset_sets_registers(fork):
    """PTRACE_SETREGSET sets the general-purpose registers: the tracee gets a changed result of a system call."""
    place = RESULT.get(os.uname().machine)
    if place is None or WORD != 8:
        untested(Need.ARCHITECTURE, "needs the register layout of this architecture")

    def life() -> None:
        pid = traced(lambda: syscall(number_of("getpid")))
        to_entry(pid, number_of("getpid"))
        to_syscall_stop(pid)
        registers = ptrace_registers(pid)
        assert int.from_bytes(registers[8 * place : 8 * place + 8], sys.byteorder) == pid
        changed = registers[: 8 * place] + (77).to_bytes(8, sys.byteorder) + registers[8 * place + 8 :]
        ptrace_set_registers(pid, changed)
        ptrace(PTRACE_CONT, pid)
        assert next_of(pid) == Exited(77)

    fork(life).result()
