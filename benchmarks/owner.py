"""A process that owns objects, to be killed, and how the end of its objects is seen.

`python -m benchmarks.owner KIND NUMBER` creates objects, writes a line of JSON for each, and waits for ever.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pytest_ipc import Ipc, scope
from pytest_ipc.kernel import mq_close, mq_open, msgctl_stat, semctl_stat, shmctl_stat

from .tree import search_path

__all__ = ["Owner", "reapers"]

_DEADLINE = 100.0  # seconds


def _posix_shm(ipc: Ipc) -> Any:
    made = ipc.posix_shm(4096)
    made.close_fd()  # the number of descriptors is limited
    return made.name


# Each creates one object, and returns its identity.
_CREATE: dict[str, Callable[[Ipc], Any]] = {
    "segment": lambda ipc: ipc.sysv_shm(4096).id,
    "semaphores": lambda ipc: ipc.sysv_sem(1).id,
    "queue": lambda ipc: ipc.sysv_msg().id,
    "posix-shm": _posix_shm,
    "posix-semaphore": lambda ipc: ipc.posix_sem().name,
    "posix-queue": lambda ipc: ipc.posix_mq(maxmsg=1, msgsize=8).name,
    "fifo": lambda ipc: str(ipc.fifo().path),
    "child": lambda ipc: ipc.fork(signal.pause).pid,
}


def _running(pid: int) -> None:
    with open(f"/proc/{pid}/stat") as file:
        state = file.read().rpartition(") ")[2][0]
    if state == "Z":
        raise ProcessLookupError(f"process {pid} has ended")


# Each fails with an OSError if there is no object of that identity.
_FIND: dict[str, Callable[[Any], object]] = {
    "segment": shmctl_stat,
    "semaphores": semctl_stat,
    "queue": msgctl_stat,
    "posix-shm": lambda name: os.stat(f"/dev/shm{name}"),
    "posix-semaphore": lambda name: os.stat(f"/dev/shm/sem.{name[1:]}"),
    "posix-queue": lambda name: mq_close(mq_open(name, os.O_RDONLY)),
    "fifo": os.stat,
    "child": _running,
}
FAMILIES = {"system-v": tuple(_CREATE)[:3], "all": tuple(_CREATE)[:7]}


class Owner:
    """A process that owns objects, with a state directory of its own."""

    def __init__(self, kind: str, number: int, environment: Mapping[str, str] | None = None) -> None:
        with ExitStack() as undo:
            folder = undo.enter_context(tempfile.TemporaryDirectory())
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "benchmarks.owner", kind, str(number)],
                env={
                    **os.environ,
                    **search_path(),
                    "XDG_RUNTIME_DIR": folder,
                    "TMPDIR": folder,
                    **(environment or {}),
                },
                stdout=subprocess.PIPE,
                text=True,
            )
            undo.callback(self._process.wait)
            undo.callback(self._process.kill)
            assert self._process.stdout is not None
            undo.callback(self._process.stdout.close)
            self.pid = self._process.pid
            self.objects: list[tuple[str, Any]] = []
            for line in iter(self._process.stdout.readline, "ready\n"):
                if not line:
                    raise RuntimeError(f"the owner of {number} objects of {kind} ended: {self._process.wait()}")
                self.objects.append(tuple(json.loads(line)))
            self._undo = undo.pop_all()

    def kill(self) -> None:
        """Kill it, and wait for the end of its last object. RuntimeError if they do not end."""
        self._process.kill()
        self.wait_for_objects()

    def wait_for_objects(self) -> None:
        """Wait for the end of every object."""
        begin = time.monotonic()
        left = list(self.objects)
        while left:
            kind, identity = left[-1]
            try:
                _FIND[kind](identity)
            except OSError:
                left.pop()
            else:
                if time.monotonic() - begin > _DEADLINE:
                    raise RuntimeError(f"{len(left)} objects exist {_DEADLINE:g} s after the end of their owner")
                time.sleep(0.0005)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        try:
            if error is None:
                self.wait_for_objects()
        finally:
            self._undo.close()


def reapers(owner: int) -> list[int]:
    """Return the reapers of the process *owner*."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if any(b"custody.reaper" in word for word in words) and str(owner).encode() in words:
            found.append(int(file.parent.name))
    return found


def main() -> None:
    """Create the objects, report them, wait."""
    kinds = FAMILIES.get(sys.argv[1], (sys.argv[1],))
    with scope() as ipc:
        for number in range(int(sys.argv[2])):
            kind = kinds[number % len(kinds)]
            print(json.dumps([kind, _CREATE[kind](ipc)]))
        print("ready", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
