"""mmap(2): protection, limits and population of pages."""

from __future__ import annotations

import ctypes
import os
from errno import EACCES, EAGAIN, ENOMEM, EPERM
from pathlib import Path
from signal import SIGSEGV

from pytest_ipc import Need, clause, fails_with, untested
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
def test_prot_none_denies_access(mapping, fork, page):
    """A load from a page with PROT_NONE raises SIGSEGV, and so does a store."""
    address = mapping(None, page, PROT_NONE).address
    assert fork(peek, address, 1).wait() == -SIGSEGV
    assert fork(poke, address, 1).wait() == -SIGSEGV


@clause("mmap.prot-read-sigsegv", "mmap(2)", "PROT_READ")
def test_prot_read_denies_stores(mapping, fork, memfd, page):
    """A store to a page with PROT_READ raises SIGSEGV, and changes nothing."""
    fd = memfd(size=page)
    address = mapping(fd, page, PROT_READ).address
    assert peek(address, 1) == b"\0"
    assert fork(poke, address, 1).wait() == -SIGSEGV
    assert os.pread(fd, 1, 0) == b"\0"


# The machine code of a return instruction, by architecture.
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
def test_prot_exec_permits_execution(file, opened, fork, page):
    """Code in pages with PROT_EXEC can be executed."""
    if machine() not in RETURN:
        untested(Need.ARCHITECTURE, f"needs to know how {machine()} returns from a function")
    file.write_bytes(bytes.fromhex(RETURN[machine()]).ljust(page, b"\0"))
    fd = opened(file, os.O_RDONLY)

    def run() -> str:
        try:
            address = mmap(None, page, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd)
        except PermissionError as error:
            untested(Need.FILE_SYSTEM, f"needs a file system that is not mounted noexec: {error.strerror}")
        ctypes.CFUNCTYPE(None)(address)()
        return "returned"

    assert fork(run).result() == "returned"


@clause("mmap.noexec-mount-eperm", "mmap(2)", "ERRORS", errno=EPERM)
def test_noexec_mount_denies_prot_exec(tmp_path, fork, page):
    """mmap() with PROT_EXEC fails with EPERM for a file on a noexec
    mount, and mprotect() with PROT_EXEC fails with EACCES.
    """

    def child() -> None:
        mount_tmpfs(tmp_path, MS_NOEXEC)
        fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        os.ftruncate(fd, page)
        with fails_with(EPERM):
            mmap(None, page, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd)
        address = mmap(None, page, PROT_READ, MAP_PRIVATE, fd)
        with fails_with(EACCES):
            mprotect(address, page, PROT_READ | PROT_EXEC)

    fork(child).result()


@clause("mmap.enomem-mapcount", "mmap(2)", "ERRORS", errno=ENOMEM)
def test_max_map_count_limits_mappings(fork, page):
    """mmap() and mprotect() fail with ENOMEM if the process would have more than vm.max_map_count mappings."""
    most = limit("vm/max_map_count")
    if most is None or most > 300_000:
        untested(Need.MACHINE_LIMITS, f"needs a vm.max_map_count that can be reached, and it is {most}")

    def fill() -> None:
        memory = mmap(None, (most + 3) * page, PROT_NONE)
        with fails_with(ENOMEM):
            for number in range(1, most + 3, 2):  # each changed page splits one mapping into three
                mprotect(memory + number * page, page, PROT_READ)
        with fails_with(ENOMEM):
            for prot in (PROT_READ, PROT_NONE) * 4:  # different protections, so that no two are merged
                mmap(None, page, prot)

    fork(fill).result(timeout=60)


@clause("mmap.rlimit_as", "mmap(2)", "ERRORS", errno=ENOMEM)
def test_rlimit_as_limits_the_address_space(fork, page):
    """mmap() fails with ENOMEM if the address space would exceed RLIMIT_AS, also with PROT_NONE and MAP_NORESERVE."""

    def child() -> None:
        space = 64 * page
        size = int(Path("/proc/self/statm").read_text().split()[0]) * page
        limit_process("AS", size + space, size + space)
        with fails_with(ENOMEM):
            mmap(None, space + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)
        mmap(None, page, PROT_NONE)

    fork(child).result()


@clause("mmap.rlimit_data", "mmap(2)", "ERRORS", errno=ENOMEM, since="4.7")
def test_rlimit_data_limits_private_writable_memory(fork, page):
    """mmap() of private writable memory fails with ENOMEM above RLIMIT_DATA; shared or read-only mappings succeed."""

    def child() -> None:
        size = int(process_status()["VmData"].split()[0]) * 1024
        limit_process("DATA", size + 64 * page, size + 64 * page)
        with fails_with(ENOMEM):
            mmap(None, 4096 * page)
        mmap(None, 4096 * page, PROT_READ)
        mmap(None, 4096 * page, flags=MAP_SHARED | MAP_ANONYMOUS)

    fork(child).result()


@clause("mmap.locked", "mmap(2)", "MAP_LOCKED")
def test_map_locked_locks_the_pages(fork, page):
    """mmap() with MAP_LOCKED makes the pages resident and locks them like mlock()."""

    def child() -> tuple[list[bool], int]:
        before = locked()
        try:
            address = mmap(None, 4 * page, flags=APART | MAP_LOCKED)
        except OSError as error:
            untested(Need.PROCESS_LIMITS, f"needs 4 pages of RLIMIT_MEMLOCK: {error.strerror}")
        return resident(address, 4 * page), locked() - before

    assert fork(child).result() == ([True] * 4, 4 * page)


@clause("mmap.locked-eagain", "mmap(2)", "ERRORS", errno=EAGAIN)
def test_map_locked_is_limited(fork, page):
    """mmap() with MAP_LOCKED without privilege fails with EAGAIN above RLIMIT_MEMLOCK."""

    def child() -> None:
        if capabilities() != 0:
            become(STRANGER, OTHER_GROUP)
        limit_process("MEMLOCK", 2 * page, 2 * page)
        with fails_with(EAGAIN):
            mmap(None, 3 * page, flags=MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED)
        mmap(None, 2 * page, flags=MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED)

    fork(child).result()


@clause("mmap.populate", "mmap(2)", "MAP_POPULATE")
def test_populate_makes_pages_resident(mapping, page):
    """mmap() with MAP_POPULATE makes all pages of the mapping resident at once."""
    assert resident(mapping(None, 64 * page, flags=APART | MAP_POPULATE).address, 64 * page) == [True] * 64


@clause("mmap.growsdown", "mmap(2)", "MAP_GROWSDOWN")
def test_growsdown_extends_the_mapping(fork, page):
    """Access to the page below a MAP_GROWSDOWN mapping extends the
    mapping by it; below another mapping it raises SIGSEGV.
    """
    flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED

    def child(below: int) -> tuple[int, tuple[int, int, str] | None]:
        # Leaves space for the guard gap below a stack, 256 pages by default.
        start = mmap(None, 2048 * page, PROT_NONE)
        munmap(start, 2048 * page)
        mmap(start, page, PROT_READ, flags)
        top = start + 2040 * page
        mmap(top, page, PROT_READ | PROT_WRITE, flags | MAP_GROWSDOWN)
        poke(top - page, 7)
        poke(top - 2 * page, 7)
        poke(start + below * page, 7)
        return top, mapped_at(top)

    top, grown = fork(child, 2038).result()
    assert grown == (top - 2 * page, top + page, "rw-p")
    assert fork(child, 1).wait() == -SIGSEGV
