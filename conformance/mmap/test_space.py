"""truncate(2), fallocate(2), posix_fallocate(3): size and space of a mapped file."""

from __future__ import annotations

import os
from contextlib import suppress
from errno import EBADF, EFBIG, EINVAL, EOPNOTSUPP, ESPIPE

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import (
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    FALLOC_FL_ZERO_RANGE,
    fallocate,
    ftruncate,
    posix_fallocate,
)


@clause("ftruncate.extends-with-zeros", "truncate(2)", "DESCRIPTION")
def test_ftruncate_extends_with_zeros(memfd):
    """ftruncate() to a larger size keeps the bytes, adds zeros, and does not change the file offset."""
    fd = memfd()
    os.write(fd, b"abc")
    ftruncate(fd, 10)
    assert (os.pread(fd, 100, 0), os.lseek(fd, 0, os.SEEK_CUR)) == (b"abc" + bytes(7), 3)


@clause("ftruncate.shrinks", "truncate(2)", "DESCRIPTION")
def test_ftruncate_discards_the_end(memfd):
    """ftruncate() to a smaller size discards the bytes beyond the new end."""
    fd = memfd()
    os.write(fd, b"0123456789")
    ftruncate(fd, 3)
    ftruncate(fd, 6)
    assert os.pread(fd, 100, 0) == b"012\0\0\0"


@clause("ftruncate.negative-einval", "truncate(2)", "ERRORS", errno=EINVAL)
def test_negative_length_fails(memfd):
    """ftruncate() fails with EINVAL for a negative length, and the file keeps its size."""
    fd = memfd(size=10)
    with fails_with(EINVAL):
        ftruncate(fd, -1)
    assert os.fstat(fd).st_size == 10


@clause("ftruncate.not-open-for-writing", "truncate(2)", "ERRORS")
def test_ftruncate_needs_a_writable_descriptor(file, opened):
    """ftruncate() fails with EBADF or EINVAL on a descriptor that is not open for writing."""
    size = file.stat().st_size
    with fails_with(EBADF, EINVAL):
        ftruncate(opened(file, os.O_RDONLY), 0)
    assert file.stat().st_size == size


@clause("fallocate.allocates", "fallocate(2)", "DESCRIPTION", since="3.5")
def test_fallocate_allocates_space(memfd, page):
    """fallocate() allocates the space of the range and extends the file to its end; the new bytes read as zeros."""
    fd = memfd()
    os.write(fd, b"abc")
    fallocate(fd, 0, 0, 8 * page)
    status = os.fstat(fd)
    assert (status.st_size, status.st_blocks * 512) == (8 * page, 8 * page)
    assert os.pread(fd, 9 * page, 0) == b"abc" + bytes(8 * page - 3)


@clause("fallocate.keep-size", "fallocate(2)", "DESCRIPTION", since="3.5")
def test_keep_size_allocates_beyond_the_end(memfd, page):
    """fallocate() with FALLOC_FL_KEEP_SIZE allocates space beyond the end of the file and keeps its size."""
    fd = memfd(size=10)
    fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4 * page)
    status = os.fstat(fd)
    assert (status.st_size, status.st_blocks * 512) == (10, 4 * page)


@clause("fallocate.punch-hole", "fallocate(2)", "DESCRIPTION", since="3.5")
def test_punch_hole_frees_space(memfd, mapping, page):
    """fallocate() with FALLOC_FL_PUNCH_HOLE frees the space of the
    range, which reads as zeros in the file and in mappings.
    """
    fd = memfd(size=3 * page)
    shared = mapping(fd, 3 * page)
    shared.buf[:] = b"x" * (3 * page)
    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page - 1, page + 2)
    status = os.fstat(fd)  # before reading the mapping, which fills the hole with a page of zeros
    assert (status.st_size, status.st_blocks * 512) == (3 * page, 2 * page)
    assert bytes(shared.buf) == b"x" * (page - 1) + bytes(page + 2) + b"x" * (page - 1)


@pytest.mark.parametrize(("offset", "length"), [(-1, 10), (0, 0), (0, -1)])
@clause("fallocate.range-einval", "fallocate(2)", "ERRORS", errno=EINVAL)
def test_invalid_range_fails(memfd, offset, length):
    """fallocate() and posix_fallocate() fail with EINVAL for a negative offset and for a length of 0 or less."""
    fd = memfd(size=10)
    with fails_with(EINVAL):
        fallocate(fd, 0, offset, length)
    with fails_with(EINVAL):
        posix_fallocate(fd, offset, length)
    assert os.fstat(fd).st_size == 10


@clause("fallocate.not-open-for-writing-ebadf", "fallocate(2)", "ERRORS", errno=EBADF)
def test_allocation_needs_a_writable_descriptor(file, opened, page):
    """fallocate() and posix_fallocate() fail with EBADF on a descriptor that is not open for writing."""
    fd = opened(file, os.O_RDONLY)
    with fails_with(EBADF):
        fallocate(fd, 0, 0, page)
    with fails_with(EBADF):
        posix_fallocate(fd, 0, page)


@clause("fallocate.pipe-espipe", "fallocate(2)", "ERRORS", errno=ESPIPE)
def test_allocation_in_a_pipe_fails(pipe):
    """fallocate() and posix_fallocate() fail with ESPIPE on a pipe."""
    fd = pipe().write_fd
    with fails_with(ESPIPE):
        fallocate(fd, 0, 0, 1)
    with fails_with(ESPIPE):
        posix_fallocate(fd, 0, 1)


@clause("fallocate.efbig", "fallocate(2)", "ERRORS", errno=EFBIG)
def test_range_beyond_the_largest_size_fails(memfd):
    """fallocate() fails with EFBIG for a range beyond the largest file size, and the file keeps its size."""
    fd = memfd(size=10)
    with fails_with(EFBIG):
        fallocate(fd, 0, (1 << 63) - 1, 10)
    assert os.fstat(fd).st_size == 10


@clause("fallocate.unsupported-mode", "fallocate(2)", "ERRORS")
def test_unsupported_mode_fails(memfd, page):
    """fallocate() fails with EOPNOTSUPP for a mode that the filesystem does not support, and keeps the content."""
    fd = memfd(size=page)
    os.pwrite(fd, b"kept", 0)
    with suppress(OSError):
        fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, page)
        untested(Need.NEWER_KERNEL, "needs a memory file that cannot be zeroed in place")
    with fails_with(EOPNOTSUPP):
        fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, page)
    assert os.pread(fd, 4, 0) == b"kept"


@clause("posix_fallocate.grows", "posix_fallocate(3)", "DESCRIPTION")
def test_posix_fallocate_extends_the_file(memfd, page):
    """posix_fallocate() allocates the space of the range and extends the file to its end, but never shrinks it."""
    fd = memfd()
    os.write(fd, b"abc")
    posix_fallocate(fd, page, page)
    assert os.fstat(fd).st_size == 2 * page
    posix_fallocate(fd, 0, page)
    status = os.fstat(fd)
    assert (status.st_size, status.st_blocks * 512) == (2 * page, 2 * page)
    assert os.pread(fd, 3 * page, 0) == b"abc" + bytes(2 * page - 3)
