"""madvise(2), mlock(2), mlockall(2): what becomes of pages, and which stay in memory."""

from __future__ import annotations

import os
from errno import EINVAL, ENOMEM, EPERM

import pytest

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import (
    MADV_DONTNEED,
    MADV_POPULATE_WRITE,
    MADV_REMOVE,
    MAP_PRIVATE,
    MCL_CURRENT,
    MCL_FUTURE,
    capabilities,
    madvise,
    mincore,
    mlock,
    mlockall,
    mmap,
    munlock,
    munlockall,
    munmap,
)

from ..credentials import OTHER_GROUP, STRANGER, become, limit_process
from ..memory import APART, free_range, locked, resident


@clause("madvise.dontneed-anon-zero", "madvise(2)", "MADV_DONTNEED")
def test_memory_that_is_not_needed_is_zero_again(file, opened, mapping, page):
    """After MADV_DONTNEED private anonymous memory is zeros, and a private mapping of a file is what the file holds."""
    anonymous, private = mapping(None, page), mapping(opened(file, os.O_RDONLY), page, flags=MAP_PRIVATE)
    for there in (anonymous, private):
        there.buf[:] = b"x" * page
        there.advise(MADV_DONTNEED)
    assert (bytes(anonymous.buf), bytes(private.buf)) == (bytes(page), b"a" * page)


@clause("madvise.remove-punches", "madvise(2)", "MADV_REMOVE")
def test_pages_can_be_taken_out_of_a_file(memfd, mapping, page):
    """MADV_REMOVE frees the pages of a shared mapping and their place in the file: both read as zeros; the size stays."""
    fd = memfd(size=2 * page)
    there = mapping(fd, 2 * page)
    there.buf[:] = b"x" * (2 * page)
    there.advise(MADV_REMOVE, 0, page)
    assert os.pread(fd, 3 * page, 0) == bytes(there.buf) == bytes(page) + b"x" * page


@clause("madvise.populate_write", "madvise(2)", "MADV_POPULATE_WRITE", since="5.14")
def test_pages_can_be_brought_in_later(mapping, page):
    """MADV_POPULATE_WRITE brings the pages of the range into memory, as a store to each of them would."""
    there = mapping(None, 4 * page, flags=APART)
    madvise(there.address, 2 * page, MADV_POPULATE_WRITE)
    assert resident(there.address, 4 * page) == [True, True, False, False]


@pytest.mark.parametrize("case", ["unaligned address", "unknown advice"])
@clause("madvise.errors", "madvise(2)", "ERRORS", errno=EINVAL)
def test_advice_that_is_none_is_refused(mapping, page, case):
    """An address that is not aligned, and advice that there is not, are refused."""
    address = mapping(None, page).address
    with fails_with(EINVAL):
        madvise(address + 1, page, MADV_DONTNEED) if case == "unaligned address" else madvise(address, page, 9999)


@clause("madvise.unmapped-enomem", "madvise(2)", "ERRORS", errno=ENOMEM)
def test_advice_about_what_is_not_mapped(page):
    """Advice for a range that is not mapped is refused."""
    with fails_with(ENOMEM):
        madvise(free_range(page), page, MADV_DONTNEED)


@clause("mlock.locks", "mlock(2)", "DESCRIPTION")
def test_locked_pages_are_in_memory(fork, page):
    """mlock brings every page of which the range has a part into memory and locks it; munlock unlocks; locks do not stack."""

    def life() -> list[int]:
        before, address = locked(), mmap(None, 4 * page, flags=APART)
        try:
            mlock(address + 1, page)
            mlock(address, page)
        except OSError as error:
            untested(f"needs 2 pages of RLIMIT_MEMLOCK: {error.strerror}")
        assert resident(address, 4 * page) == [True, True, False, False]
        after = [locked() - before]
        munlock(address, page)
        after.append(locked() - before)
        munmap(address, 4 * page)
        return [count // page for count in (*after, locked() - before)]

    assert fork(life).result() == [2, 1, 0]


@clause("mlock.not-inherited", "mlock(2)", "NOTES")
def test_locks_are_not_inherited(fork, page):
    """A forked child does not have its parent's locks."""

    def life() -> tuple[bool, int]:
        try:
            mlock(mmap(None, page), page)
        except OSError as error:
            untested(f"needs a page of RLIMIT_MEMLOCK: {error.strerror}")
        return locked() > 0, fork(locked).result()

    assert fork(life).result() == (True, 0)


@clause("mlock.rlimit-enomem", "mlock(2)", "ERRORS", errno=ENOMEM)
def test_only_so_much_may_be_locked(fork, page):
    """Who has no privilege may lock as much as RLIMIT_MEMLOCK allows, and not a page more."""

    def life() -> None:
        if capabilities() != 0:
            become(STRANGER, OTHER_GROUP)
        limit_process("MEMLOCK", 2 * page, 2 * page)
        address = mmap(None, 3 * page)
        with fails_with(ENOMEM):
            mlock(address, 3 * page)
        mlock(address, 2 * page)

    fork(life).result()


@clause("mlock.rlimit-zero-eperm", "mlock(2)", "ERRORS", errno=EPERM)
def test_nothing_may_be_locked_with_a_limit_of_nothing(fork, page):
    """With a RLIMIT_MEMLOCK of 0 who has no privilege may not lock at all."""

    def life() -> None:
        if capabilities() != 0:
            become(STRANGER, OTHER_GROUP)
        limit_process("MEMLOCK", 0, 0)
        with fails_with(EPERM):
            mlock(mmap(None, page), page)

    fork(life).result()


@clause("mlock.unmapped-enomem", "mlock(2)", "ERRORS", errno=ENOMEM)
def test_what_is_not_mapped_cannot_be_locked(page):
    """A range in which pages are not mapped is refused."""
    with fails_with(ENOMEM):
        mlock(free_range(page), page)


@clause("mlockall.future", "mlockall(2)", "MCL_FUTURE")
def test_all_that_will_be_mapped_can_be_locked(fork, page):
    """After mlockall with MCL_FUTURE what is mapped is locked from the start, until munlockall."""

    def life() -> list[bool]:
        before = mmap(None, 4 * page, flags=APART)
        try:
            mlockall(MCL_FUTURE)
            address = mmap(None, 4 * page, flags=APART)
        except OSError as error:
            untested(f"needs a larger RLIMIT_MEMLOCK: {error.strerror}")
        assert mincore(address, 4 * page) == [True] * 4
        munlockall()
        assert locked() == 0
        assert resident(before, 4 * page) == [False] * 4
        return resident(mmap(None, 4 * page, flags=APART), 4 * page)

    assert fork(life).result() == [False] * 4


@clause("mlockall.errors", "mlockall(2)", "ERRORS", errno=EINVAL)
def test_what_to_lock_must_be_said(fork):
    """mlockall without a flag, or with one that there is not, is refused."""

    def life() -> None:
        for flags in (0, 1 << 20, MCL_CURRENT | 1 << 20):
            with fails_with(EINVAL):
                mlockall(flags)

    fork(life).result()
