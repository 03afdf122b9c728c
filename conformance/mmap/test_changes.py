"""munmap(2), mprotect(2), mremap(2): changing mappings."""

from __future__ import annotations

import os
import sys
from errno import EACCES, EAGAIN, EFAULT, EINVAL, ENOMEM
from signal import SIGSEGV

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import (
    MAP_ANONYMOUS,
    MAP_PRIVATE,
    MAP_SHARED,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    capabilities,
    mlock,
    mmap,
    mprotect,
    mremap,
    munmap,
)

from ..credentials import OTHER_GROUP, STRANGER, become, limit_process
from ..memory import free_range, peek, poke


@clause("munmap.nothing-mapped-ok", "munmap(2)", "DESCRIPTION")
def test_munmap_of_unmapped_range_succeeds(page):
    """munmap() of a range that contains no mapped pages succeeds."""
    munmap(free_range(page), page)


@pytest.mark.parametrize("case", ["unaligned address", "length of zero", "beyond the address space"])
@clause("munmap.errors", "munmap(2)", "ERRORS", errno=EINVAL)
def test_munmap_of_invalid_range_fails(mapping, fork, page, case):
    """munmap() fails with EINVAL for an unaligned address, a length of 0
    and a range beyond the address space, and unmaps nothing.
    """
    address = mapping(None, page).address

    def child() -> bytes:
        with fails_with(EINVAL):
            match case:
                case "unaligned address":
                    munmap(address + 1, page - 1)
                case "length of zero":
                    munmap(address, 0)
                case "beyond the address space":
                    munmap(address, sys.maxsize)
        return peek(address, 1)

    assert fork(child).result() == b"\0"


@clause("mprotect.changes-access", "mprotect(2)", "DESCRIPTION")
def test_mprotect_changes_the_pages_of_the_range(mapping, fork, page):
    """mprotect() changes the access of the pages that contain part of
    the range, and of no others; a violation raises SIGSEGV.
    """
    memory = mapping(None, 3 * page)
    mprotect(memory.address + page, 1, PROT_READ)
    assert [fork(poke, memory.address + number * page, 1).wait() for number in range(3)] == [0, -SIGSEGV, 0]
    mprotect(memory.address + page, page, PROT_NONE)
    assert fork(peek, memory.address + page, 1).wait() == -SIGSEGV
    mprotect(memory.address + page, page, PROT_READ | PROT_WRITE)
    assert fork(poke, memory.address + page, 1).wait() == 0


@clause("mprotect.rdonly-file-eacces", "mprotect(2)", "ERRORS", errno=EACCES)
def test_read_only_shared_mapping_cannot_become_writable(file, opened, mapping, page):
    """mprotect() fails with EACCES for PROT_WRITE on a shared mapping of
    a file opened read-only; a private one becomes writable.
    """
    fd = opened(file, os.O_RDONLY)
    with fails_with(EACCES):
        mprotect(mapping(fd, page, PROT_READ).address, page, PROT_READ | PROT_WRITE)
    private = mapping(fd, page, PROT_READ, MAP_PRIVATE)
    private.protect(PROT_READ | PROT_WRITE)
    private.buf[0] = 7


@clause("mprotect.unaligned-einval", "mprotect(2)", "ERRORS", errno=EINVAL)
def test_mprotect_of_unaligned_address_fails(mapping, page):
    """mprotect() fails with EINVAL for an address that is not page-aligned, and the protection stays."""
    memory = mapping(None, page)
    with fails_with(EINVAL):
        mprotect(memory.address + 1, page - 1, PROT_NONE)
    memory.buf[0] = 7


@clause("mprotect.unmapped-enomem", "mprotect(2)", "ERRORS", errno=ENOMEM)
def test_mprotect_of_unmapped_range_fails(page):
    """mprotect() fails with ENOMEM for a range that is not mapped."""
    with fails_with(ENOMEM):
        mprotect(free_range(page), page, PROT_READ)


@clause("mremap.grow", "mremap(2)", "DESCRIPTION")
def test_mremap_enlarges_a_mapping(fork, page):
    """mremap() to a larger size keeps the bytes of a mapping; added anonymous memory is zero."""

    def child() -> bytes:
        old = mmap(None, 2 * page)
        poke(old + page, 7)
        return peek(mremap(old, 2 * page, 64 * page, MREMAP_MAYMOVE), 64 * page)

    assert fork(child).result() == bytes(page) + b"\x07" + bytes(63 * page - 1)


@clause("mremap.shrink", "mremap(2)", "DESCRIPTION")
def test_mremap_shrinks_a_mapping(fork, page):
    """mremap() to a smaller size keeps the address and unmaps the pages at the end."""

    def child(touched: int) -> bytes:
        address = mmap(None, 3 * page)
        if mremap(address, 3 * page, page, 0) != address:
            raise AssertionError("the mapping was moved")
        return peek(address + touched * page, 1)

    assert [fork(child, touched).wait() for touched in (0, 1, 2)] == [0, -SIGSEGV, -SIGSEGV]


@clause("mremap.maymove-needed-enomem", "mremap(2)", "ERRORS", errno=ENOMEM)
def test_without_maymove_a_mapping_cannot_move(mapping, fork, page):
    """mremap() without MREMAP_MAYMOVE fails with ENOMEM if the mapping cannot grow in place, and changes nothing."""
    memory = mapping(None, 3 * page)
    memory.buf[:page] = b"x" * page

    def child() -> bytes:
        with fails_with(ENOMEM):
            mremap(memory.address, page, 2 * page, 0)
        return peek(memory.address, 3 * page)

    assert fork(child).result() == b"x" * page + bytes(2 * page)


@clause("mremap.maymove", "mremap(2)", "MREMAP_MAYMOVE")
def test_maymove_moves_a_mapping(fork, page):
    """mremap() with MREMAP_MAYMOVE moves a mapping that cannot grow at
    its address, with its bytes, and unmaps the old range.
    """

    def child() -> bytes:
        old = mmap(None, 3 * page)
        poke(old, 7)
        new = mremap(old, page, 2 * page, MREMAP_MAYMOVE)
        if new == old or peek(new, 2 * page) != b"\x07" + bytes(2 * page - 1):
            raise AssertionError("the mapping was not moved with its bytes")
        return peek(old, 1)

    assert fork(child).wait() == -SIGSEGV


@clause("mremap.fixed", "mremap(2)", "MREMAP_FIXED")
def test_fixed_moves_to_the_given_address(mapping, fork, page):
    """mremap() with MREMAP_FIXED moves the mapping to the given address and replaces what was mapped there."""
    target = mapping(None, page)
    target.buf[:] = b"t" * page

    def child() -> tuple[int, bytes]:
        source = mmap(None, page)
        poke(source, 7)
        address = mremap(source, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, target.address)
        return address, peek(target.address, page)

    assert fork(child).result() == (target.address, b"\x07" + bytes(page - 1))


@clause("mremap.dontunmap", "mremap(2)", "MREMAP_DONTUNMAP", since="5.7")
def test_dontunmap_keeps_the_old_range_mapped(mapping, fork, page):
    """mremap() with MREMAP_DONTUNMAP moves the bytes to a new address and keeps the old range mapped, as zeros."""
    memory = mapping(None, page)
    memory.buf[:4] = b"move"

    def child() -> tuple[bytes, bytes]:
        new = mremap(memory.address, page, page, MREMAP_MAYMOVE | MREMAP_DONTUNMAP)
        return peek(new, 4), peek(memory.address, page)

    assert fork(child).result() == (b"move", bytes(page))


@clause("mremap.shared-second-mapping", "mremap(2)", "DESCRIPTION")
def test_old_size_0_makes_a_second_mapping(mapping, fork, page):
    """mremap() with an old size of 0 makes a second mapping of a shared
    mapping's pages, and fails with EINVAL for a private one.
    """
    shared, private = mapping(None, page, flags=MAP_SHARED), mapping(None, page)

    def child() -> None:
        second = mremap(shared.address, 0, page, MREMAP_MAYMOVE)
        poke(second, 7)
        assert second != shared.address
        with fails_with(EINVAL):
            mremap(private.address, 0, page, MREMAP_MAYMOVE)

    fork(child).result()
    assert shared.buf[0] == 7


@pytest.mark.parametrize(
    "case", ["unaligned address", "new size of zero", "unknown flag", "fixed without maymove", "overlap"]
)
@clause("mremap.errors", "mremap(2)", "ERRORS", errno=EINVAL)
def test_mremap_with_invalid_arguments_fails(mapping, fork, page, case):
    """mremap() fails with EINVAL for an unaligned address, a new size of 0,
    an unknown flag, MREMAP_FIXED alone and overlapping ranges.
    """
    memory = mapping(None, 2 * page)
    memory.buf[0] = 7
    address = memory.address

    def child() -> bytes:
        with fails_with(EINVAL):
            match case:
                case "unaligned address":
                    mremap(address + 1, page, 2 * page, MREMAP_MAYMOVE)
                case "new size of zero":
                    mremap(address, page, 0, MREMAP_MAYMOVE)
                case "unknown flag":
                    mremap(address, page, page, 64)
                case "fixed without maymove":
                    mremap(address, page, page, MREMAP_FIXED, free_range(page))
                case "overlap":
                    mremap(address, 2 * page, 2 * page, MREMAP_MAYMOVE | MREMAP_FIXED, address + page)
        return peek(address, 1)

    assert fork(child).result() == b"\x07"


@clause("mremap.unmapped-efault", "mremap(2)", "ERRORS", errno=EFAULT)
def test_mremap_of_unmapped_range_fails(page):
    """mremap() fails with EFAULT for a range that is not mapped."""
    with fails_with(EFAULT):
        mremap(free_range(page), page, 2 * page, MREMAP_MAYMOVE)


@clause("mremap.locked-eagain", "mremap(2)", "ERRORS", errno=EAGAIN)
def test_locked_mapping_cannot_exceed_the_limit(fork, page):
    """mremap() of a locked mapping without privilege fails with EAGAIN
    if it would exceed RLIMIT_MEMLOCK, and changes nothing.
    """

    def child() -> None:
        if capabilities() != 0:
            become(STRANGER, OTHER_GROUP)
        limit_process("MEMLOCK", 2 * page, 2 * page)
        address = mmap(None, 2 * page, flags=MAP_PRIVATE | MAP_ANONYMOUS)
        poke(address, 7)
        mlock(address, 2 * page)
        with fails_with(EAGAIN):
            mremap(address, 2 * page, 3 * page, MREMAP_MAYMOVE)
        assert peek(address, 1) == b"\x07"

    fork(child).result()
