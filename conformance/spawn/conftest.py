"""Fixtures of the clauses about programs started by libc: a shell, and children with default dispositions."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pytest_ipc import Need, untested

from ..signal.conftest import other_users
from ..signal.plain_child import PlainFork

__all__ = ["other_users"]

SHELL = "/bin/sh"


@pytest.fixture
def shell() -> None:
    """Report untested without the shell that popen(3) and system(3) run."""
    if not os.access(SHELL, os.X_OK):
        untested(Need.PROGRAMS, "needs the program /bin/sh")


@pytest.fixture
def fork(ipc_scope: Any, shell: None) -> PlainFork:  # noqa: ARG001 - makes the clause untested without a shell
    """Return a fork for children that start programs."""
    return PlainFork(ipc_scope.scope)
