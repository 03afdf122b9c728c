"""mmap(2): what a mapping has to do with its file, with other mappings of it, and with other processes."""

from __future__ import annotations

import os
import signal
from errno import EINVAL
from pathlib import Path

from pytest_ipc import clause, fails_with, untested
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
def test_a_store_is_seen_in_the_file_and_by_others(file, opened, mapping, fork, page):
    """A store through a shared mapping is seen by read(2), by other mappings, and by other processes that mapped the file."""
    fd, other = opened(file, os.O_RDWR), opened(file, os.O_RDONLY)
    first, second = mapping(fd, page), mapping(other, page, PROT_READ)
    first.buf[:4] = b"here"
    assert (bytes(second.buf[:4]), os.pread(other, 4, 0)) == (b"here", b"here")

    def look_and_answer() -> bytes:
        address = mmap(None, page, PROT_READ | PROT_WRITE, MAP_SHARED, os.open(file, os.O_RDWR))
        poke(address, ord("H"))
        return peek(address, 4)

    assert fork(look_and_answer).result() == b"Here"
    assert bytes(first.buf[:4]) == b"Here"


@clause("mmap.write-visible-in-map", "mmap(2)", "MAP_SHARED")
def test_a_write_is_seen_in_the_mapping(file, opened, mapping, page):
    """What write(2) puts into the file is seen in a shared mapping of it at once."""
    fd = opened(file, os.O_RDWR)
    there = mapping(fd, 2 * page)
    os.pwrite(fd, b"written", page - 3)
    assert bytes(there.buf[page - 4 : page + 5]) == b"awrittenb"


@clause("mmap.private-cow", "mmap(2)", "MAP_PRIVATE")
def test_a_private_store_stays_private(file, opened, mapping, fork, page):
    """A store through a private mapping is seen neither in the file, nor in other mappings of it, nor by other processes."""
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
def test_a_private_page_is_copied_when_it_is_written(file, opened, mapping, page):
    """A private mapping holds what the file holds; the page that is written to is from then on its own."""
    fd = opened(file, os.O_RDWR)
    private = mapping(fd, 2 * page, flags=MAP_PRIVATE)
    private.buf[0] = ord("x")
    os.pwrite(fd, b"later", 0)
    assert bytes(private.buf[:5]) == b"xaaaa"
    assert bytes(private.buf[page:]) == b"b" * page


@clause("mmap.partial-page-tail-zero", "mmap(2)", "NOTES")
def test_the_rest_of_the_last_page_is_zero_and_never_written(file, opened, mapping, page):
    """The rest of the page in which a file ends is zero in a mapping; what is stored there does not get into the file."""
    fd = opened(file, os.O_RDWR)
    size = file.stat().st_size
    there = mapping(fd, 3 * page)
    assert bytes(there.buf[size:]) == bytes(3 * page - size)
    there.buf[size] = 7
    there.msync()
    assert (file.stat().st_size, file.read_bytes()[-2:]) == (size, b"cc")


@clause("mmap.sigbus-beyond-eof", "mmap(2)", "ERRORS")
def test_a_page_beyond_the_end_of_the_file_is_a_bus_error(file, opened, mapping, fork, page):
    """A mapping may be longer than its file; touching a page that lies wholly beyond the end is a SIGBUS."""
    there = mapping(opened(file, os.O_RDWR), 4 * page)
    assert fork(peek, there.address + 3 * page - 1, 1).result() == b"\0"
    assert fork(peek, there.address + 3 * page, 1).wait() == -signal.SIGBUS
    assert fork(poke, there.address + 3 * page, 1).wait() == -signal.SIGBUS


@clause("mmap.truncate-then-access", "mmap(2)", "NOTES")
def test_a_mapping_follows_the_size_of_its_file(file, opened, mapping, fork, page):
    """When the file becomes shorter the pages beyond its end are a SIGBUS; when it grows again they are back, as zeros."""
    fd = opened(file, os.O_RDWR)
    there = mapping(fd, 2 * page)
    assert bytes(there.buf) == b"a" * page + b"b" * page
    os.ftruncate(fd, page)
    assert fork(peek, there.address + page, 1).wait() == -signal.SIGBUS
    os.ftruncate(fd, 2 * page)
    assert fork(peek, there.address, 2 * page).result() == b"a" * page + bytes(page)


@clause("mmap.fd-close-keeps", "mmap(2)", "DESCRIPTION")
def test_a_mapping_outlives_its_descriptor(file, mapping, page):
    """Closing the descriptor does not unmap; and as long as it is mapped, a file that has lost its name is still there."""
    fd = os.open(file, os.O_RDWR)
    first, second = mapping(fd, page), mapping(fd, page, PROT_READ)
    os.close(fd)
    file.unlink()
    first.buf[:4] = b"kept"
    assert bytes(second.buf[:5]) == b"kepta"


@clause("mmap.fork-preserved", "mmap(2)", "NOTES")
def test_a_child_has_its_parents_mappings(file, opened, mapping, fork, page):
    """A forked child has the same mappings: what is shared stays shared both ways, what is private is from then on its own."""
    fd = opened(file, os.O_RDWR)
    shared, private, read_only = mapping(fd, page), mapping(None, page), mapping(fd, page, PROT_READ)
    private.buf[:6] = b"before"

    def life() -> tuple[bytes, list[str | None]]:
        seen = peek(private.address, 6)
        poke(shared.address, ord("x"))
        poke(private.address, ord("x"))
        found = [mapped_at(it.address) for it in (shared, private, read_only)]
        return seen, [it and it[2] for it in found]

    assert fork(life).result() == (b"before", ["rw-s", "rw-p", "r--s"])
    assert (shared.buf[0], bytes(private.buf[:6])) == (ord("x"), b"before")


@clause("mmap.exec-dropped", "execve(2)", "Effect on process attributes")
def test_exec_unmaps(file, opened, mapping, program, page):
    """A program that is executed has none of the mappings of the one before; what was stored is in the file."""
    there = mapping(opened(file, os.O_RDWR), page)
    there.buf[:4] = b"kept"
    source = "import pathlib, sys; sys.exit(sys.argv[1] in pathlib.Path('/proc/self/maps').read_text())"
    assert str(file) in Path("/proc/self/maps").read_text()
    succeeded(program(source, file))
    assert file.read_bytes()[:5] == b"kepta"


@clause("mmap.mtime-updated", "mmap(2)", "Timestamps changes for file-backed mappings")
def test_a_store_marks_the_times_of_the_file(file, opened, mapping, page):
    """After a store and msync with MS_SYNC or MS_ASYNC the file has new times of modification and of status change."""
    fd = opened(file, os.O_RDWR)
    there = mapping(fd, 2 * page)
    os.utime(fd, ns=(0, 0))
    before = os.fstat(fd)
    there.buf[0] = 7
    msync(there.address, page)
    # ctime cannot be set back; its clock may not have ticked since utime() set it.
    after = os.fstat(fd)
    assert after.st_mtime_ns > before.st_mtime_ns == 0
    assert after.st_ctime_ns >= before.st_ctime_ns
    os.utime(fd, ns=(0, 0))
    there.buf[page] = 8
    msync(there.address + page, page, MS_ASYNC)
    assert Deadline(5).until(lambda: os.fstat(fd).st_mtime_ns > 0)


@clause("mmap.atime", "mmap(2)", "Timestamps changes for file-backed mappings")
def test_the_first_reference_marks_the_time_of_access(file, opened, mapping, page):
    """Between the mapping and its end, and at the first reference at the latest, the file gets a new time of access."""
    fd = opened(file, os.O_RDWR)
    if os.fstatvfs(fd).f_flag & os.ST_NOATIME:
        untested("needs a file system that is mounted without noatime")
    os.utime(fd, ns=(1, 10**9))  # older than the modification, which is what relatime asks for
    there = mapping(fd, page, PROT_READ)
    assert there.buf[0] == ord("a")
    there.unmap()
    assert os.fstat(fd).st_atime_ns > 1


@clause("mmap.file-coherent-two-processes-unrelated", "mmap(2)", "MAP_SHARED")
def test_unrelated_processes_meet_in_a_file(file, opened, mapping, program, page):
    """Programs that have nothing in common but a file see each other's stores in it, both ways, without any further call."""
    buffer = mapping(opened(file, os.O_RDWR), page).buf
    buffer[0] = 0
    source = (
        "import os, sys, ctypes, pytest_ipc.kernel as ipc\n"
        "fd = os.open(sys.argv[1], os.O_RDWR)\n"
        "here = (ctypes.c_ubyte * 4).from_address(ipc.mmap(None, 4, flags=ipc.MAP_SHARED, fd=fd))\n"
        "for value in range(1, 50):\n"
        "    here[0] = value\n"
        "    if not ipc.Deadline(20).until(lambda: here[1] == value):\n"
        "        sys.exit(f'no answer to {value}, but {here[1]}')\n"
    )
    buffer[1] = 0
    child = program(source, file)
    for value in range(1, 50):
        assert Deadline(20).until(lambda: buffer[0] >= value or not child.alive), child.output  # noqa: B023 - this round's
        buffer[1] = buffer[0]
    succeeded(child)


@clause("mmap.shared-anon-fork-only", "mmap(2)", "MAP_ANONYMOUS")
def test_anonymous_memory_is_shared_with_children(mapping, fork, page):
    """Anonymous memory that was mapped with MAP_SHARED is one memory for parent and children; private memory is not."""
    shared, private = mapping(None, page, flags=MAP_SHARED), mapping(None, page)

    def store(value: int) -> bytes:
        seen = peek(shared.address, 1)
        poke(shared.address, value)
        poke(private.address, value)
        return seen

    assert [fork(store, value).result() for value in (1, 2)] == [b"\0", b"\1"]
    assert (shared.buf[0], private.buf[0]) == (2, 0)


@clause("madvise.dontfork-absent-in-child", "madvise(2)", "MADV_DONTFORK")
def test_memory_may_be_kept_from_children(mapping, fork, page):
    """Memory with MADV_DONTFORK is not there in a child: touching it is a SIGSEGV. The parent keeps it."""
    there = mapping(None, page, flags=MAP_SHARED)
    there.buf[0] = 7
    assert fork(peek, there.address, 1).result() == b"\x07"
    there.advise(MADV_DONTFORK)
    assert fork(peek, there.address, 1).wait() == -signal.SIGSEGV
    assert there.buf[0] == 7


@clause("madvise.wipeonfork-zero-in-child", "madvise(2)", "MADV_WIPEONFORK", since="4.14")
def test_memory_may_be_wiped_for_children(mapping, fork, page):
    """Private anonymous memory with MADV_WIPEONFORK is zeros in a child. The parent's stays."""
    there = mapping(None, page)
    there.buf[:4] = b"kept"
    there.advise(MADV_WIPEONFORK)
    assert fork(peek, there.address, 4).result() == bytes(4)
    assert bytes(there.buf[:4]) == b"kept"


@clause("madvise.wipeonfork-shared-einval", "madvise(2)", "ERRORS", since="4.14")
def test_shared_memory_cannot_be_wiped_for_children(mapping, page):
    """MADV_WIPEONFORK is refused for shared memory."""
    there = mapping(None, page, flags=MAP_SHARED)
    with fails_with(EINVAL):
        madvise(there.address, page, MADV_WIPEONFORK)


@clause("mmap.exit-unmaps", "munmap(2)", "DESCRIPTION")
def test_exit_keeps_what_was_stored(file, opened, fork, page):
    """The mappings of a process go when it ends, also when it is killed; what it stored in a file is there."""

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
def test_unmapped_memory_is_gone(mapping, fork, page):
    """What is unmapped, all of a mapping or some pages of it, is a SIGSEGV from then on; the rest of it stays."""
    there = mapping(None, 3 * page)
    there.buf[:] = b"x" * (3 * page)

    def life(start: int, pages: int, touched: int) -> bytes:
        munmap(there.address + start * page, pages * page)
        return peek(there.address + touched * page, 1)

    assert [fork(life, 1, 1, touched).wait() for touched in (0, 1, 2)] == [0, -signal.SIGSEGV, 0]
    assert [fork(life, 0, 3, touched).wait() for touched in (0, 1, 2)] == [-signal.SIGSEGV] * 3


@clause("munmap.end-rounded-up", "munmap(2)", "DESCRIPTION")
def test_all_pages_that_hold_a_part_of_the_range_are_unmapped(mapping, fork, page):
    """The address must be a page's, the length need not: every page of which the range has a part is unmapped."""
    there = mapping(None, 3 * page)

    def life(touched: int) -> bytes:
        munmap(there.address, page + 1)
        return peek(there.address + touched * page, 1)

    assert [fork(life, touched).wait() for touched in (1, 2)] == [-signal.SIGSEGV, 0]
