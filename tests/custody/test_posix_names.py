"""Forged records of POSIX semaphores and queues, and what a killed sem_open leaves: nothing goes but what is proved."""

from __future__ import annotations

import fcntl
import os
import secrets
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_ipc import PosixQueue, PosixSemaphore, unused_name
from pytest_ipc.custody.kinds.posix_sem import path_of
from pytest_ipc.custody.namespaces import ipc_identity
from pytest_ipc.custody.sweep import sweep
from pytest_ipc.kernel import MqAttr, mq_close, mq_open, mq_unlink, sem_close, sem_open, sem_unlink

from .forging import about, forge, made, one_line

TAG = secrets.randbelow(1 << 29) + (1 << 29)


@pytest.fixture(autouse=True)
def _one_at_a_time() -> Iterator[None]:
    """Yield what is empty may be anybody's: no other worker may sweep it meanwhile."""
    folder = os.open("/dev/shm", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@pytest.fixture
def semaphore() -> Iterator[str]:
    """Yield a semaphore that no record is of, with a name as resources draw them; it has to survive."""
    name = unused_name()
    sem_close(sem_open(name, os.O_CREAT | os.O_EXCL, 0o600, 1))
    before = os.lstat(path_of(name))
    yield name
    assert os.lstat(path_of(name)) == before
    sem_unlink(name)


@pytest.fixture
def queue() -> Iterator[tuple[str, os.stat_result]]:
    """Yield a queue that no record is of, and its status; it has to survive."""
    name = f"/foreign-{os.getpid()}"
    fd = mq_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600, MqAttr(maxmsg=2, msgsize=8))
    yield name, os.fstat(fd)
    again = mq_open(name, os.O_RDWR)
    assert os.path.sameopenfile(again, fd)
    for end in (again, fd):
        mq_close(end)
    mq_unlink(name)


def about_semaphore(**details: object) -> str:
    return about(1, "posix-sem", **{"own": unused_name(), "name": None, "tag": TAG, **details})


def about_queue(**details: object) -> str:
    size = {"maxmsg": 2, "msgsize": 8, "mode": 0o600}
    return about(1, "posix-mq", **{"name": unused_name(), **size, "ipc": ipc_identity(), **details})


@pytest.mark.parametrize(
    ("forged", "details"),
    [
        (about_semaphore, {"own": 5}),
        (about_semaphore, {"own": "/x\0"}),
        (about_semaphore, {"name": 7}),
        (about_semaphore, {"tag": 0}),
        (about_semaphore, {"tag": "1"}),
        (about_semaphore, {"tag": True}),
        (about_queue, {"name": ...}),
        (about_queue, {"maxmsg": 0}),
        (about_queue, {"msgsize": 2**63}),
        (about_queue, {"mode": 0o1000}),
        (about_queue, {"ipc": 5}),
    ],
)
def test_invalid_value_is_rejected(state_dir, forged, details):
    forge(state_dir, forged(**details))
    assert one_line(sweep())


def test_replaced_semaphore_is_kept(state_dir, semaphore):
    status = os.lstat(path_of(semaphore))
    right = {"dev": status.st_dev, "ino": status.st_ino}
    for details, identity, sentence in (
        ({"at": time.time() + 3600}, None, "it is older than the record"),
        ({"uid": 65533}, None, f"it belongs to user {os.geteuid()}"),
        ({}, {**right, "ino": right["ino"] + 1}, "it is not the semaphore that was made"),
        ({}, {**right, "dev": right["dev"] + 1}, "it is not the semaphore that was made"),
    ):
        ledger = forge(state_dir, about_semaphore(own=semaphore, **details), *([made(**identity)] if identity else []))
        assert one_line(sweep()).endswith(sentence)
        ledger.unlink()


@pytest.mark.parametrize("own", ["/../../etc/passwd", "/passwd", "relative", "/", "/pytest-ipc-1-0123"])
def test_a_name_that_was_not_drawn_is_never_ours(state_dir, own):
    path = Path("/dev/shm/sem.passwd")
    path.write_text("kept")
    try:
        forge(state_dir, about_semaphore(own=own))
        done = sweep()
        assert (done.removed, path.read_text()) == ([], "kept")
        assert all("is not one that pytest-ipc draws" in line for line in done.left)
    finally:
        path.unlink()


def test_a_name_to_be_published_under_is_ours_only_with_our_inode(state_dir, semaphore):
    """Killed before link(2): another object has the name, and nothing is reported."""
    forge(state_dir, about_semaphore(name=semaphore))
    forge(state_dir, about_semaphore(name=semaphore), made(dev=1, ino=1))
    done = sweep()
    assert (done.removed, done.left, done.refused) == ([], [], [])


@pytest.fixture
def unfinished() -> Iterator[Path]:
    """Yield where libc makes a semaphore before it has its name."""
    path = Path(f"/dev/shm/sem.{secrets.token_hex(3)}")
    yield path
    with suppress(FileNotFoundError):
        path.unlink()


def content(value: int) -> bytes:
    return struct.pack("=Q", value).ljust(32, b"\0")


@pytest.mark.parametrize(
    "data", [content(TAG), content(TAG << 1), b""], ids=["its value", "narrow words", "nothing yet"]
)
def test_leftovers_of_a_killed_sem_open_are_removed(state_dir, unfinished, data):
    unfinished.write_bytes(data)
    forge(state_dir, about_semaphore())
    done = sweep()
    assert (len(done.removed), done.left, unfinished.exists()) == (1, [], False)


@pytest.mark.parametrize("data", [content(TAG + 1), content(0), b"x"], ids=["another value", "no value", "short"])
def test_foreign_unfinished_semaphore_is_kept(state_dir, unfinished, data):
    unfinished.write_bytes(data)
    forge(state_dir, about_semaphore())
    done = sweep()
    assert (done.removed, unfinished.read_bytes()) == ([], data)


def test_empty_file_in_use_is_kept(state_dir, unfinished):
    """Another process is about to make a semaphore of it."""
    with open(unfinished, "xb"):
        forge(state_dir, about_semaphore())
        assert sweep().removed == []
        assert unfinished.exists()


def test_unfinished_semaphore_older_than_the_record_is_kept(state_dir, unfinished):
    unfinished.write_bytes(content(TAG))
    forge(state_dir, about_semaphore(at=time.time() + 3600))
    assert sweep().removed == []
    assert unfinished.exists()


def test_link_instead_of_an_unfinished_semaphore_is_kept(state_dir, unfinished, tmp_path):
    (tmp_path / "file").write_bytes(content(TAG))
    unfinished.symlink_to(tmp_path / "file")
    forge(state_dir, about_semaphore())
    assert sweep().removed == []
    assert unfinished.is_symlink()


def test_replaced_queue_is_kept(state_dir, queue):
    name, status = queue
    right = {"dev": status.st_dev, "ino": status.st_ino}
    for details, identity, sentence in (
        ({"at": time.time() + 3600}, None, "it is older than the record"),
        ({"uid": 65533}, None, f"it belongs to user {os.geteuid()}"),
        ({"maxmsg": 3}, None, "its size or mode is not that of the intended queue"),
        ({"msgsize": 9}, None, "its size or mode is not that of the intended queue"),
        ({"mode": 0o400}, None, "its size or mode is not that of the intended queue"),
        ({}, {**right, "ino": right["ino"] + 1}, "it is not the queue that was made"),
        ({}, {**right, "dev": right["dev"] + 1}, "it is not the queue that was made"),
    ):
        ledger = forge(state_dir, about_queue(name=name, **details), *([made(**identity)] if identity else []))
        assert one_line(sweep()).endswith(sentence)
        ledger.unlink()


def test_a_queue_of_another_namespace_is_not_looked_for_here(state_dir, queue):
    forge(state_dir, about_queue(name=queue[0], ipc="ipc:[1]"))
    done = sweep()
    assert (done.removed, done.left) == ([], [])


@pytest.mark.parametrize("name", ["relative", "/", "//x", "/no/such", "/" + "n" * 300])
def test_invalid_queue_name_removes_nothing(state_dir, name):
    forge(state_dir, about_queue(name=name))
    done = sweep()
    assert done.removed == []


@pytest.mark.usefixtures("state_dir")
def test_recorded_object_is_removed(fork):
    """The records are those that the resources write."""

    def life() -> None:
        for name in (None, "given"):
            given = name and f"/{name}-{os.getpid()}"
            semaphore = PosixSemaphore.create(name=given)
            queue = PosixQueue.create(name=given, maxmsg=1, msgsize=8)
            print(semaphore.name, queue.name, flush=True)
        os.kill(os.getpid(), 9)

    child = fork(life)
    child.wait()
    names = child.output.split()
    removed = sweep().removed
    assert sorted(line.partition(", made")[0] for line in removed) == sorted(
        f"POSIX {what} {name}"
        for pair in zip(names[::2], names[1::2], strict=True)
        for what, name in zip(("semaphore", "message queue"), pair, strict=True)
    )
    for name in names:
        with pytest.raises(FileNotFoundError):
            sem_open(name, 0)
        with pytest.raises(FileNotFoundError):
            mq_open(name, os.O_RDONLY)
