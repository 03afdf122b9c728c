"""What the clauses about programs that libc starts are written with: a shell, and children with default dispositions."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pytest_ipc import untested

from ..signal.conftest import other_users
from ..signal.plain_child import PlainFork

__all__ = ["other_users"]

SHELL = "/bin/sh"


@pytest.fixture
def shell() -> None:
    """The shell that popen(3) and system(3) run, and that posix_spawn(3) is tried with."""
    if not os.access(SHELL, os.X_OK):
        untested("needs the program /bin/sh")


@pytest.fixture
def fork(ipc_scope: Any, shell: None) -> PlainFork:  # noqa: ARG001 - which is untested where there is none
    """fork, for children that start programs."""
    return PlainFork(ipc_scope.scope)
