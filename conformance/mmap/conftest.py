"""Fixtures of the mapping clauses: mappings, memory files and descriptors closed with the test, and a file of known
bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ipc import End, Ipc, Mapping
from pytest_ipc.kernel import MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE, memfd_create
from pytest_ipc.kernel import open as raw_open


@pytest.fixture
def mapping(ipc_scope: Ipc) -> Callable[..., Mapping]:
    """Map memory: mapping(fd, length, prot=..., flags=..., offset=0) -> Mapping. With fd None it is anonymous and
    private.
    """

    def make(
        fd: int | None, length: int, prot: int = PROT_READ | PROT_WRITE, flags: int | None = None, offset: int = 0
    ) -> Mapping:
        if flags is None:
            flags = MAP_PRIVATE if fd is None else MAP_SHARED
        return Mapping.of(fd, length, prot=prot, flags=flags, offset=offset, scope=ipc_scope.scope)

    return make


@pytest.fixture
def opened(ipc_scope: Ipc) -> Callable[..., int]:
    """Open a file: opened(path, flags) -> descriptor, closed with the test."""

    def call(path: str | os.PathLike[str], flags: int) -> int:
        return End(raw_open(path, flags | os.O_CLOEXEC), os.fspath(path), ipc_scope.scope).fd

    return call


@pytest.fixture
def file(tmp_path: Path, page: int) -> Path:
    """Create a file of two and a half pages: a page of a, a page of b, half a page of c."""
    path = tmp_path / "file"
    path.write_bytes(b"a" * page + b"b" * page + b"c" * (page // 2))
    return path


@pytest.fixture
def memfd(ipc_scope: Ipc) -> Callable[..., int]:
    """Create a memory file: memfd(flags=0, size=0, name="test") -> descriptor, closed with the test."""

    def make(flags: int = 0, size: int = 0, name: str = "test") -> int:
        fd = End(memfd_create(name, flags), f"memory file {name}", ipc_scope.scope).fd
        if size:
            os.ftruncate(fd, size)
        return fd

    return make
