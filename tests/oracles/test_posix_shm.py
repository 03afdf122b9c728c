"""Shared memory with posix_ipc and the stdlib, which have their own C: ours found and used by them, theirs by us."""

from __future__ import annotations

import fcntl
import mmap as stdlib_mmap
import os
import sys
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory as Theirs
from typing import Any

import pytest

from pytest_ipc import SharedMemory, fails_with, kernel, unused_name
from pytest_ipc.kernel import F_SEAL_GROW, F_SEAL_SHRINK, PROT_READ, add_seals, get_seals, shm_open, shm_unlink


@pytest.fixture
def posix_ipc():
    return pytest.importorskip("posix_ipc", reason="posix_ipc is not installed")


@pytest.fixture
def untracked(monkeypatch) -> None:
    """Keep the stdlib's resource tracker, which outlives the test and removes registered objects, from registering."""
    monkeypatch.setattr(resource_tracker, "register", lambda _name, _kind: None)
    monkeypatch.setattr(resource_tracker, "unregister", lambda _name, _kind: None)
    monkeypatch.setattr("multiprocessing.shared_memory.resource_tracker", resource_tracker, raising=False)


def test_posix_ipc_finds_ours(posix_ipc, posix_shm):
    shared = posix_shm(5000)
    shared.map().buf[4999] = 7
    theirs = posix_ipc.SharedMemory(shared.name)
    try:
        assert (theirs.name, theirs.size, os.path.sameopenfile(theirs.fd, shared.fd)) == (shared.name, 5000, True)
        with stdlib_mmap.mmap(theirs.fd, 5000) as view:
            assert view[4999] == 7
            view[0] = 9
    finally:
        theirs.close_fd()
    assert shared.map().buf[0] == 9


def test_we_find_posix_ipcs(posix_ipc):
    theirs = posix_ipc.SharedMemory(None, posix_ipc.O_CREX, size=5000)
    try:
        with SharedMemory.create(name=theirs.name, flags=os.O_RDWR) as ours:
            assert ours.size == 5000
            ours.map().buf[:5] = b"water"
            ours.resize(6000)
        assert theirs.size == 6000
        with stdlib_mmap.mmap(theirs.fd, 0) as view:
            assert view[:6] == b"water\0"
    finally:
        theirs.close_fd()
        theirs.unlink()
    with fails_with(2):
        shm_open(theirs.name, os.O_RDWR)


def test_first_creator_gets_the_name(posix_ipc, posix_shm):
    shared = posix_shm()
    with pytest.raises(posix_ipc.ExistentialError):
        posix_ipc.SharedMemory(shared.name, posix_ipc.O_CREX)
    posix_ipc.unlink_shared_memory(shared.name)
    assert (shared.exists(), shared.unlink()) == (False, False)
    with pytest.raises(posix_ipc.ExistentialError):
        posix_ipc.unlink_shared_memory(shared.name)


@pytest.mark.usefixtures("untracked")
def test_multiprocessing_finds_ours(posix_shm):
    shared = posix_shm(5000)
    shared.map().buf[:5] = b"water"
    options = {"track": False} if sys.version_info >= (3, 13) else {}
    theirs: Any = Theirs(shared.name[1:], **options)
    try:
        assert (theirs.size, bytes(theirs.buf[:6])) == (5000, b"water\0")
        theirs.buf[0] = ord("W")
    finally:
        theirs.close()
    assert (bytes(shared.map().buf[:5]), shared.exists()) == (b"Water", True)


@pytest.mark.usefixtures("untracked")
def test_we_find_multiprocessings():
    theirs: Any = Theirs(unused_name()[1:], create=True, size=5000)
    try:
        with SharedMemory.create(name=f"/{theirs.name}", flags=os.O_RDONLY) as ours:
            theirs.buf[4999] = 7
            assert (ours.size, ours.map(prot=PROT_READ).buf[4999]) == (5000, 7)
    finally:
        theirs.close()
        theirs.unlink()


def test_multiprocessing_attach_does_not_remove_our_object(posix_shm, program):
    """With track=False, or before 3.13 without the name in its tracker, which would remove it at the end."""
    shared = posix_shm()
    program(
        "import sys\n"
        "from multiprocessing.shared_memory import SharedMemory\n"
        "options = {'track': False} if sys.version_info >= (3, 13) else {}\n"
        "SharedMemory(sys.argv[1], **options).close()\n"
        "if not options:\n"
        "    from multiprocessing import resource_tracker\n"
        "    resource_tracker.unregister('/' + sys.argv[1], 'shared_memory')\n",
        shared.name[1:],
    )
    assert shared.exists()


@pytest.fixture
def view(mapped_file) -> Iterator[tuple[object, stdlib_mmap.mmap]]:
    mapping = mapped_file(5000)
    with stdlib_mmap.mmap(mapping.fd, 5000) as view:
        yield mapping, view


def test_the_stdlibs_mmap_sees_our_stores_and_we_its(view):
    ours, theirs = view
    ours.buf[4999] = 7
    theirs[0] = 8
    theirs.flush()
    ours.msync()
    assert (theirs[4999], ours.buf[0], ours.path.read_bytes()) == (7, 8, b"\x08" + bytes(4998) + b"\x07")


def test_our_constants_are_the_stdlibs():
    names = [name for name in dir(stdlib_mmap) if name.startswith(("MAP_", "PROT_", "MADV_"))]
    assert {"MAP_SHARED", "PROT_WRITE", "MADV_DONTFORK"} <= set(names)
    theirs = {name: getattr(stdlib_mmap, name) for name in names}
    assert {name: getattr(kernel, name, None) for name in names} == theirs


def test_seals_of_the_stdlib_are_seen():
    fd = os.memfd_create("sealed", os.MFD_ALLOW_SEALING)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    assert get_seals(fd) == F_SEAL_SHRINK == fcntl.F_SEAL_SHRINK
    add_seals(fd, F_SEAL_GROW)
    assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) == F_SEAL_SHRINK | F_SEAL_GROW
    os.close(fd)


def test_object_removed_by_hand_is_gone_for_all(posix_shm):
    shared = posix_shm()
    os.unlink(f"/dev/shm{shared.name}")
    with fails_with(2):
        shm_unlink(shared.name)
    assert not shared.exists()
