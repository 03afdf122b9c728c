"""Fixtures of the control group clauses: a cgroup below that of this process, and its members."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from errno import EACCES, ENOENT, EOPNOTSUPP, EPERM, EROFS
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc import Child, Need, untested
from pytest_ipc.kernel import process_state

from ..signal.conftest import fork
from ..signal.plain_child import comes_true

__all__ = ["fork"]

PREFIX = "pytest-ipc"
# The errors of moving a process to a cgroup that is not delegated, mounted read-only, not visible, or threaded.
NOT_DELEGATED = (EACCES, EPERM, EROFS, ENOENT, EOPNOTSUPP)


class Cgroup:
    """A cgroup of version 2, by the path of its directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, file: str) -> str:
        """Return the content of one of its files."""
        return (self.path / file).read_text()

    def write(self, file: str, text: str) -> None:
        """Write to one of its files. OSError if the kernel rejects the text."""
        fd = os.open(self.path / file, os.O_WRONLY)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def key(self, file: str, key: str) -> int:
        """Return the number of a key in a file; untested if the kernel does not have the file or the key."""
        try:
            lines = self.read(file).splitlines()
        except FileNotFoundError:
            lines = []
        found = [int(line.split()[1]) for line in lines if line.split()[0] == key]
        if not found:
            untested(Need.NEWER_KERNEL, f"needs a kernel with {key} in {file}")
        return found[0]

    def has(self, key: str, value: int) -> bool:
        """Wait until a key of cgroup.events has the value; return whether it does within the deadline."""
        return comes_true(lambda: self.key("cgroup.events", key) == value)

    def freeze(self, frozen: bool = True) -> None:
        """Write cgroup.freeze; untested if the kernel does not have it."""
        if not (self.path / "cgroup.freeze").exists():
            untested(Need.NEWER_KERNEL, "needs a kernel with cgroup.freeze")
        self.write("cgroup.freeze", str(int(frozen)))

    def take(self, child: Child[Any] | int) -> None:
        """Move a process into the cgroup."""
        self.write("cgroup.procs", str(child if isinstance(child, int) else child.pid))

    @property
    def members(self) -> list[int]:
        """The processes of the cgroup."""
        return [int(line) for line in self.read("cgroup.procs").splitlines()]

    def below(self, name: str) -> Cgroup:
        """Create a cgroup below it. OSError if the kernel refuses."""
        os.mkdir(self.path / name)
        return Cgroup(self.path / name)

    def remove(self) -> None:
        """Kill all processes of the cgroup and its descendants, and remove these cgroups."""
        if (self.path / "cgroup.freeze").exists():
            self.write("cgroup.freeze", "0")
        for folder, _, _ in os.walk(self.path, topdown=False):
            here = Cgroup(Path(folder))
            for pid in here.members:
                with suppress(ProcessLookupError):
                    os.kill(pid, 9)
            assert comes_true(partial(_removed, folder)), f"{folder} cannot be removed"


def _removed(folder: str) -> bool:
    try:
        os.rmdir(folder)
    except OSError as error:
        return error.errno == ENOENT
    return True


def own() -> Cgroup:
    """Return the cgroup of this process; untested if no version 2 hierarchy with it is mounted."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        (where,) = (line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    except (OSError, ValueError):
        mounts, where = [], ""
    points = [
        Path(point, where.removeprefix(root).lstrip("/"))
        for _, _, _, root, point, *rest in mounts
        if rest[rest.index("-") + 1] == "cgroup2" and f"{where}/".startswith(root.rstrip("/") + "/")
    ]
    if not points:
        untested(Need.CGROUPS, "needs a cgroup of version 2: none is mounted that this process is in")
    return Cgroup(points[0])


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    """Create a cgroup, which is removed with its processes and descendants after the test."""
    parent = own()
    sweep(parent)
    start = process_state(os.getpid())
    assert start is not None
    try:
        made = parent.below(f"{PREFIX}-{os.getpid()}-{start.starttime}")
    except OSError as error:
        untested(Need.CGROUPS, f"needs a cgroup that is delegated, or root: {error.strerror}")
    yield made
    made.remove()


def sweep(parent: Cgroup) -> None:
    """Remove leftover cgroups of killed runs."""
    for folder in parent.path.glob(f"{PREFIX}-*-*"):
        pid, start = folder.name.removeprefix(f"{PREFIX}-").split("-")
        state = process_state(int(pid))
        if state is None or state.starttime != int(start):
            with suppress(OSError):
                Cgroup(folder).remove()


@pytest.fixture
def member(cgroup: Cgroup, fork: Callable[..., Child[Any]]) -> Callable[..., Child[Any]]:
    """Start a child in the cgroup or another: member(function,
    *args, of=None) -> Child. Untested if it cannot be moved.
    """

    def start(function: Callable[..., object], *args: object, of: Cgroup | None = None) -> Child[Any]:
        child = fork(function, *args)
        try:
            (of or cgroup).take(child)
        except OSError as error:
            if error.errno not in NOT_DELEGATED:
                raise
            untested(Need.CGROUPS, f"needs a cgroup that is delegated, or root: {error.strerror}")
        return child

    return start
