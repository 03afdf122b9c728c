"""fcntl(2), File Sealing: operations that seals deny for a memory file."""

from __future__ import annotations

import os
from errno import EACCES, EBUSY, EINVAL, EOPNOTSUPP, EPERM

import pytest

from pytest_ipc import Need, clause, fails_with, untested
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
    """Create a sealable memory file of two pages: a page of a, a page of b."""
    fd = memfd(MFD_ALLOW_SEALING)
    os.write(fd, b"a" * page + b"b" * page)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def content(fd: int) -> bytes:
    return os.pread(fd, 1 << 20, 0)


@clause("fcntl.add_seals-add-up", "F_GET_SEALS(2const)", "F_ADD_SEALS", since="3.17")
def test_seals_add_up(sealable):
    """F_ADD_SEALS adds seals to the existing ones, which F_GET_SEALS returns; adding a seal again succeeds."""
    found = []
    for seals in (F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_GROW, 0):
        add_seals(sealable, seals)
        found.append(get_seals(sealable))
    assert found == [F_SEAL_GROW, *[F_SEAL_GROW | F_SEAL_SHRINK] * 3]


@clause("fcntl.seals-of-the-file", "fcntl(2)", "File Sealing", since="3.17")
def test_seals_belong_to_the_file(sealable, opened, fork):
    """Seals belong to the file: they apply to every descriptor, also one opened before, and in every process."""
    other = opened(f"/proc/self/fd/{sealable}", os.O_RDWR)
    add_seals(sealable, F_SEAL_SHRINK)
    assert get_seals(other) == F_SEAL_SHRINK
    with fails_with(EPERM):
        ftruncate(other, 0)
    fork(add_seals, other, F_SEAL_GROW).result()
    assert get_seals(sealable) == F_SEAL_SHRINK | F_SEAL_GROW


@clause("fcntl.f_seal_seal", "F_GET_SEALS(2const)", "F_SEAL_SEAL", errno=EPERM, since="3.17")
def test_seal_seal_denies_further_seals(sealable):
    """F_ADD_SEALS fails with EPERM if the file has F_SEAL_SEAL, and the other seals stay."""
    add_seals(sealable, F_SEAL_GROW | F_SEAL_SEAL)
    with fails_with(EPERM):
        add_seals(sealable, F_SEAL_SHRINK)
    assert get_seals(sealable) == F_SEAL_GROW | F_SEAL_SEAL
    ftruncate(sealable, 1)


@clause("fcntl.f_seal_shrink", "F_GET_SEALS(2const)", "F_SEAL_SHRINK", errno=EPERM, since="3.17")
def test_seal_shrink_denies_shrinking(sealable, page):
    """With F_SEAL_SHRINK, ftruncate() to a smaller size and open()
    with O_TRUNC fail with EPERM; growing and writing succeed.
    """
    add_seals(sealable, F_SEAL_SHRINK)
    with fails_with(EPERM):
        ftruncate(sealable, 2 * page - 1)
    with fails_with(EPERM):
        os.close(os.open(f"/proc/self/fd/{sealable}", os.O_RDWR | os.O_TRUNC))
    ftruncate(sealable, 2 * page + 5)
    os.pwrite(sealable, b"x", 0)
    assert content(sealable) == b"x" + b"a" * (page - 1) + b"b" * page + bytes(5)


@clause("fcntl.f_seal_grow", "F_GET_SEALS(2const)", "F_SEAL_GROW", errno=EPERM, since="3.17")
def test_seal_grow_denies_growing(sealable, page):
    """With F_SEAL_GROW, ftruncate(), fallocate() and write() beyond the
    end fail with EPERM; writing within and shrinking succeed.
    """
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
def test_seal_write_denies_writing(sealable, page):
    """With F_SEAL_WRITE, write() and a shared writable mmap() fail with EPERM, and so does punching a hole."""
    add_seals(sealable, F_SEAL_WRITE)
    before = content(sealable)
    with fails_with(EPERM):
        write(sealable, b"x")
    with fails_with(EPERM):
        mmap(None, page, PROT_READ | PROT_WRITE, MAP_SHARED, sealable)
    with fails_with(EPERM, EOPNOTSUPP):  # EOPNOTSUPP where holes are not supported
        fallocate(sealable, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, page)
    assert content(sealable) == before
    ftruncate(sealable, page)
    ftruncate(sealable, 2 * page)


@clause("fcntl.f_seal_write-private-mapping", "F_GET_SEALS(2const)", "F_SEAL_WRITE", since="3.17")
def test_seal_write_permits_private_mappings(sealable, mapping, page):
    """With F_SEAL_WRITE, a private writable mapping is permitted, and its stores stay private."""
    add_seals(sealable, F_SEAL_WRITE)
    private = mapping(sealable, page, flags=MAP_PRIVATE)
    private.buf[0] = ord("x")
    assert content(sealable)[:1] == b"a"


@clause("fcntl.f_seal_write-read-only-mapping", "F_GET_SEALS(2const)", "F_SEAL_WRITE", errno=EACCES, since="6.7")
def test_seal_write_permits_read_only_mappings(sealable, mapping, page):
    """With F_SEAL_WRITE, a shared read-only mapping is permitted, and mprotect() to writable fails with EACCES."""
    add_seals(sealable, F_SEAL_WRITE)
    try:
        shared = mapping(sealable, page, PROT_READ)
    except PermissionError:
        untested(
            Need.NEWER_KERNEL,
            "needs Linux 6.7: until then such a mapping of a file open for writing counted as one to write",
        )
    assert bytes(shared.buf) == b"a" * page
    with fails_with(EACCES):
        mprotect(shared.address, page, PROT_READ | PROT_WRITE)


@clause("fcntl.f_seal_write-mapped-ebusy", "fcntl(2)", "ERRORS", errno=EBUSY, since="3.17")
def test_seal_write_fails_while_mapped_writable(sealable, page):
    """F_ADD_SEALS with F_SEAL_WRITE fails with EBUSY while a shared
    writable mapping exists, and adds none of its seals.
    """
    address = mmap(None, page, PROT_READ | PROT_WRITE, MAP_SHARED, sealable)
    with fails_with(EBUSY):
        add_seals(sealable, F_SEAL_WRITE | F_SEAL_GROW)
    assert get_seals(sealable) == 0
    munmap(address, page)
    add_seals(sealable, F_SEAL_WRITE | F_SEAL_GROW)
    assert get_seals(sealable) == F_SEAL_WRITE | F_SEAL_GROW


@clause("mmap.memfd-future_write", "F_GET_SEALS(2const)", "F_SEAL_FUTURE_WRITE", errno=EPERM, since="5.1")
def test_seal_future_write_keeps_existing_mappings(sealable, mapping, page):
    """With F_SEAL_FUTURE_WRITE, existing shared writable mappings stay usable; new ones and write() fail with EPERM."""
    shared = mapping(sealable, page)
    add_seals(sealable, F_SEAL_FUTURE_WRITE)
    poke(shared.address, ord("x"))
    with fails_with(EPERM):
        mmap(None, page, PROT_READ | PROT_WRITE, MAP_SHARED, sealable)
    with fails_with(EPERM):
        write(sealable, b"y")
    read_only = mapping(sealable, page, PROT_READ)
    assert bytes(read_only.buf[:2]) == b"xa"
    with fails_with(EACCES):
        mprotect(read_only.address, page, PROT_READ | PROT_WRITE)


@clause("fcntl.add_seals-unknown-einval", "fcntl(2)", "ERRORS", errno=EINVAL, since="3.17")
def test_unknown_seal_fails(sealable):
    """F_ADD_SEALS fails with EINVAL for an unknown seal, and adds none."""
    with fails_with(EINVAL):
        add_seals(sealable, F_SEAL_GROW | 1 << 20)
    assert get_seals(sealable) == 0


@clause("fcntl.add_seals-read-only-eperm", "fcntl(2)", "ERRORS", errno=EPERM, since="3.17")
def test_read_only_descriptor_cannot_add_seals(sealable, opened):
    """F_ADD_SEALS fails with EPERM on a descriptor that is not open for writing, and F_GET_SEALS succeeds."""
    fd = opened(f"/proc/self/fd/{sealable}", os.O_RDONLY)
    with fails_with(EPERM):
        add_seals(fd, F_SEAL_GROW)
    assert get_seals(fd) == 0


@clause("fcntl.seals-unsupported-einval", "fcntl(2)", "ERRORS", errno=EINVAL, since="3.17")
def test_pipe_has_no_seals(pipe):
    """F_ADD_SEALS and F_GET_SEALS fail with EINVAL on a descriptor without support for seals, such as a pipe."""
    fd = pipe().write_fd
    with fails_with(EINVAL):
        add_seals(fd, F_SEAL_GROW)
    with fails_with(EINVAL):
        get_seals(fd)
