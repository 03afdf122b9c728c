"""shm_overview(7), shm_open(3), execve(2), mmap(2): what a shared memory object is among processes, and where it lives."""

from __future__ import annotations

import os
import signal
from errno import ENOSPC
from pathlib import Path

import pytest

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import MAP_SHARED, ftruncate, mmap, posix_fallocate, shm_open

from ..conftest import succeeded
from ..credentials import mount_tmpfs, type_of_file_system
from ..memory import peek, poke

SHM = "/dev/shm"
NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL


@clause("shm_open.visible-in-dev-shm", "shm_overview(7)", "Accessing shared memory objects via the filesystem")
def test_an_object_is_a_file_in_dev_shm(posix_shm):
    """An object is seen as a file of its name in /dev/shm, with its size, its mode and its content."""
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
def test_unrelated_processes_meet_by_name(posix_shm, program):
    """Programs that have nothing in common but the name map the same memory."""
    shared = posix_shm(64)
    buffer = shared.map().buf
    buffer[:5] = b"first"
    source = (
        "import ctypes, os, sys, pytest_ipc.kernel as ipc\n"
        "address = ipc.mmap(None, 64, flags=ipc.MAP_SHARED, fd=ipc.shm_open(sys.argv[1], os.O_RDWR))\n"
        "there = ctypes.string_at(address, 5)\n"
        "ctypes.memmove(address, there[::-1], 5)\n"
        "sys.exit(0 if there == b'first' else f'found {there}')\n"
    )
    succeeded(program(source, shared.name))
    assert bytes(buffer[:5]) == b"tsrif"


@clause("shm_open.fd-close-keeps-map", "shm_open(3)", "DESCRIPTION")
def test_a_mapping_outlives_the_descriptor(posix_shm, opened):
    """After mmap the descriptor may be closed: the mapping is still that of the object."""
    shared = posix_shm(100)
    mapping = shared.map()
    shared.close_fd()
    mapping.buf[:5] = b"still"
    assert os.pread(opened(shared.name, os.O_RDONLY), 5, 0) == b"still"


@clause("shm_open.persistence", "shm_overview(7)", "Persistence")
def test_an_object_outlives_its_users(names, fork, opened):
    """An object that nobody has open or mapped any more is still there with its content."""
    name = names()

    def make_and_leave() -> None:
        fd = shm_open(name, NEW)
        ftruncate(fd, 100)
        poke(mmap(None, 100, flags=MAP_SHARED, fd=fd), 7)

    fork(make_and_leave).result()
    assert os.pread(opened(name, os.O_RDONLY), 200, 0) == b"\x07" + bytes(99)


@clause("shm_open.exec-unmapped", "execve(2)", "Effect on process attributes")
def test_exec_unmaps_and_closes(posix_shm, fork, program):
    """A program that is executed has neither the mapping nor the descriptor of before; the object is still there."""
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
    assert before, "a forked child has it mapped"
    succeeded(program(source, shared.name))
    assert (shared.exists(), mapping.buf[0]) == (True, 7)


@clause("shm_open.sigbus-after-shrink", "mmap(2)", "ERRORS")
def test_memory_beyond_a_shrunk_object_is_a_bus_error(posix_shm, fork, page):
    """Touching a page that lies wholly beyond the end of an object that was made shorter is a SIGBUS."""
    shared = posix_shm(3 * page)
    mapping = shared.map()
    mapping.buf[:] = b"x" * (3 * page)
    ftruncate(shared.fd, page + 1)
    assert fork(peek, mapping.address + page, 1).result() == b"x"
    for touch in (lambda: peek(mapping.address + 2 * page, 1), lambda: poke(mapping.address + 2 * page, 1)):
        assert fork(touch).wait() == -signal.SIGBUS


@clause("shm_open.dev-shm-full-enospc", "posix_fallocate(3)", "ERRORS", errno=ENOSPC)
def test_space_that_is_not_there_cannot_be_allocated(posix_shm, page):
    """Asking for more space than /dev/shm has is refused, and the object keeps its size."""
    shared = posix_shm(page)
    there = os.fstatvfs(shared.fd)
    # Elsewhere than on a tmpfs with a limit, which says no at once, it would be tried until the disk or the memory is full.
    if not 0 < there.f_blocks < 1 << 48 or type_of_file_system(SHM) != "tmpfs":
        untested("needs a tmpfs with a limit at /dev/shm")
    with fails_with(ENOSPC):
        posix_fallocate(shared.fd, 0, (there.f_blocks + 1) * there.f_frsize)
    assert shared.size == page


@clause("shm_open.dev-shm-full-sigbus", "mmap(2)", "ERRORS")
def test_a_store_that_finds_no_space_is_a_bus_error(fork, pipe, page):
    """An object may be given a size for which /dev/shm has no space; the store that finds none left is a SIGBUS."""

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
def test_fstat_tells_an_objects_size(posix_shm, size):
    """fstat gives the size that an object was given, to the byte; ftruncate makes it longer and shorter."""
    shared = posix_shm(size)
    assert os.fstat(shared.fd).st_size == size
    for other in (size + 4097, size - 1, 0):
        ftruncate(shared.fd, other)
        assert os.fstat(shared.fd).st_size == other
