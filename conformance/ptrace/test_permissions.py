"""ptrace(2), "Ptrace access mode checking": who may trace whom."""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import EPERM
from signal import SIGSTOP

import pytest

from pytest_ipc import (
    PR_SET_DUMPABLE,
    PTRACE_ATTACH,
    PTRACE_SEIZE,
    CapabilitySets,
    capget,
    capset,
    clause,
    fails_with,
    prctl,
    ptrace,
    untested,
)

from ..places import GROUP, OTHER_GROUP, OWNER, STRANGER, become
from ..signal.plain import bare_child
from .conftest import has_sys_ptrace
from .tracee import Stopped, next_of, sleep

SECTION = "Ptrace access mode checking"

EITHER = pytest.mark.parametrize("op", [PTRACE_ATTACH, PTRACE_SEIZE], ids=["ATTACH", "SEIZE"])


def sleeper(pipe, prepare: Callable[[], object]) -> int:
    """A child that has prepared itself, and sleeps."""

    def life() -> int:
        prepare()
        pipe.write(b"!")
        return sleep()

    pid = bare_child(life)
    assert pipe.read(1) == b"!"
    return pid


def owned() -> None:
    """Be without capabilities, as OWNER where this process has any, in a process that others of the user may trace."""
    if capget().permitted:
        become(OWNER, GROUP)
    prctl(PR_SET_DUMPABLE, 1)


def with_ids(uids: tuple[int, int, int], gids: tuple[int, int, int]) -> Callable[[], None]:
    """Take these user and group ids, real, effective and saved."""

    def prepare() -> None:
        os.setgroups([])
        os.setresgid(*gids)
        os.setresuid(*uids)
        prctl(PR_SET_DUMPABLE, 1)

    return prepare


@clause("ptrace.same-user", "ptrace(2)", SECTION)
@EITHER
def test_a_user_may_trace_a_process_of_his(fork, pipe, op):
    """An unprivileged process may trace a process whose user and group ids are all its own."""
    ready = pipe()

    def life() -> None:
        owned()
        ptrace(op, sleeper(ready, int))

    fork(life).result()


@pytest.mark.usefixtures("other_users")
@clause("ptrace.other-ids-eperm", "ptrace(2)", SECTION, errno=EPERM)
@EITHER
@pytest.mark.parametrize(
    ("uids", "gids"),
    [
        ((STRANGER, STRANGER, STRANGER), (GROUP, GROUP, GROUP)),
        ((STRANGER, OWNER, OWNER), (GROUP, GROUP, GROUP)),
        ((OWNER, STRANGER, OWNER), (GROUP, GROUP, GROUP)),
        ((OWNER, OWNER, STRANGER), (GROUP, GROUP, GROUP)),
        ((OWNER, OWNER, OWNER), (OTHER_GROUP, GROUP, GROUP)),
        ((OWNER, OWNER, OWNER), (GROUP, OTHER_GROUP, GROUP)),
        ((OWNER, OWNER, OWNER), (GROUP, GROUP, OTHER_GROUP)),
    ],
    ids=["another", "real uid", "effective uid", "saved uid", "real gid", "effective gid", "saved gid"],
)
def test_another_users_process_is_not_traced(fork, pipe, op, uids, gids):
    """A process is not traced by an unprivileged one if one of its real, effective and saved ids is another."""
    ready = pipe()

    def life() -> None:
        pid = sleeper(ready, with_ids(uids, gids))
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
        pid = sleeper(ready, lambda: prctl(PR_SET_DUMPABLE, 0))
        with fails_with(EPERM):
            ptrace(op, pid)

    fork(life).result()


@clause("ptrace.more-capabilities-eperm", "ptrace(2)", SECTION, errno=EPERM)
@EITHER
def test_a_process_with_more_capabilities_is_not_traced(fork, pipe, op):
    """A process that is permitted a capability which the caller is not is not traced by it, whoever its user is."""
    ready = pipe()
    if not has_sys_ptrace():
        untested("needs CAP_SYS_PTRACE")

    def life() -> None:
        pid = sleeper(ready, int)
        capset(CapabilitySets(0, 0, 0))
        with fails_with(EPERM):
            ptrace(op, pid)

    fork(life).result()


@clause("ptrace.fewer-capabilities", "ptrace(2)", SECTION)
@EITHER
def test_a_process_with_fewer_capabilities_may_be_traced(fork, pipe, op):
    """A process of the same user whose capabilities are among the caller's may be traced by it."""
    ready = pipe()
    if not has_sys_ptrace():
        untested("needs CAP_SYS_PTRACE")

    def life() -> None:
        pid = sleeper(ready, lambda: capset(CapabilitySets(0, 0, 0)))
        held = capget()
        less = held.permitted & ~(1 << 19)  # CAP_SYS_PTRACE, which would do by itself
        capset(CapabilitySets(less, less, 0))
        ptrace(op, pid)

    fork(life).result()


@pytest.mark.usefixtures("other_users")
@clause("ptrace.cap_sys_ptrace", "ptrace(2)", SECTION)
@EITHER
def test_a_capability_lets_one_trace_anybody(fork, pipe, op):
    """A process with CAP_SYS_PTRACE may trace processes of other users, dumpable or not."""
    ready = pipe()
    if not has_sys_ptrace():
        untested("needs CAP_SYS_PTRACE")

    def life() -> None:
        pid = sleeper(ready, lambda: become(STRANGER, OTHER_GROUP))
        ptrace(op, pid)
        if op == PTRACE_ATTACH:
            assert next_of(pid) == Stopped(SIGSTOP)

    fork(life).result()
