"""ptrace(2), "Ptrace access mode checking": who may trace whom."""

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
def test_a_user_may_trace_a_process_of_theirs(fork, pipe, op):
    """An unprivileged process may trace a process whose user and group ids are all its own."""
    ready = pipe()

    def life() -> None:
        owned()
        ptrace(op, sleeper(ready))

    fork(life).result()


@clause("ptrace.other-ids-eperm", "ptrace(2)", SECTION, errno=EPERM)
@pytest.mark.usefixtures("other_users")
@EITHER
@OTHERS
def test_another_users_process_is_not_traced(fork, pipe, op, ids):
    """A process is not traced by an unprivileged one if one of its real, effective and saved ids is another."""
    ready = pipe()

    def life() -> None:
        pid = sleeper(ready, with_ids(*ids))
        owned()
        with fails_with(EPERM):
            ptrace(op, pid)

    fork(life).result()


@clause("ptrace.not-dumpable-eperm", "ptrace(2)", SECTION, errno=EPERM)
@EITHER
def test_a_process_that_is_not_dumpable_is_not_traced(fork, pipe, op):
    """A process whose "dumpable" attribute is not 1 is not traced by an unprivileged one."""
    ready = pipe()

    def life() -> None:
        owned()
        pid = sleeper(ready, not_dumpable)
        with fails_with(EPERM):
            ptrace(op, pid)

    fork(life).result()


@clause("ptrace.more-capabilities-eperm", "ptrace(2)", SECTION, errno=EPERM)
@EITHER
def test_a_process_with_more_capabilities_is_not_traced(fork, pipe, op):
    """A process that is permitted a capability which the caller is not is not traced by it, whoever its user is."""
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
def test_a_process_with_fewer_capabilities_may_be_traced(fork, pipe, op):
    """A process of the same user whose capabilities are among the caller's may be traced by it."""
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
def test_a_capability_lets_one_trace_anybody(fork, pipe, op):
    """A process with CAP_SYS_PTRACE may trace processes of other users, dumpable or not."""
    ready = pipe()
    needs_sys_ptrace()

    def life() -> None:
        pid = sleeper(ready, stranger)
        ptrace(op, pid)
        if op == PTRACE_ATTACH:
            assert next_of(pid) == Stopped(SIGSTOP)

    fork(life).result()
