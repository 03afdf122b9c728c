"""System calls without the libc wrapper, for arguments that the wrapper accesses itself and crashes on."""

from __future__ import annotations

from contextlib import suppress

from pytest_ipc import Need, untested
from pytest_ipc.kernel import number_of
from pytest_ipc.kernel.libc import syscall

# An address that is never mapped.
NOBODYS = 8


def raw(name: str, *arguments: int) -> int:
    """Make system call *name* without the libc wrapper. OSError with the errno; untested if this machine lacks the
    call.
    """
    for form in (name, f"{name}_time64"):  # some 32-bit machines have only the call with a 64-bit time, or only ipc(2)
        with suppress(LookupError):
            return syscall(number_of(form), *arguments)
    return untested(Need.ARCHITECTURE, f"{name} has no system call of its own on this machine")
