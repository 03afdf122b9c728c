"""msync(2): what was stored gets to the file."""

from __future__ import annotations

import os
from errno import EBUSY, EINVAL, ENOMEM

import pytest

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import MS_ASYNC, MS_INVALIDATE, MS_SYNC, mlock, msync, munlock

from ..credentials import type_of_file_system
from ..memory import free_range, kilobytes


@pytest.mark.parametrize("flags", [MS_SYNC, MS_ASYNC, MS_SYNC | MS_INVALIDATE, MS_ASYNC | MS_INVALIDATE])
@clause("msync.basic-flags", "msync(2)", "DESCRIPTION")
def test_what_was_stored_can_be_flushed(file, opened, mapping, page, flags):
    """msync takes MS_SYNC or MS_ASYNC, with MS_INVALIDATE or without; the file then holds what was stored, also for others."""
    there, other = mapping(opened(file, os.O_RDWR), 2 * page), mapping(opened(file, os.O_RDWR), 2 * page)
    there.buf[page] = ord("x")
    msync(there.address, 2 * page, flags)
    assert file.read_bytes()[page - 1 : page + 2] == b"axb"
    assert other.buf[page] == ord("x")


@clause("msync.neither-flag-linux", "msync(2)", "VERSIONS")
def test_neither_flag_is_taken_too(file, opened, mapping, page):
    """On Linux msync with neither MS_SYNC nor MS_ASYNC is accepted."""
    msync(mapping(opened(file, os.O_RDWR), page).address, page, 0)


@clause("msync.both-flags-einval", "msync(2)", "ERRORS", errno=EINVAL)
def test_both_flags_are_refused(file, opened, mapping, page):
    """MS_SYNC and MS_ASYNC together are refused."""
    with fails_with(EINVAL):
        msync(mapping(opened(file, os.O_RDWR), page).address, page, MS_SYNC | MS_ASYNC)


@clause("msync.unknown-flag-einval", "msync(2)", "ERRORS", errno=EINVAL)
def test_an_unknown_flag_is_refused(file, opened, mapping, page):
    """A flag that msync does not have is refused."""
    with fails_with(EINVAL):
        msync(mapping(opened(file, os.O_RDWR), page).address, page, MS_SYNC | 64)


@clause("msync.unaligned-einval", "msync(2)", "ERRORS", errno=EINVAL)
def test_an_address_inside_a_page_is_refused(file, opened, mapping, page):
    """An address that is no multiple of the page size is refused."""
    with fails_with(EINVAL):
        msync(mapping(opened(file, os.O_RDWR), page).address + 1, page - 1)


@clause("msync.unmapped-enomem", "msync(2)", "ERRORS", errno=ENOMEM)
def test_what_is_not_mapped_cannot_be_flushed(page):
    """A range in which memory is not mapped is refused."""
    with fails_with(ENOMEM):
        msync(free_range(page), page)


@clause("msync.locked-invalidate-ebusy", "msync(2)", "ERRORS", errno=EBUSY)
def test_locked_memory_cannot_be_invalidated(file, opened, mapping, page):
    """MS_INVALIDATE is refused for memory that is locked, and taken when it is not."""
    there = mapping(opened(file, os.O_RDWR), page)
    try:
        mlock(there.address, page)
    except OSError as error:
        untested(f"needs a page of RLIMIT_MEMLOCK: {error.strerror}")
    with fails_with(EBUSY):
        msync(there.address, page, MS_SYNC | MS_INVALIDATE)
    munlock(there.address, page)
    msync(there.address, page, MS_SYNC | MS_INVALIDATE)


@clause("msync.dirty-cleared", "msync(2)", "DESCRIPTION")
def test_flushed_pages_are_clean(file, opened, mapping, page):
    """After msync with MS_SYNC the pages of the range are written: the kernel counts them as clean."""
    there = mapping(opened(file, os.O_RDWR), 2 * page)
    there.buf[0] = there.buf[page] = 7
    try:
        before = kilobytes(there.address, "Shared_Dirty", "Private_Dirty")
    except OSError:
        untested("needs /proc/self/smaps")
    if type_of_file_system(file) in ("tmpfs", "ramfs", "overlay"):
        untested("needs a file system that writes to a disk")
    assert before == 2 * page // 1024
    msync(there.address, 2 * page)
    assert kilobytes(there.address, "Shared_Dirty", "Private_Dirty") == 0
