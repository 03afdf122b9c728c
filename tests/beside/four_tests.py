"""Tests that pass, fail, leak and have a child that crashes; test_plugins.py runs them beside other plugins."""

import os
import signal
from pathlib import Path
from typing import Any


def note(segment, child) -> None:
    with Path(os.environ["NOTE"]).open("a") as file:
        file.write(f"{segment.id} {child.pid}\n")


def objects(ipc) -> Any:
    """Own a segment and a child that sleeps."""
    segment, child = ipc.sysv_shm(), ipc.fork(signal.pause)
    child.wait_blocked("pause", timeout=60)
    note(segment, child)
    return segment


def crash():
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)


def test_passes(ipc):
    memory = objects(ipc).attach().buf
    ipc.fork(memory.__setitem__, 0, 7).result(timeout=60)
    if memory[0] != 7:
        raise AssertionError(memory[0])
    program = ipc.spawn(["sh", "-c", "echo from the program; exit 3"])
    if program.wait(timeout=60) != 3:
        raise AssertionError(program.returncode)


def test_fails(ipc):
    objects(ipc)
    raise AssertionError("planted failure")


def test_leaks(ipc):
    objects(ipc)
    os.open("/dev/null", os.O_RDONLY)


def test_child_crashes(ipc):
    objects(ipc)
    ipc.fork(crash).wait_state("Z", timeout=60)
