"""madvise(2), mlock(2), mlockall(2): discarding, populating and locking pages."""

from __future__ import annotations

import os
from errno import EINVAL, ENOMEM, EPERM

import pytest

from pytest_ipc import Need, clause, fails_with, untested
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
def test_dontneed_discards_private_pages(file, opened, mapping, page):
    """madvise() with MADV_DONTNEED resets private anonymous memory to
    zeros and a private file mapping to the file's content.
    """
    anonymous, private = mapping(None, page), mapping(opened(file, os.O_RDONLY), page, flags=MAP_PRIVATE)
    for memory in (anonymous, private):
        memory.buf[:] = b"x" * page
        memory.advise(MADV_DONTNEED)
    assert (bytes(anonymous.buf), bytes(private.buf)) == (bytes(page), b"a" * page)


@clause("madvise.remove-punches", "madvise(2)", "MADV_REMOVE")
def test_remove_frees_pages_of_the_file(memfd, mapping, page):
    """madvise() with MADV_REMOVE frees the range of a shared mapping
    and of its file, which read as zeros; the size stays.
    """
    fd = memfd(size=2 * page)
    shared = mapping(fd, 2 * page)
    shared.buf[:] = b"x" * (2 * page)
    shared.advise(MADV_REMOVE, 0, page)
    assert os.pread(fd, 3 * page, 0) == bytes(shared.buf) == bytes(page) + b"x" * page


@clause("madvise.populate_write", "madvise(2)", "MADV_POPULATE_WRITE", since="5.14")
def test_populate_write_populates_the_range(mapping, page):
    """madvise() with MADV_POPULATE_WRITE makes the pages of the range resident, and no others."""
    memory = mapping(None, 4 * page, flags=APART)
    madvise(memory.address, 2 * page, MADV_POPULATE_WRITE)
    assert resident(memory.address, 4 * page) == [True, True, False, False]


@pytest.mark.parametrize("case", ["unaligned address", "unknown advice"])
@clause("madvise.errors", "madvise(2)", "ERRORS", errno=EINVAL)
def test_invalid_address_or_advice_fails(mapping, page, case):
    """madvise() fails with EINVAL for an address that is not page-aligned and for an invalid advice."""
    address = mapping(None, page).address
    with fails_with(EINVAL):
        madvise(address + 1, page, MADV_DONTNEED) if case == "unaligned address" else madvise(address, page, 9999)


@clause("madvise.unmapped-enomem", "madvise(2)", "ERRORS", errno=ENOMEM)
def test_advice_for_unmapped_range_fails(page):
    """madvise() fails with ENOMEM for a range that is not mapped."""
    with fails_with(ENOMEM):
        madvise(free_range(page), page, MADV_DONTNEED)


@clause("mlock.locks", "mlock(2)", "DESCRIPTION")
def test_mlock_locks_whole_pages(fork, page):
    """mlock() makes resident and locks every page that contains part of
    the range; one munlock() undoes several mlock() calls.
    """

    def child() -> list[int]:
        before, address = locked(), mmap(None, 4 * page, flags=APART)
        try:
            mlock(address + 1, page)
            mlock(address, page)
        except OSError as error:
            untested(Need.PROCESS_LIMITS, f"needs 2 pages of RLIMIT_MEMLOCK: {error.strerror}")
        assert resident(address, 4 * page) == [True, True, False, False]
        after = [locked() - before]
        munlock(address, page)
        after.append(locked() - before)
        munmap(address, 4 * page)
        return [count // page for count in (*after, locked() - before)]

    assert fork(child).result() == [2, 1, 0]


@clause("mlock.not-inherited", "mlock(2)", "NOTES")
def test_locks_are_not_inherited(fork, page):
    """Memory locks are not inherited by a child created with fork()."""

    def child() -> tuple[bool, int]:
        try:
            mlock(mmap(None, page), page)
        except OSError as error:
            untested(Need.PROCESS_LIMITS, f"needs a page of RLIMIT_MEMLOCK: {error.strerror}")
        return locked() > 0, fork(locked).result()

    assert fork(child).result() == (True, 0)


@clause("mlock.rlimit-enomem", "mlock(2)", "ERRORS", errno=ENOMEM)
def test_rlimit_memlock_limits_mlock(fork, page):
    """mlock() without privilege locks up to RLIMIT_MEMLOCK, and fails with ENOMEM for one page more."""

    def child() -> None:
        if capabilities() != 0:
            become(STRANGER, OTHER_GROUP)
        limit_process("MEMLOCK", 2 * page, 2 * page)
        address = mmap(None, 3 * page)
        with fails_with(ENOMEM):
            mlock(address, 3 * page)
        mlock(address, 2 * page)

    fork(child).result()


@clause("mlock.rlimit-zero-eperm", "mlock(2)", "ERRORS", errno=EPERM)
def test_mlock_with_limit_0_fails(fork, page):
    """mlock() without privilege fails with EPERM if RLIMIT_MEMLOCK is 0."""

    def child() -> None:
        if capabilities() != 0:
            become(STRANGER, OTHER_GROUP)
        limit_process("MEMLOCK", 0, 0)
        with fails_with(EPERM):
            mlock(mmap(None, page), page)

    fork(child).result()


@clause("mlock.unmapped-enomem", "mlock(2)", "ERRORS", errno=ENOMEM)
def test_mlock_of_unmapped_range_fails(page):
    """mlock() fails with ENOMEM for a range that is not mapped."""
    with fails_with(ENOMEM):
        mlock(free_range(page), page)


@clause("mlockall.future", "mlockall(2)", "MCL_FUTURE")
def test_mlockall_future_locks_later_mappings(fork, page):
    """mlockall() with MCL_FUTURE locks later mappings when they are created, until munlockall()."""

    def child() -> list[bool]:
        before = mmap(None, 4 * page, flags=APART)
        try:
            mlockall(MCL_FUTURE)
            address = mmap(None, 4 * page, flags=APART)
        except OSError as error:
            untested(Need.PROCESS_LIMITS, f"needs a larger RLIMIT_MEMLOCK: {error.strerror}")
        assert mincore(address, 4 * page) == [True] * 4
        munlockall()
        assert locked() == 0
        assert resident(before, 4 * page) == [False] * 4
        return resident(mmap(None, 4 * page, flags=APART), 4 * page)

    assert fork(child).result() == [False] * 4


@clause("mlockall.errors", "mlockall(2)", "ERRORS", errno=EINVAL)
def test_mlockall_with_invalid_flags_fails(fork):
    """mlockall() fails with EINVAL without a flag and with an unknown flag."""

    def child() -> None:
        for flags in (0, 1 << 20, MCL_CURRENT | 1 << 20):
            with fails_with(EINVAL):
                mlockall(flags)

    fork(child).result()
