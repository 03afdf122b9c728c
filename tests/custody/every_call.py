"""A program, started by test_every_call, that kills a run at each of the given system calls.

    python -m tests.custody.every_call ROOT scope|pytest POINT…

It has imported everything before it forks a run for each point, so that a point costs some hundredths of a second. It
keeps no ledger of its own, so that each run is its own owner. Point 0 is a run that is not killed. For each point it
prints one JSON line: the counted calls, the call at which the run was killed, its leaked objects, and the time until
none remained.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

import pytest_ipc
from pytest_ipc.custody import ledger
from pytest_ipc.kernel import (
    CLONE_NEWIPC,
    CLONE_NEWNS,
    IPC_CREAT,
    IPC_EXCL,
    IPC_PRIVATE,
    MS_REC,
    MS_SLAVE,
    mount,
    msgctl_rmid,
    msgctl_stat,
    msgget,
    semctl_rmid,
    semctl_stat,
    semget,
    shmctl_rmid,
    shmctl_stat,
    shmget,
    unshare,
)
from pytest_ipc.kernel.syscalls import syscall_name

from . import scenario, tracer
from .remains import Place

RUN = """
import pytest
from tests.custody import scenario, tracer


@pytest.fixture
def traced():
    tracer.begin()


def test_everything(traced, ipc_scope):
    scenario.make_everything(ipc_scope)
"""


def with_scope() -> None:
    """Make and remove everything in a scope."""
    tracer.begin()
    with pytest_ipc.scope() as ipc:
        scenario.make_everything(ipc)


def with_pytest() -> None:
    """The same in a test, with the whole of pytest around it; counted from the test's set-up on."""
    Path("test_run.py").write_text(RUN)
    Path("pytest.ini").write_text("[pytest]\n")
    for fd in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), fd)
    options = ["-p", "pytest_ipc.plugin.hooks", "-p", "no:cacheprovider", "--import-mode=importlib", "--basetemp=base"]
    assert pytest.main([*options, "test_run.py"]) == 0


RUNS = {"scope": with_scope, "pytest": with_pytest}


def run(place: Place, how: str) -> None:
    """The life of one run, in a process of its own."""
    status = 1
    try:
        os.chdir(place.path)
        os.environ.update(place.environment)
        tempfile.tempdir = None
        ledger.CUT_BACK = 1  # what else happens once in thousands of objects happens at every other one
        RUNS[how]()
        ledger.close()  # as at the interpreter's exit
        status = 0
    finally:
        os._exit(status)


def own_ground() -> bool:
    """Go where /dev/shm and the message queues are this process's and its children's own; whether that is allowed here.

    There also unreported objects of a killed run are found: files of libc without their final name.
    """
    try:
        unshare(CLONE_NEWNS | CLONE_NEWIPC)
        mount(None, "/", None, MS_REC | MS_SLAVE)
        mount("tmpfs", "/dev/shm", "tmpfs")
    except OSError:
        return False
    os.chmod("/dev/shm", 0o1777)
    return True


def try_point(root: Path, how: str, point: int, alone: bool) -> dict[str, object]:
    """Kill a run at one call, and return its leftovers."""
    place = replace(Place.make(root / f"{how}-{point}"), alone=alone)
    foreign = shmget(IPC_PRIVATE, place.size, IPC_CREAT | IPC_EXCL | 0o600)
    foreign_set = semget(IPC_PRIVATE, place.nsems, IPC_CREAT | IPC_EXCL | 0o600)
    foreign_queue = msgget(IPC_PRIVATE, place.mode)
    foreign_fifo = place.path / "fifos" / "foreign"
    os.mkfifo(foreign_fifo)

    def untouched() -> object:
        return shmctl_stat(foreign), semctl_stat(foreign_set), msgctl_stat(foreign_queue), os.lstat(foreign_fifo)

    before = untouched()
    pid = os.fork()
    if pid == 0:
        run(place, how)
    traced = tracer.follow(pid, point or None)
    died = time.monotonic()
    spared = {foreign, ("sysv-sem", foreign_set), ("sysv-msg", foreign_queue), str(foreign_fifo)}
    left = place.clears(spared)
    seconds = time.monotonic() - died
    if untouched() != before:
        left["foreign"] = ["touched"]
    if traced.status != (0 if traced.calls < point or not point else -9):
        left["status"] = [str(traced.status)]
    shmctl_rmid(foreign)
    semctl_rmid(foreign_set)
    msgctl_rmid(foreign_queue)
    shutil.rmtree(place.path)
    return {
        "point": point,
        "calls": traced.calls,
        "at": None if traced.last is None else syscall_name(traced.last),
        "left": left,
        "seconds": round(seconds, 3),
    }


def main() -> None:
    """Try the points of the command line."""
    root, how, *points = sys.argv[1:]
    alone = own_ground()
    for point in map(int, points):
        print(json.dumps(try_point(Path(root), how, point, alone)), flush=True)


if __name__ == "__main__":
    main()
