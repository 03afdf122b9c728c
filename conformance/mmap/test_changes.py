"""munmap(2), mprotect(2), mremap(2): changing what is mapped."""

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
def test_unmapping_nothing_is_no_error(page):
    """It is no error to unmap a range in which nothing is mapped."""
    munmap(free_range(page), page)


@pytest.mark.parametrize("case", ["unaligned address", "length of zero", "beyond the address space"])
@clause("munmap.errors", "munmap(2)", "ERRORS", errno=EINVAL)
def test_a_range_that_is_none_cannot_be_unmapped(mapping, fork, page, case):
    """An address that is not aligned, a length of 0 and a range that no address space has are refused; nothing is unmapped."""
    address = mapping(None, page).address

    def life() -> bytes:
        with fails_with(EINVAL):
            match case:
                case "unaligned address":
                    munmap(address + 1, page - 1)
                case "length of zero":
                    munmap(address, 0)
                case "beyond the address space":
                    munmap(address, sys.maxsize)
        return peek(address, 1)

    assert fork(life).result() == b"\0"


@clause("mprotect.changes-access", "mprotect(2)", "DESCRIPTION")
def test_protection_is_changed_page_by_page(mapping, fork, page):
    """mprotect changes what may be done with the pages of the range, and with no others; a violation is a SIGSEGV."""
    there = mapping(None, 3 * page)
    mprotect(there.address + page, 1, PROT_READ)
    assert [fork(poke, there.address + number * page, 1).wait() for number in range(3)] == [0, -SIGSEGV, 0]
    mprotect(there.address + page, page, PROT_NONE)
    assert fork(peek, there.address + page, 1).wait() == -SIGSEGV
    mprotect(there.address + page, page, PROT_READ | PROT_WRITE)
    assert fork(poke, there.address + page, 1).wait() == 0


@clause("mprotect.rdonly-file-eacces", "mprotect(2)", "ERRORS", errno=EACCES)
def test_a_shared_mapping_cannot_be_given_what_its_file_was_not_opened_for(file, opened, mapping, page):
    """A shared mapping of a file that is open for reading only cannot be made writable; a private one can."""
    fd = opened(file, os.O_RDONLY)
    with fails_with(EACCES):
        mprotect(mapping(fd, page, PROT_READ).address, page, PROT_READ | PROT_WRITE)
    private = mapping(fd, page, PROT_READ, MAP_PRIVATE)
    private.protect(PROT_READ | PROT_WRITE)
    private.buf[0] = 7


@clause("mprotect.unaligned-einval", "mprotect(2)", "ERRORS", errno=EINVAL)
def test_protection_begins_with_a_page(mapping, page):
    """An address that is not aligned to pages is refused, and the protection stays."""
    there = mapping(None, page)
    with fails_with(EINVAL):
        mprotect(there.address + 1, page - 1, PROT_NONE)
    there.buf[0] = 7


@clause("mprotect.unmapped-enomem", "mprotect(2)", "ERRORS", errno=ENOMEM)
def test_what_is_not_mapped_cannot_be_protected(page):
    """A range in which pages are not mapped is refused."""
    with fails_with(ENOMEM):
        mprotect(free_range(page), page, PROT_READ)


@clause("mremap.grow", "mremap(2)", "DESCRIPTION")
def test_a_mapping_can_be_made_longer(fork, page):
    """A mapping that is made longer keeps its bytes; what it gains is, of anonymous memory, zeros."""

    def life() -> bytes:
        old = mmap(None, 2 * page)
        poke(old + page, 7)
        return peek(mremap(old, 2 * page, 64 * page, MREMAP_MAYMOVE), 64 * page)

    assert fork(life).result() == bytes(page) + b"\x07" + bytes(63 * page - 1)


@clause("mremap.shrink", "mremap(2)", "DESCRIPTION")
def test_a_mapping_can_be_made_shorter(fork, page):
    """A mapping that is made shorter stays where it is; the pages at its end are gone."""

    def life(touched: int) -> bytes:
        address = mmap(None, 3 * page)
        if mremap(address, 3 * page, page, 0) != address:
            raise AssertionError("it was moved")
        return peek(address + touched * page, 1)

    assert [fork(life, touched).wait() for touched in (0, 1, 2)] == [0, -SIGSEGV, -SIGSEGV]


@clause("mremap.maymove-needed-enomem", "mremap(2)", "ERRORS", errno=ENOMEM)
def test_without_maymove_a_mapping_stays_where_it_is(mapping, fork, page):
    """Where there is no room behind a mapping it can grow only with MREMAP_MAYMOVE, by moving; without it stays as it was."""
    room = mapping(None, 3 * page)
    room.buf[:page] = b"x" * page

    def life() -> bytes:
        with fails_with(ENOMEM):
            mremap(room.address, page, 2 * page, 0)
        return peek(room.address, 3 * page)

    assert fork(life).result() == b"x" * page + bytes(2 * page)


@clause("mremap.maymove", "mremap(2)", "MREMAP_MAYMOVE")
def test_a_mapping_may_move(fork, page):
    """With MREMAP_MAYMOVE a mapping that has no room to grow is moved with its bytes; the old address is not mapped any more."""

    def life() -> bytes:
        old = mmap(None, 3 * page)
        poke(old, 7)
        new = mremap(old, page, 2 * page, MREMAP_MAYMOVE)
        if new == old or peek(new, 2 * page) != b"\x07" + bytes(2 * page - 1):
            raise AssertionError("it was not moved with its bytes")
        return peek(old, 1)

    assert fork(life).wait() == -SIGSEGV


@clause("mremap.fixed", "mremap(2)", "MREMAP_FIXED")
def test_a_mapping_can_be_moved_to_an_address(mapping, fork, page):
    """With MREMAP_FIXED the mapping is moved to the address that is given, and replaces what was mapped there."""
    target = mapping(None, page)
    target.buf[:] = b"t" * page

    def life() -> tuple[int, bytes]:
        source = mmap(None, page)
        poke(source, 7)
        address = mremap(source, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, target.address)
        return address, peek(target.address, page)

    assert fork(life).result() == (target.address, b"\x07" + bytes(page - 1))


@clause("mremap.dontunmap", "mremap(2)", "MREMAP_DONTUNMAP", since="5.7")
def test_the_old_place_can_stay_mapped(mapping, fork, page):
    """With MREMAP_DONTUNMAP the bytes go to a new address, and the old place stays mapped, as zeros."""
    there = mapping(None, page)
    there.buf[:4] = b"move"

    def life() -> tuple[bytes, bytes]:
        new = mremap(there.address, page, page, MREMAP_MAYMOVE | MREMAP_DONTUNMAP)
        return peek(new, 4), peek(there.address, page)

    assert fork(life).result() == (b"move", bytes(page))


@clause("mremap.shared-second-mapping", "mremap(2)", "DESCRIPTION")
def test_an_old_size_of_zero_makes_a_second_mapping(mapping, fork, page):
    """With an old size of 0 a shared mapping gets a second mapping of the same pages; a private one is refused."""
    shared, private = mapping(None, page, flags=MAP_SHARED), mapping(None, page)

    def life() -> None:
        second = mremap(shared.address, 0, page, MREMAP_MAYMOVE)
        poke(second, 7)
        assert second != shared.address
        with fails_with(EINVAL):
            mremap(private.address, 0, page, MREMAP_MAYMOVE)

    fork(life).result()
    assert shared.buf[0] == 7


@pytest.mark.parametrize(
    "case", ["unaligned address", "new size of zero", "unknown flag", "fixed without maymove", "overlap"]
)
@clause("mremap.errors", "mremap(2)", "ERRORS", errno=EINVAL)
def test_what_no_mapping_can_become_is_refused(mapping, fork, page, case):
    """An unaligned address, a new size of 0, an unknown flag, MREMAP_FIXED alone and a new range that overlaps are refused."""
    there = mapping(None, 2 * page)
    there.buf[0] = 7
    address = there.address

    def life() -> bytes:
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

    assert fork(life).result() == b"\x07"


@clause("mremap.unmapped-efault", "mremap(2)", "ERRORS", errno=EFAULT)
def test_what_is_not_mapped_cannot_be_remapped(page):
    """A range that is not mapped, or not wholly by one mapping, is refused."""
    with fails_with(EFAULT):
        mremap(free_range(page), page, 2 * page, MREMAP_MAYMOVE)


@clause("mremap.locked-eagain", "mremap(2)", "ERRORS", errno=EAGAIN)
def test_locked_memory_cannot_grow_beyond_its_limit(fork, page):
    """A locked mapping cannot be made longer than RLIMIT_MEMLOCK allows to who has no privilege; it stays as it was."""

    def life() -> None:
        if capabilities() != 0:
            become(STRANGER, OTHER_GROUP)
        limit_process("MEMLOCK", 2 * page, 2 * page)
        address = mmap(None, 2 * page, flags=MAP_PRIVATE | MAP_ANONYMOUS)
        poke(address, 7)
        mlock(address, 2 * page)
        with fails_with(EAGAIN):
            mremap(address, 2 * page, 3 * page, MREMAP_MAYMOVE)
        assert peek(address, 1) == b"\x07"

    fork(life).result()
