"""truncate(2), fallocate(2), posix_fallocate(3): the size and the space of a file that memory is mapped from."""

from __future__ import annotations

import os
from contextlib import suppress
from errno import EBADF, EFBIG, EINVAL, EOPNOTSUPP, ESPIPE

import pytest

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import (
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    FALLOC_FL_ZERO_RANGE,
    fallocate,
    ftruncate,
    posix_fallocate,
)


@clause("ftruncate.extends-with-zeros", "truncate(2)", "DESCRIPTION")
def test_a_file_that_is_made_longer_gains_zeros(memfd):
    """A file that is made longer keeps its bytes, and reads as zeros behind them; the offset stays."""
    fd = memfd()
    os.write(fd, b"abc")
    ftruncate(fd, 10)
    assert (os.pread(fd, 100, 0), os.lseek(fd, 0, os.SEEK_CUR)) == (b"abc" + bytes(7), 3)


@clause("ftruncate.shrinks", "truncate(2)", "DESCRIPTION")
def test_a_file_that_is_made_shorter_loses_its_end(memfd):
    """A file that is made shorter loses the bytes beyond its new end, for good."""
    fd = memfd()
    os.write(fd, b"0123456789")
    ftruncate(fd, 3)
    ftruncate(fd, 6)
    assert os.pread(fd, 100, 0) == b"012\0\0\0"


@clause("ftruncate.negative-einval", "truncate(2)", "ERRORS", errno=EINVAL)
def test_a_negative_length_is_refused(memfd):
    """A negative length is refused, and the file keeps its own."""
    fd = memfd(size=10)
    with fails_with(EINVAL):
        ftruncate(fd, -1)
    assert os.fstat(fd).st_size == 10


@clause("ftruncate.not-open-for-writing", "truncate(2)", "ERRORS")
def test_a_file_must_be_open_for_writing(file, opened):
    """A file that is not open for writing cannot be given another size."""
    size = file.stat().st_size
    with fails_with(EBADF, EINVAL):
        ftruncate(opened(file, os.O_RDONLY), 0)
    assert file.stat().st_size == size


@clause("fallocate.allocates", "fallocate(2)", "DESCRIPTION", since="3.5")
def test_space_is_allocated(memfd, page):
    """fallocate gives the range its space, and the file the size to hold it; the bytes read as zeros."""
    fd = memfd()
    os.write(fd, b"abc")
    fallocate(fd, 0, 0, 8 * page)
    status = os.fstat(fd)
    assert (status.st_size, status.st_blocks * 512) == (8 * page, 8 * page)
    assert os.pread(fd, 9 * page, 0) == b"abc" + bytes(8 * page - 3)


@clause("fallocate.keep-size", "fallocate(2)", "DESCRIPTION", since="3.5")
def test_space_beyond_the_end(memfd, page):
    """With FALLOC_FL_KEEP_SIZE there is space beyond the end of the file, whose size stays."""
    fd = memfd(size=10)
    fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4 * page)
    status = os.fstat(fd)
    assert (status.st_size, status.st_blocks * 512) == (10, 4 * page)


@clause("fallocate.punch-hole", "fallocate(2)", "DESCRIPTION", since="3.5")
def test_a_hole_is_zeros(memfd, mapping, page):
    """A hole reads as zeros, in the file and in mappings of it, and takes no space; the size stays."""
    fd = memfd(size=3 * page)
    there = mapping(fd, 3 * page)
    there.buf[:] = b"x" * (3 * page)
    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page - 1, page + 2)
    status = os.fstat(fd)  # before the mapping is looked at, which would fill the hole with a page of zeros
    assert (status.st_size, status.st_blocks * 512) == (3 * page, 2 * page)
    assert bytes(there.buf) == b"x" * (page - 1) + bytes(page + 2) + b"x" * (page - 1)


@pytest.mark.parametrize(("offset", "length"), [(-1, 10), (0, 0), (0, -1)])
@clause("fallocate.range-einval", "fallocate(2)", "ERRORS", errno=EINVAL)
def test_a_range_that_is_none_is_refused(memfd, offset, length):
    """A negative offset, and a length that is not positive, are refused."""
    fd = memfd(size=10)
    with fails_with(EINVAL):
        fallocate(fd, 0, offset, length)
    with fails_with(EINVAL):
        posix_fallocate(fd, offset, length)
    assert os.fstat(fd).st_size == 10


@clause("fallocate.not-open-for-writing-ebadf", "fallocate(2)", "ERRORS", errno=EBADF)
def test_space_needs_a_file_open_for_writing(file, opened, page):
    """Space cannot be allocated through a descriptor that is not open for writing."""
    fd = opened(file, os.O_RDONLY)
    with fails_with(EBADF):
        fallocate(fd, 0, 0, page)
    with fails_with(EBADF):
        posix_fallocate(fd, 0, page)


@clause("fallocate.pipe-espipe", "fallocate(2)", "ERRORS", errno=ESPIPE)
def test_space_needs_a_file(pipe):
    """Space cannot be allocated in a pipe."""
    fd = pipe().write_fd
    with fails_with(ESPIPE):
        fallocate(fd, 0, 0, 1)
    with fails_with(ESPIPE):
        posix_fallocate(fd, 0, 1)


@clause("fallocate.efbig", "fallocate(2)", "ERRORS", errno=EFBIG)
def test_a_file_has_a_largest_size(memfd):
    """A range that ends beyond the largest size that a file can have is refused, and the file keeps its own."""
    fd = memfd(size=10)
    with fails_with(EFBIG):
        fallocate(fd, 0, (1 << 63) - 1, 10)
    assert os.fstat(fd).st_size == 10


@clause("fallocate.unsupported-mode", "fallocate(2)", "ERRORS")
def test_a_mode_that_is_not_supported_is_told(memfd, page):
    """A mode that the file system does not support is refused with EOPNOTSUPP, and the content stays."""
    fd = memfd(size=page)
    os.pwrite(fd, b"kept", 0)
    with suppress(OSError):
        fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, page)
        untested("needs a memory file that cannot be zeroed in place")
    with fails_with(EOPNOTSUPP):
        fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, page)
    assert os.pread(fd, 4, 0) == b"kept"


@clause("posix_fallocate.grows", "posix_fallocate(3)", "DESCRIPTION")
def test_posix_fallocate_makes_a_file_longer(memfd, page):
    """posix_fallocate gives the range its space; the file becomes as long as the range needs, and never shorter."""
    fd = memfd()
    os.write(fd, b"abc")
    posix_fallocate(fd, page, page)
    assert os.fstat(fd).st_size == 2 * page
    posix_fallocate(fd, 0, page)
    status = os.fstat(fd)
    assert (status.st_size, status.st_blocks * 512) == (2 * page, 2 * page)
    assert os.pread(fd, 3 * page, 0) == b"abc" + bytes(2 * page - 3)
