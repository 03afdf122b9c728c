"""msync(2): flushing stores to the file."""

from __future__ import annotations

import os
from errno import EBUSY, EINVAL, ENOMEM

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import MS_ASYNC, MS_INVALIDATE, MS_SYNC, mlock, msync, munlock

from ..credentials import type_of_file_system
from ..memory import free_range, kilobytes


@pytest.mark.parametrize("flags", [MS_SYNC, MS_ASYNC, MS_SYNC | MS_INVALIDATE, MS_ASYNC | MS_INVALIDATE])
@clause("msync.basic-flags", "msync(2)", "DESCRIPTION")
def test_msync_flushes_stores(file, opened, mapping, page, flags):
    """msync() with MS_SYNC or MS_ASYNC, with and without MS_INVALIDATE,
    succeeds, and the stores are visible in the file and other mappings.
    """
    shared, other = mapping(opened(file, os.O_RDWR), 2 * page), mapping(opened(file, os.O_RDWR), 2 * page)
    shared.buf[page] = ord("x")
    msync(shared.address, 2 * page, flags)
    assert file.read_bytes()[page - 1 : page + 2] == b"axb"
    assert other.buf[page] == ord("x")


@clause("msync.neither-flag-linux", "msync(2)", "VERSIONS")
def test_no_flag_is_accepted(file, opened, mapping, page):
    """msync() without MS_SYNC and MS_ASYNC succeeds on Linux."""
    msync(mapping(opened(file, os.O_RDWR), page).address, page, 0)


@clause("msync.both-flags-einval", "msync(2)", "ERRORS", errno=EINVAL)
def test_both_flags_fail(file, opened, mapping, page):
    """msync() with MS_SYNC | MS_ASYNC fails with EINVAL."""
    with fails_with(EINVAL):
        msync(mapping(opened(file, os.O_RDWR), page).address, page, MS_SYNC | MS_ASYNC)


@clause("msync.unknown-flag-einval", "msync(2)", "ERRORS", errno=EINVAL)
def test_unknown_flag_fails(file, opened, mapping, page):
    """msync() fails with EINVAL for an unknown flag."""
    with fails_with(EINVAL):
        msync(mapping(opened(file, os.O_RDWR), page).address, page, MS_SYNC | 64)


@clause("msync.unaligned-einval", "msync(2)", "ERRORS", errno=EINVAL)
def test_unaligned_address_fails(file, opened, mapping, page):
    """msync() fails with EINVAL for an address that is not a multiple of the page size."""
    with fails_with(EINVAL):
        msync(mapping(opened(file, os.O_RDWR), page).address + 1, page - 1)


@clause("msync.unmapped-enomem", "msync(2)", "ERRORS", errno=ENOMEM)
def test_unmapped_range_fails(page):
    """msync() fails with ENOMEM for a range that is not mapped."""
    with fails_with(ENOMEM):
        msync(free_range(page), page)


@clause("msync.locked-invalidate-ebusy", "msync(2)", "ERRORS", errno=EBUSY)
def test_locked_memory_cannot_be_invalidated(file, opened, mapping, page):
    """msync() with MS_INVALIDATE fails with EBUSY for locked memory, and succeeds after munlock()."""
    shared = mapping(opened(file, os.O_RDWR), page)
    try:
        mlock(shared.address, page)
    except OSError as error:
        untested(Need.PROCESS_LIMITS, f"needs a page of RLIMIT_MEMLOCK: {error.strerror}")
    with fails_with(EBUSY):
        msync(shared.address, page, MS_SYNC | MS_INVALIDATE)
    munlock(shared.address, page)
    msync(shared.address, page, MS_SYNC | MS_INVALIDATE)


@clause("msync.dirty-cleared", "msync(2)", "DESCRIPTION")
def test_flushed_pages_are_clean(file, opened, mapping, page):
    """msync() with MS_SYNC writes the pages of the range, which are then clean."""
    shared = mapping(opened(file, os.O_RDWR), 2 * page)
    shared.buf[0] = shared.buf[page] = 7
    try:
        before = kilobytes(shared.address, "Shared_Dirty", "Private_Dirty")
    except OSError:
        untested(Need.PROC_FILES, "needs /proc/self/smaps")
    if type_of_file_system(file) in ("tmpfs", "ramfs", "overlay"):
        untested(Need.FILE_SYSTEM, "needs a file system that writes to a disk")
    assert before == 2 * page // 1024
    msync(shared.address, 2 * page)
    assert kilobytes(shared.address, "Shared_Dirty", "Private_Dirty") == 0
