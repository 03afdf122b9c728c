"""mmap(2): the address, the offset, and what is refused."""

from __future__ import annotations

import ctypes
import os
import socket
from array import array
from errno import EACCES, EBADF, EEXIST, EINVAL, ENODEV, EOPNOTSUPP, EOVERFLOW
from fcntl import ioctl

import pytest

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_PRIVATE,
    MAP_SHARED,
    MAP_SHARED_VALIDATE,
    MAP_SYNC,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    mmap,
    munmap,
)
from pytest_ipc.kernel.abi import machine

from ..memory import free_range, mapped, peek, poke


@clause("mmap.null-addr-page-aligned-unused", "mmap(2)", "DESCRIPTION")
def test_the_system_chooses_a_free_aligned_place(mapping, page):
    """With no address asked for, the mapping comes to an address aligned to pages, where nothing was mapped."""
    before = mapped()
    address = mapping(None, 3 * page).address
    assert address % page == 0
    assert not any(start < address + 3 * page and address < end for start, end in before)


@clause("mmap.addr-is-a-hint", "mmap(2)", "DESCRIPTION")
def test_an_address_that_is_taken_is_only_a_hint(mapping, page):
    """Without MAP_FIXED an address at which something is mapped is a hint: the mapping comes elsewhere, and what is there stays."""
    there = mapping(None, page)
    there.buf[0] = 7
    address = mmap(there.address, page)
    munmap(address, page)
    assert address != there.address
    assert there.buf[0] == 7


@clause("mmap.fixed-exact", "mmap(2)", "MAP_FIXED")
def test_fixed_takes_the_address_as_it_is(page):
    """With MAP_FIXED the mapping is at exactly the address that was given."""
    address = free_range(page)
    assert mmap(address, page, flags=MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED) == address
    munmap(address, page)


@clause("mmap.fixed-replaces", "mmap(2)", "MAP_FIXED")
def test_fixed_replaces_the_part_that_it_overlaps(mapping, page):
    """MAP_FIXED discards the pages of other mappings that it overlaps, and those pages alone."""
    there = mapping(None, 3 * page)
    there.buf[:] = b"x" * (3 * page)
    mmap(there.address + page, page, flags=MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)
    assert bytes(there.buf) == b"x" * page + bytes(page) + b"x" * page


@clause("mmap.fixed-unaligned-einval", "mmap(2)", "ERRORS", errno=EINVAL)
def test_fixed_needs_an_aligned_address(page):
    """MAP_FIXED with an address that is not aligned to pages is refused."""
    with fails_with(EINVAL):
        mmap(free_range(page) + 1, page, flags=MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)


@clause("mmap.fixed-noreplace-eexist", "mmap(2)", "MAP_FIXED_NOREPLACE", errno=EEXIST, since="4.17")
def test_noreplace_leaves_what_is_there(mapping, page):
    """MAP_FIXED_NOREPLACE fails where a page of the range is mapped, and maps at exactly the address where none is."""
    room = mapping(None, 5 * page)  # of which the first and the last page are let go
    there = room.address + page
    room.buf[:] = b"x" * (5 * page)
    munmap(there - page, page)
    munmap(there + 3 * page, page)
    flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE
    for address in (there, there + 2 * page, there - page):
        with fails_with(EEXIST):
            mmap(address, 2 * page, flags=flags)
    assert peek(there, 3 * page) == b"x" * (3 * page)
    free = free_range(page)
    assert mmap(free, page, flags=flags) == free
    munmap(free, page)


@clause("mmap.shared-validate-eopnotsupp", "mmap(2)", "MAP_SHARED_VALIDATE", errno=EOPNOTSUPP, since="4.15")
def test_shared_validate_refuses_unknown_flags(memfd, mapping, page):
    """MAP_SHARED ignores flags that it does not know; MAP_SHARED_VALIDATE refuses them, and shares without them."""
    fd, unknown = memfd(size=page), 1 << 25
    mapping(fd, page, flags=MAP_SHARED | unknown)
    with fails_with(EOPNOTSUPP):
        mmap(None, page, PROT_READ, MAP_SHARED_VALIDATE | unknown, fd)
    mapping(fd, page, flags=MAP_SHARED_VALIDATE).buf[0] = 7
    assert os.pread(fd, 1, 0) == b"\x07"


@clause("mmap.sync-eopnotsupp", "mmap(2)", "MAP_SYNC", errno=EOPNOTSUPP, since="4.15")
def test_sync_needs_persistent_memory(memfd, page):
    """MAP_SYNC with MAP_SHARED_VALIDATE is refused for a file that is not directly in persistent memory."""
    with fails_with(EOPNOTSUPP):
        mmap(None, page, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, memfd(size=page))


@pytest.mark.parametrize("flags", [MAP_PRIVATE, MAP_SHARED], ids=["private", "shared"])
@clause("mmap.anon-zero", "mmap(2)", "MAP_ANONYMOUS")
def test_anonymous_memory_is_zero(mapping, page, flags):
    """Anonymous memory begins as zeros, also where other memory was before; the descriptor is not looked at."""
    first = mapping(None, 16 * page, flags=flags)
    first.buf[:] = b"x" * (16 * page)
    first.unmap()
    assert bytes(mapping(None, 16 * page, flags=flags).buf) == bytes(16 * page)


@clause("mmap.length-rounded-up", "munmap(2)", "NOTES")
def test_a_mapping_has_whole_pages(mapping, fork, page):
    """A length that is no multiple of the page size is rounded up: the rest of the last page is there, and is zero."""
    address = mapping(None, page + 1).address

    def life() -> bytes:
        poke(address + 2 * page - 1, 7)
        return peek(address + page, page)

    assert fork(life).result() == bytes(page - 1) + b"\x07"


@clause("mmap.offset", "mmap(2)", "DESCRIPTION")
def test_a_mapping_begins_at_its_offset(file, opened, mapping, page):
    """A mapping begins with the byte of the file that the offset says."""
    fd = opened(file, os.O_RDONLY)
    assert bytes(mapping(fd, page, PROT_READ, offset=page).buf) == b"b" * page


@clause("mmap.offset-unaligned-einval", "mmap(2)", "ERRORS", errno=EINVAL)
def test_the_offset_must_be_a_multiple_of_the_page_size(file, opened, page):
    """An offset that is no multiple of the page size is refused."""
    fd = opened(file, os.O_RDWR)
    for offset in (1, 512, page - 1, page + 1):
        with fails_with(EINVAL):
            mmap(None, page, PROT_READ, MAP_SHARED, fd, offset)


@clause("mmap.length-zero-einval", "mmap(2)", "ERRORS", errno=EINVAL)
def test_a_length_of_zero_is_refused(memfd, page):
    """A mapping of no bytes is refused."""
    for flags, fd in ((MAP_PRIVATE | MAP_ANONYMOUS, -1), (MAP_SHARED, memfd(size=page))):
        with fails_with(EINVAL):
            mmap(None, 0, PROT_READ, flags, fd)


@clause("mmap.no-sharing-flag-einval", "mmap(2)", "ERRORS", errno=EINVAL)
def test_it_must_be_said_whether_to_share(memfd, page):
    """A mapping with none of MAP_PRIVATE, MAP_SHARED and MAP_SHARED_VALIDATE is refused."""
    for flags, fd in ((MAP_ANONYMOUS, -1), (0, memfd(size=page))):
        with fails_with(EINVAL):
            mmap(None, page, PROT_READ, flags, fd)


@clause("mmap.bad-fd-ebadf", "mmap(2)", "ERRORS", errno=EBADF)
def test_a_descriptor_that_is_not_open_is_refused(memfd, page):
    """A descriptor that is not open is refused, unless MAP_ANONYMOUS is set."""
    closed = os.dup(memfd(size=page))
    os.close(closed)
    for fd in (closed, -1):
        with fails_with(EBADF):
            mmap(None, page, PROT_READ, MAP_SHARED, fd)
        munmap(mmap(None, page, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, fd), page)


@clause("mmap.not-open-for-reading-eacces", "mmap(2)", "ERRORS", errno=EACCES)
def test_a_file_must_be_open_for_reading(file, opened, page):
    """A descriptor that is not open for reading is refused, whatever protection is asked for."""
    fd = opened(file, os.O_WRONLY)
    for prot in (PROT_READ, PROT_WRITE, PROT_NONE):
        for flags in (MAP_PRIVATE, MAP_SHARED):
            with fails_with(EACCES):
                mmap(None, page, prot, flags, fd)


@clause("mmap.shared-write-needs-rdwr-eacces", "mmap(2)", "ERRORS", errno=EACCES)
def test_a_shared_mapping_to_write_needs_a_file_open_for_both(file, opened, mapping, page):
    """A file open for reading only can be mapped to write privately, but not shared."""
    fd = opened(file, os.O_RDONLY)
    with fails_with(EACCES):
        mmap(None, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd)
    mapping(fd, page, flags=MAP_PRIVATE).buf[0] = 7
    assert file.read_bytes()[:1] == b"a"


FS_APPEND_FL = 0x20


def _make_append_only(fd: int) -> str | None:
    """Give a file the attribute (ioctl_iflags(2)); why it has not got it, if it has not. OSError."""
    flags = array("l", [0])
    get, put = (0x80006601, 0x40006602) if machine() != "ppc64le" else (0x40006601, 0x80006602)
    get, put = get | flags.itemsize << 16, put | flags.itemsize << 16
    ioctl(fd, get, flags)
    flags[0] |= FS_APPEND_FL
    ioctl(fd, put, flags)
    ioctl(fd, get, flags)
    return None if flags[0] & FS_APPEND_FL else "it is said to have been set, and it is not there"


@clause("mmap.append-only-eacces", "mmap(2)", "ERRORS", errno=EACCES)
def test_an_append_only_file_cannot_be_mapped_to_write(tmp_path, memfd, page):
    """A shared mapping to write is refused for a file that has the attribute append-only."""
    fds = [memfd(size=page)]
    try:
        fds.append(os.open(tmp_path, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))  # it has no name to be removed
        os.ftruncate(fds[1], page)
    except OSError:
        pass
    try:
        for fd in fds:
            try:
                reason = _make_append_only(fd)
            except OSError as error:
                reason = error.strerror
            if reason:
                continue
            with fails_with(EACCES):
                mmap(None, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd)
            munmap(mmap(None, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd), page)
            return
    finally:
        for fd in fds[1:]:
            os.close(fd)
    untested(f"needs CAP_LINUX_IMMUTABLE and a file system with append-only files: {reason}")


@clause("mmap.o_append-maps", "mmap(2)", "ERRORS")
def test_a_file_open_for_appending_can_be_mapped_to_write(file, opened, mapping, page):
    """A file that was merely opened with O_APPEND can be mapped to write; a store goes where it is made."""
    mapping(opened(file, os.O_RDWR | os.O_APPEND), page).buf[1] = ord("x")
    assert file.read_bytes()[:3] == b"axa"


@pytest.mark.parametrize("kind", ["pipe", "socket", "directory"])
@clause("mmap.enodev-pipe-socket", "mmap(2)", "ERRORS", errno=ENODEV)
def test_what_is_no_file_cannot_be_mapped(pipe, tmp_path, opened, page, kind):
    """A pipe, a socket and a directory cannot be mapped."""
    with socket.socket(socket.AF_UNIX) as end:
        fds = {"pipe": pipe().read_fd, "socket": end.fileno(), "directory": opened(tmp_path, os.O_RDONLY)}
        with fails_with(ENODEV):
            mmap(None, page, PROT_READ, MAP_PRIVATE, fds[kind])


@clause("mmap.offset-overflow-eoverflow", "mmap(2)", "ERRORS", errno=EOVERFLOW)
def test_a_range_beyond_the_largest_offset_is_refused(memfd, page):
    """A length that goes from the offset beyond the largest offset that there is is refused."""
    if ctypes.sizeof(ctypes.c_long) < 8:
        untested("needs a 64-bit process: what a 32-bit one can ask for depends on its kernel and its libc")
    with fails_with(EOVERFLOW):
        mmap(None, 2 * page, PROT_READ, MAP_SHARED, memfd(size=page), (1 << 63) - page)
