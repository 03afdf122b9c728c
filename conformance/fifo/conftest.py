"""Fixtures of the FIFO clauses: descriptors closed with the test, and a directory that every user can write to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ipc import End, Ipc
from pytest_ipc.kernel import open as raw_open


@pytest.fixture
def opened(ipc_scope: Ipc) -> Callable[..., End]:
    """Open a FIFO in this process: opened(path, flags) -> End. The flags must not let open() block."""

    def make(path: str | os.PathLike[str], flags: int) -> End:
        return End(raw_open(path, flags | os.O_CLOEXEC), f"an end of {os.fspath(path)}", ipc_scope.scope)

    return make


@pytest.fixture
def common(tmp_path: Path) -> Path:
    """Return a directory in which every user can create files; a
    child must chdir() into it, as its parents may be closed.
    """
    tmp_path.chmod(0o777)
    return tmp_path
