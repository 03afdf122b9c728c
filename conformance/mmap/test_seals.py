"""fcntl(2), File Sealing: what can be forbidden with a memory file, for good and for everybody."""

from __future__ import annotations

import os
from errno import EACCES, EBUSY, EINVAL, EOPNOTSUPP, EPERM

import pytest

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import (
    F_SEAL_FUTURE_WRITE,
    F_SEAL_GROW,
    F_SEAL_SEAL,
    F_SEAL_SHRINK,
    F_SEAL_WRITE,
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    MAP_PRIVATE,
    MAP_SHARED,
    MFD_ALLOW_SEALING,
    PROT_READ,
    PROT_WRITE,
    add_seals,
    fallocate,
    ftruncate,
    get_seals,
    mmap,
    mprotect,
    munmap,
    posix_fallocate,
    write,
)

from ..memory import poke


@pytest.fixture
def sealable(memfd, page):
    """A memory file of two pages to be sealed: a page of a, a page of b."""
    fd = memfd(MFD_ALLOW_SEALING)
    os.write(fd, b"a" * page + b"b" * page)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def content(fd: int) -> bytes:
    return os.pread(fd, 1 << 20, 0)


@clause("fcntl.add_seals-add-up", "F_GET_SEALS(2const)", "F_ADD_SEALS", since="3.17")
def test_seals_add_up(sealable):
    """Seals are added to those that there are; F_GET_SEALS gives all of them. To add one again is no error."""
    found = []
    for seals in (F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_GROW, 0):
        add_seals(sealable, seals)
        found.append(get_seals(sealable))
    assert found == [F_SEAL_GROW, *[F_SEAL_GROW | F_SEAL_SHRINK] * 3]


@clause("fcntl.seals-of-the-file", "fcntl(2)", "File Sealing", since="3.17")
def test_seals_are_the_files_and_not_the_descriptors(sealable, opened, fork):
    """Seals belong to the file: they hold for every descriptor of it, also one that was open before, and in every process."""
    other = opened(f"/proc/self/fd/{sealable}", os.O_RDWR)
    add_seals(sealable, F_SEAL_SHRINK)
    assert get_seals(other) == F_SEAL_SHRINK
    with fails_with(EPERM):
        ftruncate(other, 0)
    fork(add_seals, other, F_SEAL_GROW).result()
    assert get_seals(sealable) == F_SEAL_SHRINK | F_SEAL_GROW


@clause("fcntl.f_seal_seal", "F_GET_SEALS(2const)", "F_SEAL_SEAL", errno=EPERM, since="3.17")
def test_the_seal_against_seals(sealable):
    """With F_SEAL_SEAL no further seal can be added; the others stay as they are."""
    add_seals(sealable, F_SEAL_GROW | F_SEAL_SEAL)
    with fails_with(EPERM):
        add_seals(sealable, F_SEAL_SHRINK)
    assert get_seals(sealable) == F_SEAL_GROW | F_SEAL_SEAL
    ftruncate(sealable, 1)


@clause("fcntl.f_seal_shrink", "F_GET_SEALS(2const)", "F_SEAL_SHRINK", errno=EPERM, since="3.17")
def test_the_seal_against_shrinking(sealable, page):
    """With F_SEAL_SHRINK the file cannot be made shorter, by ftruncate or by O_TRUNC; it can still grow and be written."""
    add_seals(sealable, F_SEAL_SHRINK)
    with fails_with(EPERM):
        ftruncate(sealable, 2 * page - 1)
    with fails_with(EPERM):
        os.close(os.open(f"/proc/self/fd/{sealable}", os.O_RDWR | os.O_TRUNC))
    ftruncate(sealable, 2 * page + 5)
    os.pwrite(sealable, b"x", 0)
    assert content(sealable) == b"x" + b"a" * (page - 1) + b"b" * page + bytes(5)


@clause("fcntl.f_seal_grow", "F_GET_SEALS(2const)", "F_SEAL_GROW", errno=EPERM, since="3.17")
def test_the_seal_against_growing(sealable, page):
    """With F_SEAL_GROW the file cannot become longer, by ftruncate, fallocate or writing past its end; it can be written within."""
    add_seals(sealable, F_SEAL_GROW)
    os.lseek(sealable, 0, os.SEEK_END)
    for grow in (
        lambda: ftruncate(sealable, 2 * page + 1),
        lambda: fallocate(sealable, 0, 0, 3 * page),
        lambda: posix_fallocate(sealable, 0, 3 * page),
        lambda: write(sealable, b"more"),
    ):
        with fails_with(EPERM):
            grow()
    assert os.fstat(sealable).st_size == 2 * page
    os.pwrite(sealable, b"x", 2 * page - 1)
    ftruncate(sealable, page)


@clause("fcntl.f_seal_write", "F_GET_SEALS(2const)", "F_SEAL_WRITE", errno=EPERM, since="3.17")
def test_the_seal_against_writing(sealable, page):
    """With F_SEAL_WRITE the content cannot be changed, by write, by punching a hole, or by a shared mapping to write."""
    add_seals(sealable, F_SEAL_WRITE)
    before = content(sealable)
    with fails_with(EPERM):
        write(sealable, b"x")
    with fails_with(EPERM):
        mmap(None, page, PROT_READ | PROT_WRITE, MAP_SHARED, sealable)
    with fails_with(EPERM, EOPNOTSUPP):  # where no holes can be made at all that is the answer
        fallocate(sealable, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, page)
    assert content(sealable) == before
    ftruncate(sealable, page)
    ftruncate(sealable, 2 * page)


@clause("fcntl.f_seal_write-private-mapping", "F_GET_SEALS(2const)", "F_SEAL_WRITE", since="3.17")
def test_a_sealed_file_can_be_mapped_privately(sealable, mapping, page):
    """A file with F_SEAL_WRITE can still be mapped privately to write; the stores stay private."""
    add_seals(sealable, F_SEAL_WRITE)
    there = mapping(sealable, page, flags=MAP_PRIVATE)
    there.buf[0] = ord("x")
    assert content(sealable)[:1] == b"a"


@clause("fcntl.f_seal_write-read-only-mapping", "F_GET_SEALS(2const)", "F_SEAL_WRITE", errno=EACCES, since="6.7")
def test_a_sealed_file_can_be_mapped_to_read(sealable, mapping, page):
    """A file with F_SEAL_WRITE can be mapped shared to read, and that mapping cannot be made writable."""
    add_seals(sealable, F_SEAL_WRITE)
    try:
        there = mapping(sealable, page, PROT_READ)
    except PermissionError:
        untested("needs Linux 6.7: until then such a mapping of a file open for writing counted as one to write")
    assert bytes(there.buf) == b"a" * page
    with fails_with(EACCES):
        mprotect(there.address, page, PROT_READ | PROT_WRITE)


@clause("fcntl.f_seal_write-mapped-ebusy", "fcntl(2)", "ERRORS", errno=EBUSY, since="3.17")
def test_what_is_mapped_to_write_cannot_be_sealed(sealable, page):
    """F_SEAL_WRITE is refused while there is a shared mapping to write, and no seal of that call is added."""
    address = mmap(None, page, PROT_READ | PROT_WRITE, MAP_SHARED, sealable)
    with fails_with(EBUSY):
        add_seals(sealable, F_SEAL_WRITE | F_SEAL_GROW)
    assert get_seals(sealable) == 0
    munmap(address, page)
    add_seals(sealable, F_SEAL_WRITE | F_SEAL_GROW)
    assert get_seals(sealable) == F_SEAL_WRITE | F_SEAL_GROW


@clause("mmap.memfd-future_write", "F_GET_SEALS(2const)", "F_SEAL_FUTURE_WRITE", errno=EPERM, since="5.1")
def test_the_seal_against_future_writing(sealable, mapping, page):
    """With F_SEAL_FUTURE_WRITE shared mappings to write that exist stay so; new ones, and write, are refused."""
    there = mapping(sealable, page)
    add_seals(sealable, F_SEAL_FUTURE_WRITE)
    poke(there.address, ord("x"))
    with fails_with(EPERM):
        mmap(None, page, PROT_READ | PROT_WRITE, MAP_SHARED, sealable)
    with fails_with(EPERM):
        write(sealable, b"y")
    read_only = mapping(sealable, page, PROT_READ)
    assert bytes(read_only.buf[:2]) == b"xa"
    with fails_with(EACCES):
        mprotect(read_only.address, page, PROT_READ | PROT_WRITE)


@clause("fcntl.add_seals-unknown-einval", "fcntl(2)", "ERRORS", errno=EINVAL, since="3.17")
def test_an_unknown_seal_is_refused(sealable):
    """A seal that there is not is refused, and none is added."""
    with fails_with(EINVAL):
        add_seals(sealable, F_SEAL_GROW | 1 << 20)
    assert get_seals(sealable) == 0


@clause("fcntl.add_seals-read-only-eperm", "fcntl(2)", "ERRORS", errno=EPERM, since="3.17")
def test_a_descriptor_for_reading_adds_no_seals(sealable, opened):
    """Seals cannot be added through a descriptor that is not open for writing; they can be looked at."""
    fd = opened(f"/proc/self/fd/{sealable}", os.O_RDONLY)
    with fails_with(EPERM):
        add_seals(fd, F_SEAL_GROW)
    assert get_seals(fd) == 0


@clause("fcntl.seals-unsupported-einval", "fcntl(2)", "ERRORS", errno=EINVAL, since="3.17")
def test_what_is_no_memory_file_has_no_seals(pipe):
    """Seals can be neither added to nor asked of what does not support them."""
    fd = pipe().write_fd
    with fails_with(EINVAL):
        add_seals(fd, F_SEAL_GROW)
    with fails_with(EINVAL):
        get_seals(fd)
