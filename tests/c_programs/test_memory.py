"""A C program as the other user of shared memory, which it opens by name, and of a mapped file, opened by path."""

from __future__ import annotations

import os
import stat
from typing import Any

import pytest

from pytest_ipc import Child, SharedMemory, unused_name
from pytest_ipc.kernel import Deadline, shm_unlink


def ended(child: Child[Any]) -> str:
    assert child.wait() == 0, child.output
    return child.output


@pytest.mark.parametrize("kind", ["shm", "file"])
def test_program_reverses_our_data(posix_shm, mapped_file, peer, kind):
    if kind == "shm":
        shared = posix_shm(4096)
        buffer, place = shared.map().buf, shared.name
    else:
        mapping = mapped_file(4096)
        buffer, place = mapping.buf, mapping.path
    echo = peer("memory", kind, place, 4096)
    for text in (b"water", b"x", bytes(range(1, 255))):
        buffer[1 : 1 + len(text)] = text
        buffer[0] = len(text)
        assert Deadline(20).until(lambda: buffer[0] == 0 or not echo.alive), echo.output
        assert bytes(buffer[1 : 1 + len(text)]) == text[::-1]
    buffer[0] = 255
    assert ended(echo) == "mapped\n"


def test_object_created_by_the_program_is_found(peer):
    name = unused_name()
    try:
        inode = int(ended(peer("memory", "make", name, 5000)))
        with SharedMemory.create(name=name, flags=os.O_RDWR) as ours:
            status = ours.stat()
            assert (status.st_ino, status.st_size, stat.S_IMODE(status.st_mode)) == (inode, 5000, 0o640)
            assert bytes(ours.map().buf) == bytes(place % 251 for place in range(5000))
            ended(peer("memory", "remove", name, 0))
            assert not ours.exists()
    finally:
        if os.path.lexists(f"/dev/shm{name}"):
            shm_unlink(name)


def test_program_cannot_create_our_object_again(posix_shm, peer):
    shared = posix_shm()
    maker = peer("memory", "make", shared.name, 10)
    assert (maker.wait(), maker.output) == (1, "shm_open: File exists\n")


def test_program_does_not_find_a_removed_object(posix_shm, peer):
    shared = posix_shm()
    shared.unlink()
    late = peer("memory", "shm", shared.name, 10)
    assert (late.wait(), late.output) == (1, "open: No such file or directory\n")


def test_mapping_of_the_program_outlives_our_removal(posix_shm, peer):
    shared = posix_shm()
    buffer = shared.map().buf
    echo = peer("memory", "shm", shared.name, 4096)
    assert Deadline(20).until(lambda: "mapped" in echo.output or not echo.alive)
    shared.unlink()
    buffer[1:4] = b"abc"
    buffer[0] = 3
    assert Deadline(20).until(lambda: buffer[0] == 0 or not echo.alive), echo.output
    assert bytes(buffer[1:4]) == b"cba"
    buffer[0] = 255
    ended(echo)
