"""ptrace(2), "Ptrace access mode checking": permission to trace a process."""

from __future__ import annotations

from errno import EPERM
from signal import SIGSTOP

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import PTRACE_ATTACH, PTRACE_SEIZE, ptrace

from .access import (
    OTHERS,
    needs_sys_ptrace,
    not_dumpable,
    owned,
    sleeper,
    stranger,
    with_ids,
    without_capabilities,
    without_sys_ptrace,
)
from .tracee import Stopped, next_of

SECTION = "Ptrace access mode checking"

EITHER = pytest.mark.parametrize("op", [PTRACE_ATTACH, PTRACE_SEIZE], ids=["ATTACH", "SEIZE"])


@clause("ptrace.same-user", "ptrace(2)", SECTION)
@EITHER
def test_own_process_may_be_traced(fork, pipe, op):
    """An unprivileged process may trace a process whose user and group IDs are all its own."""
    ready = pipe()

    def life() -> None:
        owned()
        ptrace(op, sleeper(ready))

    fork(life).result()


@clause("ptrace.other-ids-eperm", "ptrace(2)", SECTION, errno=EPERM)
@pytest.mark.usefixtures("other_users")
@EITHER
@OTHERS
def test_process_of_other_user_fails(fork, pipe, op, ids):
    """PTRACE_ATTACH and PTRACE_SEIZE by an unprivileged process fail with EPERM if one of the target's real, effective
    and saved IDs differs from the caller's."""
    ready = pipe()

    def life() -> None:
        pid = sleeper(ready, with_ids(*ids))
        owned()
        with fails_with(EPERM):
            ptrace(op, pid)

    fork(life).result()


@clause("ptrace.not-dumpable-eperm", "ptrace(2)", SECTION, errno=EPERM)
@EITHER
def test_not_dumpable_process_fails(fork, pipe, op):
    """PTRACE_ATTACH and PTRACE_SEIZE by an unprivileged process fail with EPERM if the target's "dumpable" attribute
    is not 1.
    """
    ready = pipe()

    def life() -> None:
        owned()
        pid = sleeper(ready, not_dumpable)
        with fails_with(EPERM):
            ptrace(op, pid)

    fork(life).result()


@clause("ptrace.more-capabilities-eperm", "ptrace(2)", SECTION, errno=EPERM)
@EITHER
def test_more_capable_process_fails(fork, pipe, op):
    """PTRACE_ATTACH and PTRACE_SEIZE fail with EPERM if the target has a permitted capability that the caller lacks."""
    ready = pipe()
    needs_sys_ptrace()

    def life() -> None:
        pid = sleeper(ready)
        without_capabilities()
        with fails_with(EPERM):
            ptrace(op, pid)

    fork(life).result()


@clause("ptrace.fewer-capabilities", "ptrace(2)", SECTION)
@EITHER
def test_less_capable_process_may_be_traced(fork, pipe, op):
    """A process may trace a process of the same user whose capabilities are a subset of its own."""
    ready = pipe()
    needs_sys_ptrace()

    def life() -> None:
        pid = sleeper(ready, without_capabilities)
        without_sys_ptrace()
        ptrace(op, pid)

    fork(life).result()


@clause("ptrace.cap_sys_ptrace", "ptrace(2)", SECTION)
@pytest.mark.usefixtures("other_users")
@EITHER
def test_cap_sys_ptrace_permits_all_processes(fork, pipe, op):
    """A process with CAP_SYS_PTRACE may trace processes of other users, dumpable or not."""
    ready = pipe()
    needs_sys_ptrace()

    def life() -> None:
        pid = sleeper(ready, stranger)
        ptrace(op, pid)
        if op == PTRACE_ATTACH:
            assert next_of(pid) == Stopped(SIGSTOP)

    fork(life).result()
