"""What the clauses about ptrace(2) are written with: children with default dispositions, where tracing is not switched off."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_ipc import CAPABILITIES, capget, limit, untested

from ..signal.conftest import other_users
from ..signal.plain import PlainFork

__all__ = ["other_users"]


def has_sys_ptrace() -> bool:
    """Whether this process has CAP_SYS_PTRACE."""
    return bool(capget().effective >> CAPABILITIES.index("SYS_PTRACE") & 1)


@pytest.fixture
def leave_to_trace() -> None:
    """Untested where the Yama module lets nobody trace, or none but an administrator."""
    scope = limit("kernel/yama/ptrace_scope")
    if scope is not None and (scope > 2 or (scope == 2 and not has_sys_ptrace())):
        untested(f"needs leave to trace a child: kernel.yama.ptrace_scope is {scope}")


@pytest.fixture
def fork(ipc_scope: Any, leave_to_trace: None) -> PlainFork:  # noqa: ARG001 - which is untested where nobody may trace
    """fork, for children that may trace their own children."""
    return PlainFork(ipc_scope.scope)
