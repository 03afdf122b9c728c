"""The flags of the calls in evidence by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ipc import kernel
from pytest_ipc.verdict.reports import flag_names
from pytest_ipc.verdict.reports.flag_names import named


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("shmget(5, 1, 1920) = 7", "shmget(5, 1, IPC_CREAT | IPC_EXCL | 0600) = 7"),
        ("shmget(5, 1, 0) = 7", "shmget(5, 1, 0) = 7"),
        ("semctl(3, 0, 16, 5) = 0", "semctl(3, 0, SETVAL, 5) = 0"),
        ("msgctl(3, 11, &) = 0", "msgctl(3, MSG_STAT, &) = 0"),
        ("shmctl(3, 11, &) = 0", "shmctl(3, SHM_LOCK, &) = 0"),
        ("open(b'/a, b(c)', 0, 384) = 3", "open(b'/a, b(c)', O_RDONLY, 0600) = 3"),
        ("open(b'it\\'s, 2', 66, 438)", "open(b'it\\'s, 2', O_RDWR | O_CREAT, 0666)"),
        ("[pid 7] pipe2(&, 526336) = 0", "[pid 7] pipe2(&, O_NONBLOCK | O_CLOEXEC) = 0"),
        (
            "mmap(0, 1, 3, 33, -1, 0) = 0x5",
            "mmap(0, 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) = 0x5",
        ),
        ("flock(14, 6) = -1 EAGAIN", "flock(14, LOCK_EX | LOCK_NB) = -1 EAGAIN"),
        ("kill(7, 10) = 0", "kill(7, SIGUSR1) = 0"),
        ("sigaction(52, NULL, &) = 0", "sigaction(52, NULL, &) = 0"),
        ("timerfd_create(1, 524288) = 3", "timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC) = 3"),
        ("timerfd_create(77, 1073741824) = 3", "timerfd_create(77, 0x40000000) = 3"),
        ("send(3, b'x', 1, 16448) = 1", "send(3, b'x', 1, MSG_DONTWAIT | MSG_NOSIGNAL) = 1"),
        ("unshare(134217728) = -1 EPERM", "unshare(CLONE_NEWIPC) = -1 EPERM"),
    ],
)
def test_flags_have_names(line, shown):
    assert named(line) == shown


@pytest.mark.parametrize(
    "line",
    [
        "shm/test_shmget.py:42: shmget(key, 1, 1920)",
        "shmget(-1, 1, -1) = -1 EINVAL",
        "shmat(5, NULL, &)",
        "unknown_call(1920)",
        "shmget(",
        "",
        "history of 3 processes",
    ],
)
def test_other_lines_are_unchanged(line):
    assert named(line) == line


def test_every_call_is_one_of_the_package():
    source = "".join(path.read_text() for path in Path(kernel.__file__).parent.rglob("*.py"))
    assert {name for name in flag_names._calls() if f'"{name}"' not in source} == set()


@pytest.mark.parametrize("kind", sorted({row.split()[0] for row in flag_names._NAMES.strip().splitlines()}))
def test_every_list_has_values(kind):
    assert len(flag_names._values(kind)) >= 1


def test_every_argument_has_a_list():
    kinds = {row.split()[0] for row in flag_names._NAMES.strip().splitlines()} | {"-", "mode", "signal"}
    used = {part.removesuffix("*") for row in flag_names._calls().values() for way in row for part in way.split("+")}
    assert used <= kinds
    assert kinds - used == set()
