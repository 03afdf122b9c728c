"""What clauses about FIFOs share: open ends that are closed with the test, and a place that any user can reach."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ipc import End, Ipc
from pytest_ipc.kernel import open as raw_open


@pytest.fixture
def opened(ipc_scope: Ipc) -> Callable[..., End]:
    """Open a FIFO in this process: opened(path, flags) -> End. With flags whose open must not block."""

    def make(path: str | os.PathLike[str], flags: int) -> End:
        return End(raw_open(path, flags | os.O_CLOEXEC), f"an end of {os.fspath(path)}", ipc_scope.scope)

    return make


@pytest.fixture
def common(tmp_path: Path) -> Path:
    """A directory in which every user may make files; those above it may be closed, so a child must start inside it."""
    tmp_path.chmod(0o777)
    return tmp_path
