"""mmap(2): address, offset, flags and errors."""

from __future__ import annotations

import ctypes
import os
import socket
from array import array
from errno import EACCES, EBADF, EEXIST, EINVAL, ENODEV, EOPNOTSUPP, EOVERFLOW
from fcntl import ioctl

import pytest

from pytest_ipc import Need, clause, fails_with, untested
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
def test_kernel_chooses_a_free_aligned_address(mapping, page):
    """mmap() with addr NULL chooses a page-aligned address where nothing was mapped."""
    before = mapped()
    address = mapping(None, 3 * page).address
    assert address % page == 0
    assert not any(start < address + 3 * page and address < end for start, end in before)


@clause("mmap.addr-is-a-hint", "mmap(2)", "DESCRIPTION")
def test_used_address_is_only_a_hint(mapping, page):
    """mmap() without MAP_FIXED at an address in use maps elsewhere and keeps the existing mapping."""
    existing = mapping(None, page)
    existing.buf[0] = 7
    address = mmap(existing.address, page)
    munmap(address, page)
    assert address != existing.address
    assert existing.buf[0] == 7


@clause("mmap.fixed-exact", "mmap(2)", "MAP_FIXED")
def test_fixed_uses_exactly_the_address(page):
    """mmap() with MAP_FIXED maps at exactly the given address."""
    address = free_range(page)
    assert mmap(address, page, flags=MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED) == address
    munmap(address, page)


@clause("mmap.fixed-replaces", "mmap(2)", "MAP_FIXED")
def test_fixed_replaces_overlapped_pages(mapping, page):
    """mmap() with MAP_FIXED discards exactly the overlapped pages of existing mappings."""
    existing = mapping(None, 3 * page)
    existing.buf[:] = b"x" * (3 * page)
    mmap(existing.address + page, page, flags=MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)
    assert bytes(existing.buf) == b"x" * page + bytes(page) + b"x" * page


@clause("mmap.fixed-unaligned-einval", "mmap(2)", "ERRORS", errno=EINVAL)
def test_fixed_with_unaligned_address_fails(page):
    """mmap() with MAP_FIXED fails with EINVAL for an address that is not page-aligned."""
    with fails_with(EINVAL):
        mmap(free_range(page) + 1, page, flags=MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)


@clause("mmap.fixed-noreplace-eexist", "mmap(2)", "MAP_FIXED_NOREPLACE", errno=EEXIST, since="4.17")
def test_fixed_noreplace_keeps_existing_mappings(mapping, page):
    """mmap() with MAP_FIXED_NOREPLACE fails with EEXIST if a page of the
    range is mapped, and otherwise maps at exactly the address.
    """
    memory = mapping(None, 5 * page)  # the first and the last page are unmapped below
    start = memory.address + page
    memory.buf[:] = b"x" * (5 * page)
    munmap(start - page, page)
    munmap(start + 3 * page, page)
    flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE
    for address in (start, start + 2 * page, start - page):
        with fails_with(EEXIST):
            mmap(address, 2 * page, flags=flags)
    assert peek(start, 3 * page) == b"x" * (3 * page)
    free = free_range(page)
    assert mmap(free, page, flags=flags) == free
    munmap(free, page)


@clause("mmap.shared-validate-eopnotsupp", "mmap(2)", "MAP_SHARED_VALIDATE", errno=EOPNOTSUPP, since="4.15")
def test_shared_validate_rejects_unknown_flags(memfd, mapping, page):
    """mmap() ignores unknown flags with MAP_SHARED, and fails with EOPNOTSUPP with MAP_SHARED_VALIDATE."""
    fd, unknown = memfd(size=page), 1 << 25
    mapping(fd, page, flags=MAP_SHARED | unknown)
    with fails_with(EOPNOTSUPP):
        mmap(None, page, PROT_READ, MAP_SHARED_VALIDATE | unknown, fd)
    mapping(fd, page, flags=MAP_SHARED_VALIDATE).buf[0] = 7
    assert os.pread(fd, 1, 0) == b"\x07"


@clause("mmap.sync-eopnotsupp", "mmap(2)", "MAP_SYNC", errno=EOPNOTSUPP, since="4.15")
def test_sync_needs_persistent_memory(memfd, page):
    """mmap() with MAP_SHARED_VALIDATE | MAP_SYNC fails with EOPNOTSUPP for a file that is not in persistent memory."""
    with fails_with(EOPNOTSUPP):
        mmap(None, page, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, memfd(size=page))


@pytest.mark.parametrize("flags", [MAP_PRIVATE, MAP_SHARED], ids=["private", "shared"])
@clause("mmap.anon-zero", "mmap(2)", "MAP_ANONYMOUS")
def test_anonymous_memory_is_zero(mapping, page, flags):
    """mmap() with MAP_ANONYMOUS returns memory of zeros, also where other memory was mapped before."""
    first = mapping(None, 16 * page, flags=flags)
    first.buf[:] = b"x" * (16 * page)
    first.unmap()
    assert bytes(mapping(None, 16 * page, flags=flags).buf) == bytes(16 * page)


@clause("mmap.length-rounded-up", "munmap(2)", "NOTES")
def test_length_is_rounded_up(mapping, fork, page):
    """mmap() rounds the length up to a multiple of the page size; the added bytes are accessible and zero."""
    address = mapping(None, page + 1).address

    def child() -> bytes:
        poke(address + 2 * page - 1, 7)
        return peek(address + page, page)

    assert fork(child).result() == bytes(page - 1) + b"\x07"


@clause("mmap.offset", "mmap(2)", "DESCRIPTION")
def test_mapping_begins_at_its_offset(file, opened, mapping, page):
    """mmap() maps the file from the given offset."""
    fd = opened(file, os.O_RDONLY)
    assert bytes(mapping(fd, page, PROT_READ, offset=page).buf) == b"b" * page


@clause("mmap.offset-unaligned-einval", "mmap(2)", "ERRORS", errno=EINVAL)
def test_unaligned_offset_fails(file, opened, page):
    """mmap() fails with EINVAL for an offset that is not a multiple of the page size."""
    fd = opened(file, os.O_RDWR)
    for offset in (1, 512, page - 1, page + 1):
        with fails_with(EINVAL):
            mmap(None, page, PROT_READ, MAP_SHARED, fd, offset)


@clause("mmap.length-zero-einval", "mmap(2)", "ERRORS", errno=EINVAL)
def test_length_of_zero_fails(memfd, page):
    """mmap() fails with EINVAL for a length of 0."""
    for flags, fd in ((MAP_PRIVATE | MAP_ANONYMOUS, -1), (MAP_SHARED, memfd(size=page))):
        with fails_with(EINVAL):
            mmap(None, 0, PROT_READ, flags, fd)


@clause("mmap.no-sharing-flag-einval", "mmap(2)", "ERRORS", errno=EINVAL)
def test_sharing_flag_is_required(memfd, page):
    """mmap() fails with EINVAL without MAP_PRIVATE, MAP_SHARED and MAP_SHARED_VALIDATE."""
    for flags, fd in ((MAP_ANONYMOUS, -1), (0, memfd(size=page))):
        with fails_with(EINVAL):
            mmap(None, page, PROT_READ, flags, fd)


@clause("mmap.bad-fd-ebadf", "mmap(2)", "ERRORS", errno=EBADF)
def test_closed_descriptor_fails(memfd, page):
    """mmap() fails with EBADF for a descriptor that is not open, and ignores it with MAP_ANONYMOUS."""
    closed = os.dup(memfd(size=page))
    os.close(closed)
    for fd in (closed, -1):
        with fails_with(EBADF):
            mmap(None, page, PROT_READ, MAP_SHARED, fd)
        munmap(mmap(None, page, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, fd), page)


@clause("mmap.not-open-for-reading-eacces", "mmap(2)", "ERRORS", errno=EACCES)
def test_write_only_descriptor_fails(file, opened, page):
    """mmap() fails with EACCES for a file that is not open for reading, whatever the protection."""
    fd = opened(file, os.O_WRONLY)
    for prot in (PROT_READ, PROT_WRITE, PROT_NONE):
        for flags in (MAP_PRIVATE, MAP_SHARED):
            with fails_with(EACCES):
                mmap(None, page, prot, flags, fd)


@clause("mmap.shared-write-needs-rdwr-eacces", "mmap(2)", "ERRORS", errno=EACCES)
def test_shared_writable_mapping_needs_rdwr(file, opened, mapping, page):
    """mmap() with MAP_SHARED and PROT_WRITE fails with EACCES for a file opened read-only; MAP_PRIVATE succeeds."""
    fd = opened(file, os.O_RDONLY)
    with fails_with(EACCES):
        mmap(None, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd)
    mapping(fd, page, flags=MAP_PRIVATE).buf[0] = 7
    assert file.read_bytes()[:1] == b"a"


FS_APPEND_FL = 0x20


def _make_append_only(fd: int) -> str | None:
    """Set the append-only attribute (ioctl_iflags(2)); return the
    reason if it is not set afterwards. OSError if it fails.
    """
    flags = array("l", [0])
    get, put = (0x80006601, 0x40006602) if machine() != "ppc64le" else (0x40006601, 0x80006602)
    get, put = get | flags.itemsize << 16, put | flags.itemsize << 16
    ioctl(fd, get, flags)
    flags[0] |= FS_APPEND_FL
    ioctl(fd, put, flags)
    ioctl(fd, get, flags)
    return None if flags[0] & FS_APPEND_FL else "the call succeeds, but the attribute is not set"


@clause("mmap.append-only-eacces", "mmap(2)", "ERRORS", errno=EACCES)
def test_append_only_file_cannot_be_mapped_writable(tmp_path, memfd, page):
    """mmap() with MAP_SHARED and PROT_WRITE fails with EACCES for a
    file with the append-only attribute; MAP_PRIVATE succeeds.
    """
    fds = [memfd(size=page)]
    try:
        fds.append(
            os.open(tmp_path, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        )  # an unnamed file, which needs no removal
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
    untested(Need.APPEND_ONLY_FILES, f"needs CAP_LINUX_IMMUTABLE and a file system with append-only files: {reason}")


@clause("mmap.o_append-maps", "mmap(2)", "ERRORS")
def test_file_opened_with_o_append_can_be_mapped_writable(file, opened, mapping, page):
    """mmap() for writing succeeds for a file opened with O_APPEND, and a store goes to its offset."""
    mapping(opened(file, os.O_RDWR | os.O_APPEND), page).buf[1] = ord("x")
    assert file.read_bytes()[:3] == b"axa"


@pytest.mark.parametrize("kind", ["pipe", "socket", "directory"])
@clause("mmap.enodev-pipe-socket", "mmap(2)", "ERRORS", errno=ENODEV)
def test_pipe_socket_or_directory_fails(pipe, tmp_path, opened, page, kind):
    """mmap() fails with ENODEV for a pipe, a socket and a directory."""
    with socket.socket(socket.AF_UNIX) as end:
        fds = {"pipe": pipe().read_fd, "socket": end.fileno(), "directory": opened(tmp_path, os.O_RDONLY)}
        with fails_with(ENODEV):
            mmap(None, page, PROT_READ, MAP_PRIVATE, fds[kind])


@clause("mmap.offset-overflow-eoverflow", "mmap(2)", "ERRORS", errno=EOVERFLOW)
def test_range_beyond_the_largest_offset_fails(memfd, page):
    """mmap() fails with EOVERFLOW if offset plus length exceed the largest file offset."""
    if ctypes.sizeof(ctypes.c_long) < 8:
        untested(
            Need.ARCHITECTURE,
            "needs a 64-bit process: what a 32-bit one can ask for depends on its kernel and its libc",
        )
    with fails_with(EOVERFLOW):
        mmap(None, 2 * page, PROT_READ, MAP_SHARED, memfd(size=page), (1 << 63) - page)
