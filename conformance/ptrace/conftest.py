"""Fixtures of the ptrace(2) clauses: children with default dispositions, where tracing is permitted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pytest_ipc.kernel.trace import paused

from ..signal.conftest import other_users
from ..signal.plain_child import PlainFork
from .access import needs_leave_to_trace

__all__ = ["other_users"]


@pytest.fixture(autouse=True)
def no_trace_of_calls() -> Iterator[None]:
    """Record no calls: reading what their pointers refer to takes a system call, at which a tracee would stop."""
    with paused():
        yield


@pytest.fixture
def leave_to_trace() -> None:
    """Report untested where tracing is forbidden."""
    needs_leave_to_trace()


@pytest.fixture
def fork(ipc_scope: Any, leave_to_trace: None) -> PlainFork:  # noqa: ARG001 - reports untested where forbidden
    """Return a fork for children that may trace their own children."""
    return PlainFork(ipc_scope.scope)
