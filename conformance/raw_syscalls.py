"""System calls past libc: for arguments that a wrapper reads itself, and would die of."""

from __future__ import annotations

from contextlib import suppress

from pytest_ipc import untested
from pytest_ipc.kernel import number_of
from pytest_ipc.kernel.libc import syscall

# An address that is never mapped.
NOBODYS = 8


def raw(name: str, *arguments: int) -> int:
    """Make system call *name* past libc's wrapper. OSError with the errno; untested where this machine has no such call."""
    for form in (name, f"{name}_time64"):  # 32-bit machines have some only with a 64-bit time, or only through ipc(2)
        with suppress(LookupError):
            return syscall(number_of(form), *arguments)
    return untested(f"{name} has no system call of its own on this machine")
