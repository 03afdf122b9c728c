"""The service with a reserved name and directory, started by each test."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_ipc import Ipc, PosixQueue, Program

pytest_plugins = ["pytester"]

SERVICE = Path(__file__).with_name("countd.py")


@dataclass
class Countd:
    """A name, a directory and a configuration, and the service on them."""

    ipc: Ipc
    name: str
    directory: Path
    config: Path

    @classmethod
    def reserved(cls, ipc: Ipc, *counters: str) -> Countd:
        """With everything reserved in *ipc*: what the service creates ends with it."""
        directory = Path(ipc.reserve_path("service"))
        directory.mkdir()
        config = directory / "counters"
        config.write_text("\n".join(counters))
        return cls(ipc, ipc.reserve_name(), directory, config)

    @property
    def argv(self) -> list[str]:
        return [sys.executable, str(SERVICE), self.name, str(self.directory), str(self.config)]

    @property
    def pid_file(self) -> Path:
        return self.directory / "pid"

    @property
    def fifo(self) -> Path:
        return self.directory / "control"

    def launch(self, *, may_fail: bool = False) -> Program:
        """Start it, without waiting."""
        return self.ipc.spawn(self.argv, may_fail=may_fail)

    def start(self, *, may_fail: bool = False) -> Program:
        """Start it, and wait until it is ready."""
        program = self.launch(may_fail=may_fail)
        program.wait_for_output(rf"^ready {program.pid}$")
        return program

    def queue(self) -> PosixQueue:
        """Open the service's queue."""
        return self.ipc.posix_mq(name=self.name, flags=os.O_RDWR)

    def counters(self) -> memoryview:
        """Map the service's shared memory: the number of reloads, then the counters."""
        return self.ipc.posix_shm(name=self.name, flags=os.O_RDWR).map().buf.cast("q")

    def command(self, text: str) -> None:
        """Write to the FIFO; OSError (ENXIO) if nobody reads it."""
        fd = os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def leftovers(self) -> list[str]:
        """What exists of the service."""
        found = [path.name for path in (self.pid_file, self.fifo) if path.exists()]
        for call, what in ((self.counters, "memory"), (self.queue, "queue")):
            try:
                call()
            except FileNotFoundError:
                continue
            found.append(what)
        return found


@pytest.fixture
def countd(ipc: Ipc) -> Countd:
    """The service, not started, with the counters "hits" and "errors"."""
    return Countd.reserved(ipc, "hits", "errors")
