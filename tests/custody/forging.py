"""Forged ledgers, and ledgers as a dead process has them, as input for the sweep."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pytest_ipc.custody.identity import Process, start_of
from pytest_ipc.custody.kinds.file import look
from pytest_ipc.custody.machine import boot_id, machine_id
from pytest_ipc.custody.namespaces import ipc_identity, pid_namespace
from pytest_ipc.custody.removal import Swept

LONG_AGO = 1e9  # before any object that there is
FIRST_BOOT = "11111111-1111-1111-1111-111111111111"  # of no real machine


def dead_process() -> Process:
    """Return a process that has ended and been reaped."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(writer)
            os.read(reader, 1)
        finally:
            os._exit(0)
    process = Process(pid, start_of(pid) or 0)
    os.close(reader)
    os.close(writer)
    os.waitpid(pid, 0)
    return process


def about(number: int, kind: str, **details: Any) -> str:
    """Return the record of an intent; a detail with the value ... is omitted."""
    entries = {"at": LONG_AGO, "uid": os.geteuid(), **details}
    return f"+ {number} {kind} {json.dumps({name: value for name, value in entries.items() if value is not ...})}"


def about_segment(number: int = 1, **details: Any) -> str:
    """Return a record of a segment that is about to be made."""
    return about(number, "sysv-shm", **{"key": 0x12345678, "size": 4096, "ipc": ipc_identity(), **details})


def about_set(number: int = 1, **details: Any) -> str:
    """Return a record of a semaphore set that is about to be made."""
    begin = {"key": 0x12345678, "nsems": 1, "mode": 0o600, "ipc": ipc_identity()}
    return about(number, "sysv-sem", **{**begin, **details})


def about_queue(number: int = 1, **details: Any) -> str:
    """Return a record of a message queue that is about to be made."""
    return about(number, "sysv-msg", **{"key": 0x12345678, "mode": 0o600, "ipc": ipc_identity(), **details})


def made(number: int = 1, **identity: Any) -> str:
    """Return a record of what was made."""
    return f"= {number} {json.dumps(identity)}"


def file_made(path: str | Path, number: int = 1) -> str:
    """Return a record of the file that is at *path* now."""
    found = look(str(path))
    assert found is not None
    return made(number, **found.identity())


def header(process: Process, **changes: Any) -> str:
    """Return the first line of a ledger."""
    begin = {"pid": process.pid, "start": process.start, "boot": boot_id(), "root": [process.pid, process.start]}
    place = {"machine": machine_id(), "pids": pid_namespace(), "inside": pid_namespace(), "time": ""}
    whole = {**begin, **place, "worker": None, "run": None, **changes}
    return f"pytest-ipc 2 {json.dumps({name: value for name, value in whole.items() if value is not ...})}"


def forge(state_dir: Path, *lines: str, process: Process | None = None, end: str = "\n", **changes: Any) -> Path:
    """Write a ledger with these lines to *state_dir*, of a dead process or of *process*."""
    process = process or dead_process()
    path = state_dir / f"{process.pid}-{process.start}.ledger"
    path.write_text("\n".join([header(process, **changes), *lines]) + end)
    path.chmod(0o600)
    if "boot" in changes:
        os.utime(path, (LONG_AGO, LONG_AGO))  # before this kernel started
    return path


def one_line(done: Swept) -> str:
    """Return the only line of a sweep's result, of an object left or a file refused."""
    (line,) = [*done.left, *done.refused]
    assert done.removed == []
    assert line.isprintable()
    return line
