"""process_vm_readv(2): permission to read and write another process's memory, by ptrace access mode checks."""

from __future__ import annotations

import ctypes
import os
from errno import EPERM

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import process_vm_readv, process_vm_writev

from ..ptrace.access import (
    OTHERS,
    needs_sys_ptrace,
    not_dumpable,
    owned,
    sleeper,
    stranger,
    with_ids,
    without_capabilities,
)

EITHER = pytest.mark.parametrize("call", [process_vm_readv, process_vm_writev], ids=["readv", "writev"])


@pytest.fixture
def byte() -> tuple[int, int]:
    """Return the address and length of a byte that every process of this test has at one address."""
    return ctypes.addressof(BYTE), 1


BYTE = ctypes.c_char(b"!")


@clause("process_vm.same-user", "process_vm_readv(2)", "DESCRIPTION", since="3.2")
@EITHER
def test_memory_of_own_process_may_be_used(fork, pipe, byte, call):
    """An unprivileged process may read and write the memory of a process whose user and group IDs are all its own."""
    ready = pipe()

    def life() -> None:
        owned()
        assert call(sleeper(ready), [byte], [byte]) == 1

    fork(life).result()


@clause("process_vm.oneself", "ptrace(2)", "Ptrace access mode checking", since="3.2")
@EITHER
def test_own_memory_may_be_used(fork, byte, call):
    """A process may always read and write its own memory, dumpable or not."""

    def life() -> None:
        owned()
        not_dumpable()
        assert call(os.getpid(), [byte], [byte]) == 1

    fork(life).result()


@clause("process_vm.other-ids-eperm", "process_vm_readv(2)", "ERRORS", errno=EPERM, since="3.2")
@pytest.mark.usefixtures("other_users")
@EITHER
@OTHERS
def test_memory_of_other_user_fails(fork, pipe, byte, call, ids):
    """process_vm_readv() and process_vm_writev() fail with EPERM if one of the target's real, effective and saved
    IDs differs from the caller's.
    """
    ready = pipe()

    def life() -> None:
        pid = sleeper(ready, with_ids(*ids))
        owned()
        with fails_with(EPERM):
            call(pid, [byte], [byte])

    fork(life).result()


@clause("process_vm.not-dumpable-eperm", "process_vm_readv(2)", "ERRORS", errno=EPERM, since="3.2")
@EITHER
def test_memory_of_not_dumpable_process_fails(fork, pipe, byte, call):
    """process_vm_readv() and process_vm_writev() by an unprivileged process fail with EPERM if the target's
    "dumpable" attribute is not 1.
    """
    ready = pipe()

    def life() -> None:
        owned()
        pid = sleeper(ready, not_dumpable)
        with fails_with(EPERM):
            call(pid, [byte], [byte])

    fork(life).result()


@clause("process_vm.more-capabilities-eperm", "process_vm_readv(2)", "ERRORS", errno=EPERM, since="3.2")
@EITHER
def test_memory_of_more_capable_process_fails(fork, pipe, byte, call):
    """process_vm_readv() and process_vm_writev() fail with EPERM if the target has a permitted capability that the
    caller lacks.
    """
    ready = pipe()
    needs_sys_ptrace()

    def life() -> None:
        pid = sleeper(ready)
        without_capabilities()
        with fails_with(EPERM):
            call(pid, [byte], [byte])

    fork(life).result()


@clause("process_vm.cap_sys_ptrace", "process_vm_readv(2)", "DESCRIPTION", since="3.2")
@pytest.mark.usefixtures("other_users")
@EITHER
def test_cap_sys_ptrace_permits_all_memory(fork, pipe, byte, call):
    """A process with CAP_SYS_PTRACE may read and write the memory of processes of other users, dumpable or not."""
    ready = pipe()
    needs_sys_ptrace()

    def life() -> None:
        assert call(sleeper(ready, stranger), [byte], [byte]) == 1

    fork(life).result()
