"""mmap(2): what may be done with the pages of a mapping, how many there may be, and which are there at once."""

from __future__ import annotations

import ctypes
import os
from errno import EACCES, EAGAIN, ENOMEM, EPERM
from pathlib import Path
from signal import SIGSEGV

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_GROWSDOWN,
    MAP_LOCKED,
    MAP_NORESERVE,
    MAP_POPULATE,
    MAP_PRIVATE,
    MAP_SHARED,
    MS_NOEXEC,
    PROT_EXEC,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    capabilities,
    limit,
    mmap,
    mprotect,
    munmap,
    process_status,
)
from pytest_ipc.kernel.abi import machine

from ..credentials import OTHER_GROUP, STRANGER, become, limit_process, mount_tmpfs
from ..memory import APART, locked, mapped_at, peek, poke, resident


@clause("mmap.prot-none-sigsegv", "mmap(2)", "PROT_NONE")
def test_memory_without_access_cannot_be_touched(mapping, fork, page):
    """With PROT_NONE a read is a SIGSEGV, and so is a store."""
    address = mapping(None, page, PROT_NONE).address
    assert fork(peek, address, 1).wait() == -SIGSEGV
    assert fork(poke, address, 1).wait() == -SIGSEGV


@clause("mmap.prot-read-sigsegv", "mmap(2)", "PROT_READ")
def test_memory_for_reading_cannot_be_written(mapping, fork, memfd, page):
    """With PROT_READ a store is a SIGSEGV, and changes nothing."""
    fd = memfd(size=page)
    address = mapping(fd, page, PROT_READ).address
    assert peek(address, 1) == b"\0"
    assert fork(poke, address, 1).wait() == -SIGSEGV
    assert os.pread(fd, 1, 0) == b"\0"


# "Return", as each processor has it.
RETURN = {
    "x86_64": "c3",
    "i386": "c3",
    "aarch64": "c0035fd6",
    "arm": "1eff2fe1",
    "riscv64": "67800000",
    "ppc64le": "2000804e",
    "s390x": "07fe",
    "loongarch64": "2000004c",
}


@clause("mmap.exec-flag", "mmap(2)", "PROT_EXEC")
def test_memory_with_exec_can_be_executed(file, opened, fork, page):
    """Pages with PROT_EXEC may be executed."""
    if machine() not in RETURN:
        untested(f"needs to know how {machine()} returns from a function")
    file.write_bytes(bytes.fromhex(RETURN[machine()]).ljust(page, b"\0"))
    fd = opened(file, os.O_RDONLY)

    def run() -> str:
        try:
            address = mmap(None, page, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd)
        except PermissionError as error:
            untested(f"needs a file system that is not mounted noexec: {error.strerror}")
        ctypes.CFUNCTYPE(None)(address)()
        return "returned"

    assert fork(run).result() == "returned"


@clause("mmap.noexec-mount-eperm", "mmap(2)", "ERRORS", errno=EPERM)
def test_a_file_system_mounted_noexec_cannot_be_mapped_to_execute(tmp_path, fork, page):
    """PROT_EXEC is refused for a file on a file system that is mounted noexec, and cannot be added later."""

    def life() -> None:
        mount_tmpfs(tmp_path, MS_NOEXEC)
        fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        os.ftruncate(fd, page)
        with fails_with(EPERM):
            mmap(None, page, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd)
        address = mmap(None, page, PROT_READ, MAP_PRIVATE, fd)
        with fails_with(EACCES):
            mprotect(address, page, PROT_READ | PROT_EXEC)

    fork(life).result()


@clause("mmap.enomem-mapcount", "mmap(2)", "ERRORS", errno=ENOMEM)
def test_a_process_has_only_so_many_mappings(fork, page):
    """A process that has as many mappings as vm.max_map_count allows gets no further one; nor can it split one."""
    most = limit("vm/max_map_count")
    if most is None or most > 300_000:
        untested(f"needs a vm.max_map_count that can be reached, and it is {most}")

    def fill() -> None:
        room = mmap(None, (most + 3) * page, PROT_NONE)
        with fails_with(ENOMEM):
            for number in range(1, most + 3, 2):  # a page in the middle that differs makes three mappings of one
                mprotect(room + number * page, page, PROT_READ)
        with fails_with(ENOMEM):
            for prot in (PROT_READ, PROT_NONE) * 4:  # side by side, and none like the one before
                mmap(None, page, prot)

    fork(fill).result(60)


@clause("mmap.rlimit_as", "mmap(2)", "ERRORS", errno=ENOMEM)
def test_the_address_space_is_limited(fork, page):
    """A mapping that would make the address space larger than RLIMIT_AS is refused, whatever it is a mapping of."""

    def life() -> None:
        room = 64 * page
        size = int(Path("/proc/self/statm").read_text().split()[0]) * page
        limit_process("AS", size + room, size + room)
        with fails_with(ENOMEM):
            mmap(None, room + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)
        mmap(None, page, PROT_NONE)

    fork(life).result()


@clause("mmap.rlimit_data", "mmap(2)", "ERRORS", errno=ENOMEM, since="4.7")
def test_private_memory_to_write_is_limited(fork, page):
    """A private mapping to write that would exceed RLIMIT_DATA is refused; a shared one, or one to read, is not."""

    def life() -> None:
        size = int(process_status()["VmData"].split()[0]) * 1024
        limit_process("DATA", size + 64 * page, size + 64 * page)
        with fails_with(ENOMEM):
            mmap(None, 4096 * page)
        mmap(None, 4096 * page, PROT_READ)
        mmap(None, 4096 * page, flags=MAP_SHARED | MAP_ANONYMOUS)

    fork(life).result()


@clause("mmap.locked", "mmap(2)", "MAP_LOCKED")
def test_locked_memory_is_in_memory_and_stays(fork, page):
    """MAP_LOCKED brings the pages into memory and locks them there, as mlock does."""

    def life() -> tuple[list[bool], int]:
        before = locked()
        try:
            address = mmap(None, 4 * page, flags=APART | MAP_LOCKED)
        except OSError as error:
            untested(f"needs 4 pages of RLIMIT_MEMLOCK: {error.strerror}")
        return resident(address, 4 * page), locked() - before

    assert fork(life).result() == ([True] * 4, 4 * page)


@clause("mmap.locked-eagain", "mmap(2)", "ERRORS", errno=EAGAIN)
def test_locked_memory_is_limited(fork, page):
    """MAP_LOCKED for more than RLIMIT_MEMLOCK allows is refused to who has no privilege."""

    def life() -> None:
        if capabilities() != 0:
            become(STRANGER, OTHER_GROUP)
        limit_process("MEMLOCK", 2 * page, 2 * page)
        with fails_with(EAGAIN):
            mmap(None, 3 * page, flags=MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED)
        mmap(None, 2 * page, flags=MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED)

    fork(life).result()


@clause("mmap.populate", "mmap(2)", "MAP_POPULATE")
def test_populate_brings_the_pages_into_memory(mapping, page):
    """MAP_POPULATE brings the pages of a mapping into memory before they are touched."""
    assert resident(mapping(None, 64 * page, flags=APART | MAP_POPULATE).address, 64 * page) == [True] * 64


@clause("mmap.growsdown", "mmap(2)", "MAP_GROWSDOWN")
def test_a_stack_grows_downward(fork, page):
    """Touching the page below a mapping with MAP_GROWSDOWN makes the mapping grow by it; below another one it is a SIGSEGV."""
    flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED

    def life(below: int) -> tuple[int, tuple[int, int, str] | None]:
        # Room for the gap that the kernel keeps between a stack and what is mapped below it, 256 pages by default.
        start = mmap(None, 2048 * page, PROT_NONE)
        munmap(start, 2048 * page)
        mmap(start, page, PROT_READ, flags)
        top = start + 2040 * page
        mmap(top, page, PROT_READ | PROT_WRITE, flags | MAP_GROWSDOWN)
        poke(top - page, 7)
        poke(top - 2 * page, 7)
        poke(start + below * page, 7)
        return top, mapped_at(top)

    top, grown = fork(life, 2038).result()
    assert grown == (top - 2 * page, top + page, "rw-p")
    assert fork(life, 1).wait() == -SIGSEGV
