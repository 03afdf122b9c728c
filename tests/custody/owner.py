"""A process that owns a segment, and its reaper, for the tests of the reaper."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from pytest_ipc.kernel import Deadline, process_state, process_status

from .test_sweep import exists

OWNER = """
import os, signal, sys
from pytest_ipc import scope
{before}
with scope() as ipc:
    segment = ipc.sysv_shm()
    print(segment.id, flush=True)
    sys.stdin.read()
"""


def reapers(owner: int) -> list[int]:
    """Return the reapers of the process *owner*."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        # python -I -S -c SOURCE PID START CONTROLLER HOME
        if len(words) > 5 and b"custody.reaper" in words[4] and words[5] == str(owner).encode():
            found.append(int(entry.parent.name))
    return found


def has_ended(pid: int) -> bool:
    state = process_state(pid)
    return state is None or state.state == "Z"


class Owner:
    """A process that owns a segment, and its reaper."""

    def __init__(self, before: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER.format(before=before)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.segment = int(self.process.stdout.readline())
        assert Deadline(30).until(lambda: any(map(is_deaf, reapers(self.process.pid))))
        (self.reaper,) = reapers(self.process.pid)

    def is_cleared(self) -> bool:
        return Deadline(10).until(lambda: not exists(self.segment) and has_ended(self.reaper))


def is_asleep(pid: int) -> bool:
    state = process_state(pid)
    return is_deaf(pid) and state is not None and state.state == "S"


def is_deaf(pid: int) -> bool:
    """Return whether it ignores all that can be ignored, as the reaper does from its first line on."""
    ignored = int(process_status(pid).get("SigIgn", "0"), 16)
    return bool(ignored >> (signal.SIGTERM - 1) & 1)
