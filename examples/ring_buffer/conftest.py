"""The programs, compiled once a run, and rings to use them on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_ipc import Ipc, Program, SemaphoreSet

pytest_plugins = ["pytester"]

SOURCES = Path(__file__).parent


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the compiled programs."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("the ring buffer is written in C, and there is no compiler: no program `cc` in PATH")
    out = tmp_path_factory.mktemp("programs")
    options = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror"]
    for name in ("ringctl", "produce", "consume"):
        sources = [SOURCES / f"{name}.c", SOURCES / "ring.c"]
        subprocess.run([compiler, *options, "-o", out / name, *sources], check=True)
    return out


@dataclass
class Ring:
    """A ring with a reserved key, and its programs."""

    ipc: Ipc
    programs: Path
    key: int

    def produce(self, *lines: str, pause: bool = False) -> Program:
        argv = [str(self.programs / "produce"), hex(self.key)]
        return self.ipc.spawn(argv + ["pause"] * pause, stdin="".join(f"{line}\n" for line in lines).encode())

    def consume(self, count: int | None = None, *, pause: bool = False) -> Program:
        argv = [str(self.programs / "consume"), hex(self.key)]
        return self.ipc.spawn(argv + ([] if count is None else [str(count)]) + ["pause"] * pause)

    def control(self, command: str, *arguments: object) -> Program:
        return self.ipc.spawn([self.programs / "ringctl", command, hex(self.key), *map(str, arguments)])

    @property
    def semaphores(self) -> SemaphoreSet:
        """The set of the ring, opened: lock, free slots, used slots, the oldest slot."""
        return self.ipc.sysv_sem(key=self.key, flags=0)


@pytest.fixture
def no_ring(ipc: Ipc, programs: Path) -> Ring:
    """A ring that has not been created."""
    return Ring(ipc, programs, ipc.reserve_key())


@pytest.fixture
def new_ring(no_ring: Ring) -> Callable[[int, int], Ring]:
    """Create the ring with this number of slots, for records of this size."""

    def create(slots: int, record_size: int = 32) -> Ring:
        assert no_ring.control("create", slots, record_size).wait() == 0
        return no_ring

    return create
