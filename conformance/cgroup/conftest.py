"""What the clauses about control groups are written with: cgroups below the one that this process is in, and their members."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from errno import ENOENT
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc import Child, untested
from pytest_ipc.kernel import Deadline, process_state

from ..signal.conftest import fork
from ..signal.plain_child import SOON

__all__ = ["fork"]

PREFIX = "pytest-ipc"


class Cgroup:
    """A cgroup of version 2, by the path of its directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, file: str) -> str:
        """What a file of it says."""
        return (self.path / file).read_text()

    def write(self, file: str, text: str) -> None:
        """Write a file of it. OSError."""
        fd = os.open(self.path / file, os.O_WRONLY)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def key(self, file: str, key: str) -> int:
        """The number beside a key of a file. Untested where this kernel has no such file or key."""
        try:
            lines = self.read(file).splitlines()
        except FileNotFoundError:
            lines = []
        found = [int(line.split()[1]) for line in lines if line.split()[0] == key]
        if not found:
            untested(f"needs a kernel with {key} in {file}")
        return found[0]

    def has(self, key: str, value: int) -> bool:
        """Wait until a key of cgroup.events has a value; whether it came to that."""
        return Deadline(SOON).until(lambda: self.key("cgroup.events", key) == value)

    def freeze(self, frozen: bool = True) -> None:
        """Write cgroup.freeze. Untested where this kernel has none."""
        if not (self.path / "cgroup.freeze").exists():
            untested("needs a kernel with cgroup.freeze")
        self.write("cgroup.freeze", str(int(frozen)))

    def take(self, child: Child[Any] | int) -> None:
        """Make a process a member."""
        self.write("cgroup.procs", str(child if isinstance(child, int) else child.pid))

    @property
    def members(self) -> list[int]:
        """The processes in it."""
        return [int(line) for line in self.read("cgroup.procs").splitlines()]

    def below(self, name: str) -> Cgroup:
        """Make a cgroup below it. OSError."""
        os.mkdir(self.path / name)
        return Cgroup(self.path / name)

    def remove(self) -> None:
        """End its members and those below, and remove it with them."""
        if (self.path / "cgroup.freeze").exists():
            self.write("cgroup.freeze", "0")
        for folder, _, _ in os.walk(self.path, topdown=False):
            here = Cgroup(Path(folder))
            for pid in here.members:
                with suppress(ProcessLookupError):
                    os.kill(pid, 9)
            assert Deadline(SOON).until(partial(_removed, folder)), f"{folder} cannot be removed"


def _removed(folder: str) -> bool:
    try:
        os.rmdir(folder)
    except OSError as error:
        return error.errno == ENOENT
    return True


def own() -> Cgroup:
    """The cgroup that this process is in. Untested where there is none of version 2 in sight."""
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
        untested("needs a cgroup of version 2: none is mounted that this process is in")
    return Cgroup(points[0])


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    """A new cgroup, which is removed with all its members and all below it."""
    parent = own()
    sweep(parent)
    start = process_state(os.getpid())
    assert start is not None
    try:
        made = parent.below(f"{PREFIX}-{os.getpid()}-{start.starttime}")
    except OSError as error:
        untested(f"needs a cgroup that is delegated, or root: {error.strerror}")
    yield made
    made.remove()


def sweep(parent: Cgroup) -> None:
    """Remove what runs that were killed have left."""
    for folder in parent.path.glob(f"{PREFIX}-*-*"):
        pid, start = folder.name.removeprefix(f"{PREFIX}-").split("-")
        state = process_state(int(pid))
        if state is None or state.starttime != int(start):
            with suppress(OSError):
                Cgroup(folder).remove()


@pytest.fixture
def member(cgroup: Cgroup, fork: Callable[..., Child[Any]]) -> Callable[..., Child[Any]]:
    """Start a child in the cgroup, or in another: member(function, *args, of=None). Untested where none may be moved."""

    def start(function: Callable[..., object], *args: object, of: Cgroup | None = None) -> Child[Any]:
        child = fork(function, *args)
        try:
            (of or cgroup).take(child)
        except PermissionError as error:
            untested(f"needs a cgroup that is delegated, or root: {error.strerror}")
        return child

    return start
