"""splice(2), tee(2), vmsplice(2): data moved, copied and mapped through pipes."""

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
    """A file of ten bytes."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


@clause("splice.file-to-pipe", "splice(2)", "DESCRIPTION")
def test_bytes_move_from_a_file_to_a_pipe(pipe, file):
    """Without an offset bytes move from the file's position on, which is adjusted; their number is returned."""
    p = pipe()
    with open(file, "rb", buffering=0) as source:
        source.seek(3)
        assert splice(source.fileno(), p.write_fd, 4) == (4, None, None)
        assert source.tell() == 7
    assert p.read(10) == b"3456"
    assert file.read_bytes() == b"0123456789"


@clause("splice.pipe-to-file", "splice(2)", "DESCRIPTION")
def test_bytes_move_from_a_pipe_to_a_file(pipe, file):
    """Bytes that move from a pipe to a file are written at the file's position, and are in the pipe no more."""
    p = pipe(flags=O_NONBLOCK | O_CLOEXEC)
    p.write(b"abcdef")
    with open(file, "r+b", buffering=0) as target:
        target.seek(8)
        assert splice(p.read_fd, target.fileno(), 4)[0] == 4
        assert target.tell() == 12
    assert file.read_bytes() == b"01234567abcd"
    assert p.read(10) == b"ef"


@clause("splice.pipe-to-pipe", "splice(2)", "NOTES", since="2.6.31")
def test_bytes_move_between_pipes(pipe):
    """Both descriptors may be pipes: what moves is in the second in order, and in the first no more."""
    first, second = pipe(flags=O_NONBLOCK | O_CLOEXEC), pipe(flags=O_NONBLOCK | O_CLOEXEC)
    first.write(b"abcdef")
    second.write(b"-")
    assert splice(first.read_fd, second.write_fd, 4)[0] == 4
    assert (second.read(10), first.read(10)) == (b"-abcd", b"ef")


@clause("splice.offset-in", "splice(2)", "DESCRIPTION")
def test_an_offset_to_read_from(pipe, file):
    """With an offset bytes are read from there on, the offset becomes the place behind them, and the file's position stays."""
    p = pipe()
    with open(file, "rb", buffering=0) as source:
        source.seek(1)
        assert splice(source.fileno(), p.write_fd, 3, offset_in=5) == (3, 8, None)
        assert source.tell() == 1
    assert p.read(10) == b"567"


@clause("splice.offset-out", "splice(2)", "DESCRIPTION")
def test_an_offset_to_write_to(pipe, file):
    """With an offset bytes are written from there on, the offset becomes the place behind them, and the file's position stays."""
    p = pipe()
    p.write(b"abc")
    with open(file, "r+b", buffering=0) as target:
        target.seek(1)
        assert splice(p.read_fd, target.fileno(), 3, offset_out=5) == (3, None, 8)
        assert target.tell() == 1
    assert file.read_bytes() == b"01234abc89"


@clause("splice.end-of-input", "splice(2)", "RETURN VALUE")
def test_zero_is_the_end_of_input(pipe, file):
    """0 is returned at the end of a file, and of an empty pipe that nobody has open for writing."""
    p, other = pipe(), pipe()
    with open(file, "rb", buffering=0) as source:
        source.seek(0, os.SEEK_END)
        assert splice(source.fileno(), p.write_fd, 10)[0] == 0
    p.close_write()
    assert splice(p.read_fd, other.write_fd, 10)[0] == 0


@clause("splice.nonblock-eagain", "splice(2)", "ERRORS", errno=EAGAIN)
def test_a_splice_that_would_wait(pipe, file, fork):
    """With SPLICE_F_NONBLOCK, or O_NONBLOCK on the pipe, splice fails where it would wait; without, it waits for data."""
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
def test_a_descriptor_of_the_wrong_mode(pipe, file, opened_file):
    """A descriptor that is not open, one to read from that cannot be read, and one to write to that cannot be written, are refused."""
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
def test_a_file_in_append_mode_is_refused(pipe, file, opened_file):
    """A file that is open with O_APPEND is refused as the target, and what was to move stays in the pipe."""
    p = pipe()
    p.write(b"data")
    with fails_with(EINVAL):
        splice(p.read_fd, opened_file(file, O_WRONLY | O_APPEND), 4)
    assert (p.read(10), file.read_bytes()) == (b"data", b"0123456789")


@clause("splice.no-pipe-einval", "splice(2)", "ERRORS", errno=EINVAL)
def test_one_of_two_must_be_a_pipe(file, tmp_path, opened_file):
    """Two descriptors of which neither is a pipe are refused."""
    (tmp_path / "other").write_bytes(b"")
    with fails_with(EINVAL):
        splice(opened_file(file, O_RDONLY), opened_file(tmp_path / "other", O_WRONLY), 4)
    assert (tmp_path / "other").read_bytes() == b""


@clause("splice.same-pipe-einval", "splice(2)", "ERRORS", errno=EINVAL)
def test_a_pipe_is_not_spliced_with_itself(pipe):
    """The two ends of one pipe are refused, and what is in it stays."""
    p = pipe()
    p.write(b"data")
    with fails_with(EINVAL):
        splice(p.read_fd, p.write_fd, 4, SPLICE_F_NONBLOCK)
    assert p.read(10) == b"data"


@clause("splice.pipe-offset-espipe", "splice(2)", "ERRORS", errno=ESPIPE)
def test_a_pipe_has_no_offset(pipe, file, opened_file):
    """An offset for the descriptor that is a pipe is refused, to read from and to write to."""
    p = pipe()
    p.write(b"data")
    with fails_with(ESPIPE):
        splice(p.read_fd, opened_file(file, O_RDWR), 4, offset_in=0)
    with fails_with(ESPIPE):
        splice(opened_file(file, O_RDONLY), p.write_fd, 4, offset_out=0)
    assert (p.read(10), file.read_bytes()) == (b"data", b"0123456789")


@clause("tee.copies", "tee(2)", "DESCRIPTION")
def test_what_is_copied_stays(pipe):
    """tee copies up to so many bytes from one pipe to another and consumes none: they can be read from both."""
    first, second = pipe(flags=O_NONBLOCK | O_CLOEXEC), pipe(flags=O_NONBLOCK | O_CLOEXEC)
    first.write(b"abcdef")
    assert tee(first.read_fd, second.write_fd, 4) == 4
    assert (second.read(10), first.read(10)) == (b"abcd", b"abcdef")


@clause("tee.end-of-input", "tee(2)", "RETURN VALUE")
def test_nothing_to_copy_and_no_writer(pipe):
    """tee gives 0 where the first pipe is empty and nobody has it open for writing."""
    first, second = pipe(), pipe()
    first.close_write()
    assert tee(first.read_fd, second.write_fd, 4) == 0


@clause("tee.nonblock-eagain", "tee(2)", "ERRORS", errno=EAGAIN)
def test_a_copy_that_would_wait(pipe, fork, fill):
    """With SPLICE_F_NONBLOCK tee fails where the first pipe is empty or the second is full; without, it waits for data."""
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
def test_both_must_be_pipes_and_not_one(pipe, file, opened_file):
    """tee refuses what is no pipe on either side, and the two ends of one pipe."""
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
def test_memory_goes_into_a_pipe(pipe):
    """With the write end of a pipe, ranges of memory go into it one after the other; their bytes together are returned."""
    p = pipe()
    first, second = create_string_buffer(b"first", 5), create_string_buffer(b"second", 6)
    assert vmsplice(p.write_fd, [(addressof(first), 5), (addressof(second), 3)]) == 8
    assert p.read(20) == b"firstsec"


@clause("vmsplice.from-a-pipe", "vmsplice(2)", "DESCRIPTION")
def test_a_pipe_fills_memory(pipe):
    """With the read end of a pipe, ranges of memory are filled from it one after the other, and what filled them is gone."""
    p = pipe()
    p.write(b"abcdefgh")
    first, second = create_string_buffer(3), create_string_buffer(4)
    assert vmsplice(p.read_fd, [(addressof(first), 3), (addressof(second), 4)]) == 7
    assert (first.raw, second.raw, p.read(10)) == (b"abc", b"defg", b"h")


@clause("vmsplice.nonblock-eagain", "vmsplice(2)", "ERRORS", errno=EAGAIN)
def test_memory_that_would_have_to_wait(pipe, fill):
    """With SPLICE_F_NONBLOCK vmsplice fails where the pipe is full, or empty for who reads."""
    full, empty, memory = pipe(), pipe(), create_string_buffer(b"x", 1)
    fill(full.write_fd)
    with fails_with(EAGAIN):
        vmsplice(full.write_fd, [(addressof(memory), 1)], SPLICE_F_NONBLOCK)
    with fails_with(EAGAIN):
        vmsplice(empty.read_fd, [(addressof(memory), 1)], SPLICE_F_NONBLOCK)


@clause("vmsplice.ebadf", "vmsplice(2)", "ERRORS", errno=EBADF)
def test_memory_goes_into_pipes_alone(file, opened_file):
    """vmsplice refuses a descriptor that is not open, and one that is no pipe."""
    memory = create_string_buffer(b"x", 1)
    for fd in (-1, opened_file(file, O_RDWR)):
        with fails_with(EBADF):
            vmsplice(fd, [(addressof(memory), 1)])
    assert file.read_bytes() == b"0123456789"


@clause("vmsplice.iov_max-einval", "vmsplice(2)", "ERRORS", errno=EINVAL)
def test_ranges_are_at_most_iov_max(pipe):
    """IOV_MAX ranges of memory are taken and one more is refused."""
    p, memory = pipe(flags=O_NONBLOCK | O_CLOEXEC), create_string_buffer(b"x", 1)
    with fails_with(EINVAL):
        vmsplice(p.write_fd, [(addressof(memory), 1)] * (IOV_MAX + 1))
    with fails_with(EAGAIN):
        p.read(1)
    assert vmsplice(p.write_fd, [(addressof(memory), 0)] * (IOV_MAX - 1) + [(addressof(memory), 1)]) == 1


@clause("vmsplice.gift-unaligned-einval", "vmsplice(2)", "ERRORS", errno=EINVAL, disputed="such memory is taken")
def test_a_gift_is_of_whole_pages(pipe, page):
    """With SPLICE_F_GIFT memory that does not begin with a page is refused, and so is a part of one."""
    p, memory = pipe(), create_string_buffer(b"x", 4 * page)
    start = -(-addressof(memory) // page) * page
    taken = 0
    for range in ((start + 1, page), (start, page - 1)):
        try:
            taken += vmsplice(p.write_fd, [range], SPLICE_F_GIFT)
            p.read(2 * page)  # a small pipe has no room for both
        except OSError as error:
            if error.errno != EINVAL:
                raise
    if taken:
        assert taken == 2 * page - 1, f"{taken} bytes went into the pipe"
        disputed(manual="EINVAL for memory that is not aligned", linux="takes it")
