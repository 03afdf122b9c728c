"""mmap(2): a mapping in relation to its file, to other mappings and to other processes."""

from __future__ import annotations

import os
import signal
from errno import EINVAL
from pathlib import Path

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import (
    MADV_DONTFORK,
    MADV_WIPEONFORK,
    MAP_PRIVATE,
    MAP_SHARED,
    MS_ASYNC,
    PROT_READ,
    PROT_WRITE,
    Deadline,
    madvise,
    mmap,
    msync,
    munmap,
)

from ..conftest import succeeded
from ..memory import mapped_at, peek, poke


@clause("mmap.shared-writes-reach-file-and-others", "mmap(2)", "MAP_SHARED")
def test_shared_store_is_visible_everywhere(file, opened, mapping, fork, page):
    """A store through a shared mapping is visible to read(), to
    other mappings and to other processes that map the file.
    """
    fd, other = opened(file, os.O_RDWR), opened(file, os.O_RDONLY)
    first, second = mapping(fd, page), mapping(other, page, PROT_READ)
    first.buf[:4] = b"here"
    assert (bytes(second.buf[:4]), os.pread(other, 4, 0)) == (b"here", b"here")

    def store_and_load() -> bytes:
        address = mmap(None, page, PROT_READ | PROT_WRITE, MAP_SHARED, os.open(file, os.O_RDWR))
        poke(address, ord("H"))
        return peek(address, 4)

    assert fork(store_and_load).result() == b"Here"
    assert bytes(first.buf[:4]) == b"Here"


@clause("mmap.write-visible-in-map", "mmap(2)", "MAP_SHARED")
def test_write_is_visible_in_a_shared_mapping(file, opened, mapping, page):
    """Data written with write() are visible at once in a shared mapping of the file."""
    fd = opened(file, os.O_RDWR)
    shared = mapping(fd, 2 * page)
    os.pwrite(fd, b"written", page - 3)
    assert bytes(shared.buf[page - 4 : page + 5]) == b"awrittenb"


@clause("mmap.private-cow", "mmap(2)", "MAP_PRIVATE")
def test_private_store_is_not_visible_elsewhere(file, opened, mapping, fork, page):
    """A store through a private mapping is not visible in the file, in other mappings or in other processes."""
    fd = opened(file, os.O_RDWR)
    private, other, shared = (
        mapping(fd, page, flags=MAP_PRIVATE),
        mapping(fd, page, flags=MAP_PRIVATE),
        mapping(fd, page),
    )
    private.buf[0] = ord("x")
    fork(poke, private.address + 1, ord("y")).result()
    assert (bytes(private.buf[:3]), bytes(other.buf[:3]), bytes(shared.buf[:3])) == (b"xaa", b"aaa", b"aaa")
    assert os.pread(fd, 3, 0) == b"aaa"


@clause("mmap.private-page-by-page", "mmap(2)", "MAP_PRIVATE")
def test_private_page_is_copied_on_write(file, opened, mapping, page):
    """A private mapping has the content of the file, and the page
    written to is a copy that later write() calls do not change.
    """
    fd = opened(file, os.O_RDWR)
    private = mapping(fd, 2 * page, flags=MAP_PRIVATE)
    private.buf[0] = ord("x")
    os.pwrite(fd, b"later", 0)
    assert bytes(private.buf[:5]) == b"xaaaa"
    assert bytes(private.buf[page:]) == b"b" * page


@clause("mmap.partial-page-tail-zero", "mmap(2)", "NOTES")
def test_tail_of_the_last_page_is_zero(file, opened, mapping, page):
    """The rest of the last page of a file reads as zeros in a mapping, and stores to it are not written to the file."""
    fd = opened(file, os.O_RDWR)
    size = file.stat().st_size
    shared = mapping(fd, 3 * page)
    assert bytes(shared.buf[size:]) == bytes(3 * page - size)
    shared.buf[size] = 7
    shared.msync()
    assert (file.stat().st_size, file.read_bytes()[-2:]) == (size, b"cc")


@clause("mmap.sigbus-beyond-eof", "mmap(2)", "ERRORS")
def test_access_beyond_the_end_raises_sigbus(file, opened, mapping, fork, page):
    """A mapping can be longer than its file; access to a page wholly beyond the end raises SIGBUS."""
    shared = mapping(opened(file, os.O_RDWR), 4 * page)
    assert fork(peek, shared.address + 3 * page - 1, 1).result() == b"\0"
    assert fork(peek, shared.address + 3 * page, 1).wait() == -signal.SIGBUS
    assert fork(poke, shared.address + 3 * page, 1).wait() == -signal.SIGBUS


@clause("mmap.truncate-then-access", "mmap(2)", "NOTES")
def test_mapping_follows_the_file_size(file, opened, mapping, fork, page):
    """Pages beyond the end of a truncated file raise SIGBUS, and are
    accessible again as zeros after the file is extended.
    """
    fd = opened(file, os.O_RDWR)
    shared = mapping(fd, 2 * page)
    assert bytes(shared.buf) == b"a" * page + b"b" * page
    os.ftruncate(fd, page)
    assert fork(peek, shared.address + page, 1).wait() == -signal.SIGBUS
    os.ftruncate(fd, 2 * page)
    assert fork(peek, shared.address, 2 * page).result() == b"a" * page + bytes(page)


@clause("mmap.fd-close-keeps", "mmap(2)", "DESCRIPTION")
def test_mapping_outlives_its_descriptor(file, mapping, page):
    """A mapping and its file stay usable after the descriptor is closed and the file is unlinked."""
    fd = os.open(file, os.O_RDWR)
    first, second = mapping(fd, page), mapping(fd, page, PROT_READ)
    os.close(fd)
    file.unlink()
    first.buf[:4] = b"kept"
    assert bytes(second.buf[:5]) == b"kepta"


@clause("mmap.fork-preserved", "mmap(2)", "NOTES")
def test_child_inherits_the_mappings(file, opened, mapping, fork, page):
    """A child created with fork() inherits the mappings: shared ones stay shared, private ones are independent."""
    fd = opened(file, os.O_RDWR)
    shared, private, read_only = mapping(fd, page), mapping(None, page), mapping(fd, page, PROT_READ)
    private.buf[:6] = b"before"

    def child() -> tuple[bytes, list[str | None]]:
        seen = peek(private.address, 6)
        poke(shared.address, ord("x"))
        poke(private.address, ord("x"))
        found = [mapped_at(each.address) for each in (shared, private, read_only)]
        return seen, [entry and entry[2] for entry in found]

    assert fork(child).result() == (b"before", ["rw-s", "rw-p", "r--s"])
    assert (shared.buf[0], bytes(private.buf[:6])) == (ord("x"), b"before")


@clause("mmap.exec-dropped", "execve(2)", "Effect on process attributes")
def test_exec_removes_mappings(file, opened, mapping, program, page):
    """execve() removes all mappings of the process; stores to a shared one are in the file."""
    shared = mapping(opened(file, os.O_RDWR), page)
    shared.buf[:4] = b"kept"
    source = "import pathlib, sys; sys.exit(sys.argv[1] in pathlib.Path('/proc/self/maps').read_text())"
    assert str(file) in Path("/proc/self/maps").read_text()
    succeeded(program(source, file))
    assert file.read_bytes()[:5] == b"kepta"


@clause("mmap.mtime-updated", "mmap(2)", "Timestamps changes for file-backed mappings")
def test_store_updates_mtime_and_ctime(file, opened, mapping, page):
    """A store followed by msync() with MS_SYNC or MS_ASYNC updates st_mtime and st_ctime of the file."""
    fd = opened(file, os.O_RDWR)
    shared = mapping(fd, 2 * page)
    os.utime(fd, ns=(0, 0))
    before = os.fstat(fd)
    shared.buf[0] = 7
    msync(shared.address, page)
    # ctime cannot be set back; its clock may not have ticked since utime() set it.
    after = os.fstat(fd)
    assert after.st_mtime_ns > before.st_mtime_ns == 0
    assert after.st_ctime_ns >= before.st_ctime_ns
    os.utime(fd, ns=(0, 0))
    shared.buf[page] = 8
    msync(shared.address + page, page, MS_ASYNC)
    assert Deadline(5).until(lambda: os.fstat(fd).st_mtime_ns > 0)


@clause("mmap.atime", "mmap(2)", "Timestamps changes for file-backed mappings")
def test_first_access_updates_atime(file, opened, mapping, page):
    """st_atime of the file is updated between mmap() and munmap(), at the latest at the first access."""
    fd = opened(file, os.O_RDWR)
    if os.fstatvfs(fd).f_flag & os.ST_NOATIME:
        untested(Need.FILE_SYSTEM, "needs a file system that is mounted without noatime")
    os.utime(fd, ns=(1, 10**9))  # older than st_mtime, as relatime requires
    shared = mapping(fd, page, PROT_READ)
    assert shared.buf[0] == ord("a")
    shared.unmap()
    assert os.fstat(fd).st_atime_ns > 1


@clause("mmap.file-coherent-two-processes-unrelated", "mmap(2)", "MAP_SHARED")
def test_unrelated_programs_share_a_mapped_file(file, opened, mapping, program, page):
    """Unrelated programs that map one file see each other's stores without any further call."""
    buffer = mapping(opened(file, os.O_RDWR), page).buf
    buffer[0] = 0
    source = (
        "import os, sys, ctypes, pytest_ipc.kernel as ipc\n"
        "fd = os.open(sys.argv[1], os.O_RDWR)\n"
        "shared = (ctypes.c_ubyte * 4).from_address(ipc.mmap(None, 4, flags=ipc.MAP_SHARED, fd=fd))\n"
        "for value in range(1, 50):\n"
        "    shared[0] = value\n"
        "    if not ipc.Deadline(20).until(lambda: shared[1] == value):\n"
        "        sys.exit(f'no reply to {value}: {shared[1]}')\n"
    )
    buffer[1] = 0
    child = program(source, file)
    for value in range(1, 50):
        assert Deadline(20).until(lambda: buffer[0] >= value or not child.alive), child.output  # noqa: B023
        buffer[1] = buffer[0]
    succeeded(child)


@clause("mmap.shared-anon-fork-only", "mmap(2)", "MAP_ANONYMOUS")
def test_shared_anonymous_memory_is_shared_with_children(mapping, fork, page):
    """MAP_SHARED | MAP_ANONYMOUS memory is shared between parent and children; private memory is not."""
    shared, private = mapping(None, page, flags=MAP_SHARED), mapping(None, page)

    def store(value: int) -> bytes:
        seen = peek(shared.address, 1)
        poke(shared.address, value)
        poke(private.address, value)
        return seen

    assert [fork(store, value).result() for value in (1, 2)] == [b"\0", b"\1"]
    assert (shared.buf[0], private.buf[0]) == (2, 0)


@clause("madvise.dontfork-absent-in-child", "madvise(2)", "MADV_DONTFORK")
def test_dontfork_omits_the_range_in_a_child(mapping, fork, page):
    """After madvise() with MADV_DONTFORK the range is not mapped in a
    child, where access raises SIGSEGV; the parent keeps it.
    """
    shared = mapping(None, page, flags=MAP_SHARED)
    shared.buf[0] = 7
    assert fork(peek, shared.address, 1).result() == b"\x07"
    shared.advise(MADV_DONTFORK)
    assert fork(peek, shared.address, 1).wait() == -signal.SIGSEGV
    assert shared.buf[0] == 7


@clause("madvise.wipeonfork-zero-in-child", "madvise(2)", "MADV_WIPEONFORK", since="4.14")
def test_wipeonfork_zeroes_the_range_in_a_child(mapping, fork, page):
    """After madvise() with MADV_WIPEONFORK private anonymous memory is zero in a child; the parent's content stays."""
    memory = mapping(None, page)
    memory.buf[:4] = b"kept"
    memory.advise(MADV_WIPEONFORK)
    assert fork(peek, memory.address, 4).result() == bytes(4)
    assert bytes(memory.buf[:4]) == b"kept"


@clause("madvise.wipeonfork-shared-einval", "madvise(2)", "ERRORS", since="4.14")
def test_wipeonfork_of_shared_memory_fails(mapping, page):
    """madvise() with MADV_WIPEONFORK fails with EINVAL for shared memory."""
    shared = mapping(None, page, flags=MAP_SHARED)
    with fails_with(EINVAL):
        madvise(shared.address, page, MADV_WIPEONFORK)


@clause("mmap.exit-unmaps", "munmap(2)", "DESCRIPTION")
def test_exit_unmaps_and_keeps_stores(file, opened, fork, page):
    """The stores of a killed process to a shared file mapping stay in the file."""

    def store_and_wait() -> None:
        address = mmap(None, page, PROT_READ | PROT_WRITE, MAP_SHARED, os.open(file, os.O_RDWR))
        poke(address, ord("x"))
        signal.pause()

    child = fork(store_and_wait)
    child.wait_blocked("pause")
    child.signal(signal.SIGKILL)
    child.wait()
    assert os.pread(opened(file, os.O_RDONLY), 3, 0) == b"xaa"


@clause("munmap.partial-and-sigsegv", "munmap(2)", "DESCRIPTION")
def test_access_to_unmapped_pages_raises_sigsegv(mapping, fork, page):
    """Access to pages unmapped by munmap() raises SIGSEGV; other pages of the mapping stay accessible."""
    memory = mapping(None, 3 * page)
    memory.buf[:] = b"x" * (3 * page)

    def child(start: int, pages: int, touched: int) -> bytes:
        munmap(memory.address + start * page, pages * page)
        return peek(memory.address + touched * page, 1)

    assert [fork(child, 1, 1, touched).wait() for touched in (0, 1, 2)] == [0, -signal.SIGSEGV, 0]
    assert [fork(child, 0, 3, touched).wait() for touched in (0, 1, 2)] == [-signal.SIGSEGV] * 3


@clause("munmap.end-rounded-up", "munmap(2)", "DESCRIPTION")
def test_munmap_covers_whole_pages(mapping, fork, page):
    """munmap() unmaps every page that contains part of the range; the length need not be page-aligned."""
    memory = mapping(None, 3 * page)

    def child(touched: int) -> bytes:
        munmap(memory.address, page + 1)
        return peek(memory.address + touched * page, 1)

    assert [fork(child, touched).wait() for touched in (1, 2)] == [-signal.SIGSEGV, 0]
