"""splice(2), tee(2), vmsplice(2): moving, copying and mapping data through pipes."""

from __future__ import annotations

import os
from ctypes import addressof, create_string_buffer
from errno import EAGAIN, EBADF, EINVAL, ESPIPE
from os import O_APPEND, O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY
from pathlib import Path

import pytest

from pytest_ipc import clause, disputed, fails_with
from pytest_ipc.kernel import SPLICE_F_GIFT, SPLICE_F_NONBLOCK, splice, tee, vmsplice

IOV_MAX = 1024


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Create a file of ten bytes."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


@clause("splice.file-to-pipe", "splice(2)", "DESCRIPTION")
def test_splice_from_file_to_pipe(pipe, file):
    """splice() without an offset moves bytes from the file offset, advances it, and returns their number."""
    p = pipe()
    with open(file, "rb", buffering=0) as source:
        source.seek(3)
        assert splice(source.fileno(), p.write_fd, 4) == (4, None, None)
        assert source.tell() == 7
    assert p.read(10) == b"3456"
    assert file.read_bytes() == b"0123456789"


@clause("splice.pipe-to-file", "splice(2)", "DESCRIPTION")
def test_splice_from_pipe_to_file(pipe, file):
    """splice() from a pipe writes at the file offset, advances it, and removes the bytes from the pipe."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    p.write(b"abcdef")
    with open(file, "r+b", buffering=0) as target:
        target.seek(8)
        assert splice(p.read_fd, target.fileno(), 4)[0] == 4
        assert target.tell() == 12
    assert file.read_bytes() == b"01234567abcd"
    assert p.read(10) == b"ef"


@clause("splice.pipe-to-pipe", "splice(2)", "NOTES", since="2.6.31")
def test_splice_between_pipes(pipe):
    """splice() between two pipes appends the bytes to the second in order and removes them from the first."""
    first, second = pipe(flags=O_NONBLOCK | O_CLOEXEC), pipe(flags=O_NONBLOCK | O_CLOEXEC)
    first.write(b"abcdef")
    second.write(b"-")
    assert splice(first.read_fd, second.write_fd, 4)[0] == 4
    assert (second.read(10), first.read(10)) == (b"-abcd", b"ef")


@clause("splice.offset-in", "splice(2)", "DESCRIPTION")
def test_splice_with_offset_in(pipe, file):
    """splice() with off_in reads from that offset, advances it, and does not change the file offset."""
    p = pipe()
    with open(file, "rb", buffering=0) as source:
        source.seek(1)
        assert splice(source.fileno(), p.write_fd, 3, offset_in=5) == (3, 8, None)
        assert source.tell() == 1
    assert p.read(10) == b"567"


@clause("splice.offset-out", "splice(2)", "DESCRIPTION")
def test_splice_with_offset_out(pipe, file):
    """splice() with off_out writes at that offset, advances it, and does not change the file offset."""
    p = pipe()
    p.write(b"abc")
    with open(file, "r+b", buffering=0) as target:
        target.seek(1)
        assert splice(p.read_fd, target.fileno(), 3, offset_out=5) == (3, None, 8)
        assert target.tell() == 1
    assert file.read_bytes() == b"01234abc89"


@clause("splice.end-of-input", "splice(2)", "RETURN VALUE")
def test_splice_returns_zero_at_end_of_input(pipe, file):
    """splice() returns 0 at end of file, and for an empty pipe without writers."""
    p, other = pipe(), pipe()
    with open(file, "rb", buffering=0) as source:
        source.seek(0, os.SEEK_END)
        assert splice(source.fileno(), p.write_fd, 10)[0] == 0
    p.close_write()
    assert splice(p.read_fd, other.write_fd, 10)[0] == 0


@clause("splice.nonblock-eagain", "splice(2)", "ERRORS", errno=EAGAIN)
def test_splice_fails_instead_of_blocking(pipe, file, fork):
    """splice() from an empty pipe fails with EAGAIN with
    SPLICE_F_NONBLOCK or O_NONBLOCK, and otherwise blocks until data.
    """
    p, marked = pipe(), pipe(flags=O_NONBLOCK | O_CLOEXEC)
    with open(file, "r+b", buffering=0) as target:
        with fails_with(EAGAIN):
            splice(p.read_fd, target.fileno(), 1, SPLICE_F_NONBLOCK)
        with fails_with(EAGAIN):
            splice(marked.read_fd, target.fileno(), 1)
        child = fork(splice, p.read_fd, target.fileno(), 4)
        child.wait_blocked("splice")
        p.write(b"data")
        assert child.result()[0] == 4
    assert file.read_bytes() == b"data456789"


@clause("splice.ebadf", "splice(2)", "ERRORS", errno=EBADF)
def test_splice_with_invalid_descriptor_fails(pipe, file, opened_file):
    """splice() fails with EBADF for a descriptor that is not open or has the wrong access mode."""
    p = pipe()
    p.write(b"data")
    for fd_in, fd_out in (
        (-1, p.write_fd),
        (p.read_fd, -1),
        (opened_file(file, O_WRONLY), p.write_fd),
        (p.read_fd, opened_file(file, O_RDONLY)),
        (p.write_fd, opened_file(file, O_RDWR)),
    ):
        with fails_with(EBADF):
            splice(fd_in, fd_out, 1)
    assert (p.read(10), file.read_bytes()) == (b"data", b"0123456789")


@clause("splice.append-einval", "splice(2)", "ERRORS", errno=EINVAL)
def test_splice_to_append_mode_fails(pipe, file, opened_file):
    """splice() to a file opened with O_APPEND fails with EINVAL, and the data stay in the pipe."""
    p = pipe()
    p.write(b"data")
    with fails_with(EINVAL):
        splice(p.read_fd, opened_file(file, O_WRONLY | O_APPEND), 4)
    assert (p.read(10), file.read_bytes()) == (b"data", b"0123456789")


@clause("splice.no-pipe-einval", "splice(2)", "ERRORS", errno=EINVAL)
def test_splice_without_a_pipe_fails(file, tmp_path, opened_file):
    """splice() fails with EINVAL if neither descriptor refers to a pipe."""
    (tmp_path / "other").write_bytes(b"")
    with fails_with(EINVAL):
        splice(opened_file(file, O_RDONLY), opened_file(tmp_path / "other", O_WRONLY), 4)
    assert (tmp_path / "other").read_bytes() == b""


@clause("splice.same-pipe-einval", "splice(2)", "ERRORS", errno=EINVAL)
def test_splice_of_one_pipe_fails(pipe):
    """splice() between the two ends of one pipe fails with EINVAL, and its data stay."""
    p = pipe()
    p.write(b"data")
    with fails_with(EINVAL):
        splice(p.read_fd, p.write_fd, 4, SPLICE_F_NONBLOCK)
    assert p.read(10) == b"data"


@clause("splice.pipe-offset-espipe", "splice(2)", "ERRORS", errno=ESPIPE)
def test_splice_with_offset_of_a_pipe_fails(pipe, file, opened_file):
    """splice() fails with ESPIPE if an offset is given for a descriptor of a pipe."""
    p = pipe()
    p.write(b"data")
    with fails_with(ESPIPE):
        splice(p.read_fd, opened_file(file, O_RDWR), 4, offset_in=0)
    with fails_with(ESPIPE):
        splice(opened_file(file, O_RDONLY), p.write_fd, 4, offset_out=0)
    assert (p.read(10), file.read_bytes()) == (b"data", b"0123456789")


@clause("tee.copies", "tee(2)", "DESCRIPTION")
def test_tee_copies_without_consuming(pipe):
    """tee() copies up to the given number of bytes between two pipes and consumes none: both can be read."""
    first, second = pipe(flags=O_NONBLOCK | O_CLOEXEC), pipe(flags=O_NONBLOCK | O_CLOEXEC)
    first.write(b"abcdef")
    assert tee(first.read_fd, second.write_fd, 4) == 4
    assert (second.read(10), first.read(10)) == (b"abcd", b"abcdef")


@clause("tee.end-of-input", "tee(2)", "RETURN VALUE")
def test_tee_returns_zero_at_end_of_input(pipe):
    """tee() returns 0 if the input pipe is empty and has no writers."""
    first, second = pipe(), pipe()
    first.close_write()
    assert tee(first.read_fd, second.write_fd, 4) == 0


@clause("tee.nonblock-eagain", "tee(2)", "ERRORS", errno=EAGAIN)
def test_tee_fails_instead_of_blocking(pipe, fork, fill):
    """tee() with SPLICE_F_NONBLOCK fails with EAGAIN if the input is
    empty or the output full; without it, tee() blocks until data.
    """
    first, second, full = pipe(), pipe(), pipe()
    fill(full.write_fd)
    with fails_with(EAGAIN):
        tee(first.read_fd, second.write_fd, 4, SPLICE_F_NONBLOCK)
    child = fork(tee, first.read_fd, second.write_fd, 4)
    child.wait_blocked("tee")
    first.write(b"data")
    assert child.result() == 4
    with fails_with(EAGAIN):
        tee(first.read_fd, full.write_fd, 4, SPLICE_F_NONBLOCK)
    assert (first.read(10), second.read(10)) == (b"data", b"data")


@clause("tee.no-pipe-einval", "tee(2)", "ERRORS", errno=EINVAL)
def test_tee_needs_two_different_pipes(pipe, file, opened_file):
    """tee() fails with EINVAL if a descriptor refers to a regular file or if both refer to the same pipe."""
    p = pipe()
    p.write(b"data")
    for fd_in, fd_out in (
        (opened_file(file, O_RDONLY), p.write_fd),
        (p.read_fd, opened_file(file, O_WRONLY)),
        (p.read_fd, p.write_fd),
    ):
        with fails_with(EINVAL):
            tee(fd_in, fd_out, 4, SPLICE_F_NONBLOCK)
    assert p.read(10) == b"data"


@clause("vmsplice.into-a-pipe", "vmsplice(2)", "DESCRIPTION")
def test_vmsplice_writes_memory_to_a_pipe(pipe):
    """vmsplice() at a write end appends the memory ranges in order, and returns the number of bytes."""
    p = pipe()
    first, second = create_string_buffer(b"first", 5), create_string_buffer(b"second", 6)
    assert vmsplice(p.write_fd, [(addressof(first), 5), (addressof(second), 3)]) == 8
    assert p.read(20) == b"firstsec"


@clause("vmsplice.from-a-pipe", "vmsplice(2)", "DESCRIPTION")
def test_vmsplice_reads_a_pipe_into_memory(pipe):
    """vmsplice() at a read end fills the memory ranges in order, and consumes those bytes."""
    p = pipe()
    p.write(b"abcdefgh")
    first, second = create_string_buffer(3), create_string_buffer(4)
    assert vmsplice(p.read_fd, [(addressof(first), 3), (addressof(second), 4)]) == 7
    assert (first.raw, second.raw, p.read(10)) == (b"abc", b"defg", b"h")


@clause("vmsplice.nonblock-eagain", "vmsplice(2)", "ERRORS", errno=EAGAIN)
def test_vmsplice_fails_instead_of_blocking(pipe, fill):
    """vmsplice() with SPLICE_F_NONBLOCK fails with EAGAIN at the
    write end of a full pipe and the read end of an empty one.
    """
    full, empty, memory = pipe(), pipe(), create_string_buffer(b"x", 1)
    fill(full.write_fd)
    with fails_with(EAGAIN):
        vmsplice(full.write_fd, [(addressof(memory), 1)], SPLICE_F_NONBLOCK)
    with fails_with(EAGAIN):
        vmsplice(empty.read_fd, [(addressof(memory), 1)], SPLICE_F_NONBLOCK)


@clause("vmsplice.ebadf", "vmsplice(2)", "ERRORS", errno=EBADF)
def test_vmsplice_without_a_pipe_fails(file, opened_file):
    """vmsplice() fails with EBADF for a descriptor that is not open or refers to a regular file."""
    memory = create_string_buffer(b"x", 1)
    for fd in (-1, opened_file(file, O_RDWR)):
        with fails_with(EBADF):
            vmsplice(fd, [(addressof(memory), 1)])
    assert file.read_bytes() == b"0123456789"


@clause("vmsplice.iov_max-einval", "vmsplice(2)", "ERRORS", errno=EINVAL)
def test_vmsplice_takes_at_most_iov_max_ranges(pipe):
    """vmsplice() accepts IOV_MAX memory ranges and fails with EINVAL for one more."""
    p, memory = pipe(flags=O_NONBLOCK | O_CLOEXEC), create_string_buffer(b"x", 1)
    with fails_with(EINVAL):
        vmsplice(p.write_fd, [(addressof(memory), 1)] * (IOV_MAX + 1))
    with fails_with(EAGAIN):
        p.read(1)
    assert vmsplice(p.write_fd, [(addressof(memory), 0)] * (IOV_MAX - 1) + [(addressof(memory), 1)]) == 1


@clause("vmsplice.gift-unaligned-einval", "vmsplice(2)", "ERRORS", errno=EINVAL, disputed="such memory is taken")
def test_unaligned_gift_fails(pipe, page):
    """vmsplice() with SPLICE_F_GIFT fails with EINVAL for memory that is not page-aligned in address and length."""
    p, memory = pipe(), create_string_buffer(b"x", 4 * page)
    start = -(-addressof(memory) // page) * page
    taken = 0
    for range in ((start + 1, page), (start, page - 1)):
        try:
            taken += vmsplice(p.write_fd, [range], SPLICE_F_GIFT)
            p.read(2 * page)  # the pipe may be too small for both
        except OSError as error:
            if error.errno != EINVAL:
                raise
    if taken:
        assert taken == 2 * page - 1, f"{taken} bytes were accepted"
        disputed(manual="EINVAL for memory that is not aligned", linux="accepts it")
