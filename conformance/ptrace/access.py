"""Processes for "Ptrace access mode checking" of ptrace(2), the permission check that other calls use, too."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from pytest_ipc import Need, Pipe, untested
from pytest_ipc.kernel import CAPABILITIES, PR_SET_DUMPABLE, CapabilitySets, capget, capset, limit, prctl

from ..credentials import GROUP, OTHER_GROUP, OWNER, STRANGER, become
from ..signal.plain_child import bare_child
from .tracee import sleep

CAP_SYS_PTRACE = 1 << CAPABILITIES.index("SYS_PTRACE")


def has_sys_ptrace() -> bool:
    """Return whether this process has CAP_SYS_PTRACE."""
    return bool(capget().effective & CAP_SYS_PTRACE)


def needs_sys_ptrace() -> None:
    """Report untested without CAP_SYS_PTRACE."""
    if not has_sys_ptrace():
        untested(Need.CAP_SYS_PTRACE, "needs CAP_SYS_PTRACE")


def needs_leave_to_trace() -> None:
    """Report untested if the Yama module forbids tracing, or permits it only with CAP_SYS_PTRACE."""
    scope = limit("kernel/yama/ptrace_scope")
    if scope is not None and (scope > 2 or (scope == 2 and not has_sys_ptrace())):
        untested(Need.TRACING, f"needs leave to trace a child: kernel.yama.ptrace_scope is {scope}")


def sleeper(ready: Pipe, prepare: Callable[[], object] = int) -> int:
    """Start a child that calls *prepare* and then sleeps; return its pid."""

    def life() -> int:
        prepare()
        ready.write(b"!")
        return sleep()

    pid = bare_child(life)
    assert ready.read(1) == b"!"
    return pid


def owned() -> None:
    """Drop all capabilities, as OWNER if there are any, and stay traceable by processes of the same user."""
    if capget().permitted:
        become(OWNER, GROUP)
    prctl(PR_SET_DUMPABLE, 1)


def not_dumpable() -> None:
    """Make this process not traceable by processes of the same user."""
    prctl(PR_SET_DUMPABLE, 0)


def stranger() -> None:
    """Become another user."""
    become(STRANGER, OTHER_GROUP)


def without_capabilities() -> None:
    """Drop every capability without a change of user."""
    capset(CapabilitySets(0, 0, 0))


def without_sys_ptrace() -> None:
    """Drop CAP_SYS_PTRACE, which would suffice by itself, and no other capability."""
    less = capget().permitted & ~CAP_SYS_PTRACE
    capset(CapabilitySets(less, less, 0))


Ids = tuple[int, int, int]


def with_ids(uids: Ids, gids: Ids) -> Callable[[], None]:
    """Return a function that sets these real, effective and saved IDs, and stays traceable by the same user."""

    def prepare() -> None:
        os.setgroups([])
        os.setresgid(*gids)
        os.setresuid(*uids)
        prctl(PR_SET_DUMPABLE, 1)

    return prepare


_UIDS, _GIDS = (OWNER,) * 3, (GROUP,) * 3
_OTHERS: dict[str, Any] = {
    "another": ((STRANGER,) * 3, _GIDS),
    "real uid": ((STRANGER, OWNER, OWNER), _GIDS),
    "effective uid": ((OWNER, STRANGER, OWNER), _GIDS),
    "saved uid": ((OWNER, OWNER, STRANGER), _GIDS),
    "real gid": (_UIDS, (OTHER_GROUP, GROUP, GROUP)),
    "effective gid": (_UIDS, (GROUP, OTHER_GROUP, GROUP)),
    "saved gid": (_UIDS, (GROUP, GROUP, OTHER_GROUP)),
}
# Processes that OWNER may not trace: one of six IDs, or all, belong to another user or group.
OTHERS = pytest.mark.parametrize("ids", _OTHERS.values(), ids=_OTHERS)
