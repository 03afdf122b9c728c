"""What the processes below a child have made goes when that child ends, not when the session does."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc import scope
from pytest_ipc.custody.identity import Process
from pytest_ipc.custody.ledger import DEEPEST
from pytest_ipc.custody.parse import read
from pytest_ipc.custody.state_dir import state_dir_path
from pytest_ipc.custody.sweep import settle
from pytest_ipc.kernel import sysvipc_msg, sysvipc_sem, sysvipc_shm

from ..leaks import children
from .forging import dead_process, forge


class Made:
    """What the processes below a child have made: each writes it into one file, with the ids that the kernel gave."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, kind: str, id: int | str) -> None:
        with self._path.open("a") as file:
            file.write(f"{kind} {id}\n")

    def left(self) -> list[str]:
        """Return the objects that still exist."""
        there = {
            "segment": {str(row.shmid) for row in sysvipc_shm() or ()},
            "set": {str(row.semid) for row in sysvipc_sem() or ()},
            "queue": {str(row.msqid) for row in sysvipc_msg() or ()},
        }
        pairs = [line.split() for line in self._path.read_text().splitlines()]
        return [
            f"{kind} {id}"
            for kind, id in pairs
            if (id in there[kind] if kind in there else os.path.lexists(f"/dev/shm{id}" if kind == "name" else id))
        ]


@pytest.fixture
def noted(tmp_path: Path) -> Made:
    return Made(tmp_path / "made")


def makes(ipc: Any, noted: Made) -> None:
    """Make an object of several kinds, then wait to be killed."""
    noted.add("segment", ipc.sysv_shm(key=0).id)
    noted.add("set", ipc.sysv_sem(key=0).id)
    noted.add("queue", ipc.sysv_msg(key=0).id)
    noted.add("name", ipc.posix_shm().name)
    noted.add("path", str(ipc.fifo().path))
    signal.pause()


def nested(ipc: Any, noted: Made) -> None:
    """In a child: a child of its own."""
    ipc.fork(makes, ipc, noted).wait_blocked("pause")


def nested_twice(ipc: Any, noted: Made) -> None:
    def middle() -> None:
        nested(ipc, noted)
        signal.pause()

    child = ipc.fork(middle)
    child.wait_blocked("pause")


def bare(ipc: Any, noted: Made) -> None:
    """Return from a bare fork, which is not on record, after it has created its processes."""
    pid = os.fork()
    if pid == 0:
        try:
            makes(ipc, noted)
        finally:
            os._exit(1)
    while b"pause" not in Path(f"/proc/{pid}/wchan").read_bytes():
        os.sched_yield()


def bare_daemon(ipc: Any, noted: Made) -> None:
    """In a child: the same by a process that has lost its parent."""
    if (middle := os.fork()) == 0:
        try:
            os.setsid()
            bare(ipc, noted)
        finally:
            os._exit(0)
    os.waitpid(middle, 0)


LIVES = [nested, nested_twice, bare, bare_daemon]


@pytest.mark.parametrize("end", ["ended", "returned", "killed"])
@pytest.mark.parametrize("life", LIVES)
def test_objects_of_processes_below_a_child_go_when_it_ends(noted, life: Callable[[Any, Made], None], end):
    before = set(os.listdir(state_dir_path()))
    with scope() as ipc:

        def child_life() -> None:
            life(ipc, noted)
            if end != "returned":
                signal.pause()
            os._exit(0)  # without the tear-down of what it made itself

        child = ipc.fork(child_life)
        if end == "returned":
            child.wait()
        else:
            child.wait_blocked("pause")
        if end == "killed":
            child.signal(signal.SIGKILL)
            child.wait()
        # The nested ones may have died with their parent already; what they made is still there.
        assert len(noted.left()) == 5
        child.close()
        assert noted.left() == []
        assert set(os.listdir(state_dir_path())) - before == set()
        assert children() == {}


def test_the_end_of_one_child_leaves_the_objects_of_another_tree(noted):
    with scope() as ipc:

        def life() -> None:
            nested(ipc, noted)
            signal.pause()

        first, second = ipc.fork(life), ipc.fork(life)
        for child in (first, second):
            child.wait_blocked("pause")
        assert len(noted.left()) == 10
        first.close()
        assert len(noted.left()) == 5
        second.close()
        assert noted.left() == []


def test_a_ledger_names_the_processes_above_its_own(own, fork, state_dir):
    root = own.process

    def life() -> object:
        middle = Process.current()
        with scope() as ipc:

            def deep() -> object:
                folder = os.open(state_dir, os.O_RDONLY)
                process = Process.current()
                parsed, fd = read(folder, f"{process.pid}-{process.start}.ledger")
                os.close(fd)
                os.close(folder)
                return parsed.root, parsed.above

            return middle, ipc.fork(deep).result()

    middle, found = fork(life).result()
    assert found == (root, frozenset({root, middle}))


def test_the_first_line_is_readable_in_a_tree_of_any_depth(own, fork, state_dir):
    """The first line has to fit LONGEST: of a chain that is too long the nearest ancestors are named."""
    own.above = tuple(Process(2**22 + number, 2**40) for number in range(3 * DEEPEST))

    def life() -> object:
        folder = os.open(state_dir, os.O_RDONLY)
        process = Process.current()
        parsed, fd = read(folder, f"{process.pid}-{process.start}.ledger")
        os.close(fd)
        os.close(folder)
        return parsed.above

    found = fork(life).result()
    assert len(found) == DEEPEST
    assert {Process.current(), own.above[-1]} < found


def test_settle_skips_an_invalid_ledger(state_dir):
    dead = dead_process()
    (state_dir / "odd.ledger").write_text("no ledger\n")
    (state_dir / "1-1.ledger").mkdir()
    forge(state_dir, process=dead)
    settle(dead)
    assert sorted(os.listdir(state_dir)) == ["1-1.ledger", "odd.ledger"]
