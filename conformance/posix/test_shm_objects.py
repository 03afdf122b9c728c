"""shm_overview(7), shm_open(3), execve(2), mmap(2): shared memory objects among processes, and their files."""

from __future__ import annotations

import os
import signal
from errno import ENOSPC
from pathlib import Path

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import MAP_SHARED, ftruncate, mmap, posix_fallocate, shm_open

from ..conftest import succeeded
from ..credentials import mount_tmpfs, type_of_file_system
from ..memory import peek, poke

SHM = "/dev/shm"
NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL


@clause("shm_open.visible-in-dev-shm", "shm_overview(7)", "Accessing shared memory objects via the filesystem")
def test_object_is_a_file_in_dev_shm(posix_shm):
    """A shared memory object is a file of its name in /dev/shm, with its size, mode and content."""
    shared = posix_shm(123)
    os.fchmod(shared.fd, 0o640)
    shared.map().buf[:4] = b"seen"
    path = f"{SHM}{shared.name}"
    status = os.lstat(path)
    assert os.path.samestat(status, os.fstat(shared.fd))
    assert (status.st_size, oct(status.st_mode)) == (123, oct(0o100640))
    with open(path, "rb") as file:
        assert file.read(5) == b"seen\0"


@clause("shm_open.unrelated-processes-meet-by-name", "shm_open(3)", "DESCRIPTION")
def test_unrelated_programs_map_the_same_object_by_name(posix_shm, program):
    """Programs that share only the name of an object map the same memory."""
    shared = posix_shm(64)
    buffer = shared.map().buf
    buffer[:5] = b"first"
    source = (
        "import ctypes, os, sys, pytest_ipc.kernel as ipc\n"
        "address = ipc.mmap(None, 64, flags=ipc.MAP_SHARED, fd=ipc.shm_open(sys.argv[1], os.O_RDWR))\n"
        "found = ctypes.string_at(address, 5)\n"
        "ctypes.memmove(address, found[::-1], 5)\n"
        "sys.exit(0 if found == b'first' else f'found {found}')\n"
    )
    succeeded(program(source, shared.name))
    assert bytes(buffer[:5]) == b"tsrif"


@clause("shm_open.fd-close-keeps-map", "shm_open(3)", "DESCRIPTION")
def test_a_mapping_outlives_the_descriptor(posix_shm, opened):
    """A mapping stays valid after close() of the descriptor it was made from."""
    shared = posix_shm(100)
    mapping = shared.map()
    shared.close_fd()
    mapping.buf[:5] = b"still"
    assert os.pread(opened(shared.name, os.O_RDONLY), 5, 0) == b"still"


@clause("shm_open.persistence", "shm_overview(7)", "Persistence")
def test_object_persists_while_unused(names, fork, opened):
    """A shared memory object keeps its content while no process has it open or mapped."""
    name = names()

    def make_and_leave() -> None:
        fd = shm_open(name, NEW)
        ftruncate(fd, 100)
        poke(mmap(None, 100, flags=MAP_SHARED, fd=fd), 7)

    fork(make_and_leave).result()
    assert os.pread(opened(name, os.O_RDONLY), 200, 0) == b"\x07" + bytes(99)


@clause("shm_open.exec-unmapped", "execve(2)", "Effect on process attributes")
def test_exec_unmaps_and_closes(posix_shm, fork, program):
    """execve() removes the mapping and closes the descriptor of a shared memory object, which stays."""
    shared = posix_shm()
    mapping = shared.map()
    mapping.buf[0] = 7
    source = (
        "import os, pathlib, sys\n"
        "if sys.argv[1] in pathlib.Path('/proc/self/maps').read_text():\n"
        "    sys.exit('still mapped')\n"
        "for fd in os.listdir('/proc/self/fd'):\n"
        "    try:\n"
        "        found = os.readlink('/proc/self/fd/' + fd)\n"
        "    except OSError:\n"
        "        continue\n"
        "    if sys.argv[1] in found:\n"
        "        sys.exit('still open')\n"
    )
    before = fork(lambda: shared.name in Path("/proc/self/maps").read_text()).result()
    assert before, "a forked child must have it mapped"
    succeeded(program(source, shared.name))
    assert (shared.exists(), mapping.buf[0]) == (True, 7)


@clause("shm_open.sigbus-after-shrink", "mmap(2)", "ERRORS")
def test_access_beyond_a_truncated_object_raises_sigbus(posix_shm, fork, page):
    """Access to a page wholly beyond the end of a truncated object raises SIGBUS."""
    shared = posix_shm(3 * page)
    mapping = shared.map()
    mapping.buf[:] = b"x" * (3 * page)
    ftruncate(shared.fd, page + 1)
    assert fork(peek, mapping.address + page, 1).result() == b"x"
    for touch in (lambda: peek(mapping.address + 2 * page, 1), lambda: poke(mapping.address + 2 * page, 1)):
        assert fork(touch).wait() == -signal.SIGBUS


@clause("shm_open.dev-shm-full-enospc", "posix_fallocate(3)", "ERRORS", errno=ENOSPC)
def test_allocation_beyond_free_space_fails(posix_shm, page):
    """posix_fallocate() fails with ENOSPC for more than the space of /dev/shm, and the object keeps its size."""
    shared = posix_shm(page)
    filesystem = os.fstatvfs(shared.fd)
    # Only a tmpfs with a size limit fails at once; another filesystem would fill the disk or the memory first.
    if not 0 < filesystem.f_blocks < 1 << 48 or type_of_file_system(SHM) != "tmpfs":
        untested(Need.SHARED_MEMORY_FILES, "needs a tmpfs with a limit at /dev/shm")
    with fails_with(ENOSPC):
        posix_fallocate(shared.fd, 0, (filesystem.f_blocks + 1) * filesystem.f_frsize)
    assert shared.size == page


@clause("shm_open.dev-shm-full-sigbus", "mmap(2)", "ERRORS")
def test_store_without_free_space_raises_sigbus(fork, pipe, page):
    """ftruncate() can set a size beyond the space of /dev/shm; a store for which no space is free raises SIGBUS."""

    stored = pipe()

    def fill() -> None:
        mount_tmpfs(SHM, options=f"size={8 * page}")
        fd = shm_open("/big", NEW)
        ftruncate(fd, 16 * page)
        address = mmap(None, 16 * page, flags=MAP_SHARED, fd=fd)
        for number in range(16):
            poke(address + number * page, 1)
            stored.write(b"!")

    child = fork(fill)
    stored.close_write()
    if child.wait() != -signal.SIGBUS:
        child.result()
    assert (child.wait(), stored.read()) == (-signal.SIGBUS, b"!" * 8)


@pytest.mark.parametrize("size", [1, 100, 5000])
@clause("shm_open.size-in-bytes", "shm_overview(7)", "DESCRIPTION")
def test_fstat_returns_the_size(posix_shm, size):
    """fstat() returns the exact size of an object, which ftruncate() increases and decreases."""
    shared = posix_shm(size)
    assert os.fstat(shared.fd).st_size == size
    for other in (size + 4097, size - 1, 0):
        ftruncate(shared.fd, other)
        assert os.fstat(shared.fd).st_size == other
