"""Calls on mapped memory and its files: a round trip of each, values out of range, functions missing in libc."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from errno import EBADF, EINVAL, ENOMEM, ENOSYS
from functools import partial
from typing import Any

import pytest

from pytest_ipc import fails_with, unused_name
from pytest_ipc import kernel as ipc
from pytest_ipc.kernel import abi, libc

PAGE = os.sysconf("SC_PAGE_SIZE")


def test_mapping_is_created_changed_and_unmapped():
    address = ipc.mmap(None, 3 * PAGE)
    ctypes.memmove(address, b"here", 4)
    ipc.mprotect(address, PAGE, ipc.PROT_READ)
    ipc.madvise(address + PAGE, PAGE, ipc.MADV_DONTNEED)
    assert ipc.mincore(address, 3 * PAGE)[0] is True
    assert len(ipc.mincore(address, 2 * PAGE + 1)) == 3
    ipc.mlock(address, 1)
    ipc.munlock(address, PAGE)
    ipc.mprotect(address, PAGE, ipc.PROT_READ | ipc.PROT_WRITE)
    moved = ipc.mremap(address, 3 * PAGE, 40 * PAGE)
    assert ctypes.string_at(moved, 4) == b"here"
    ipc.munmap(moved, 40 * PAGE)
    with fails_with(ENOMEM):
        ipc.mincore(moved, PAGE)


def test_mlock2_accepts_mlock_onfault():
    address = ipc.mmap(None, 2 * PAGE)
    try:
        ipc.mlock2(address, 2 * PAGE, ipc.MLOCK_ONFAULT)
    except OSError as error:
        if error.errno != ENOSYS:
            raise
        pytest.skip("mlock2 is not available, as under an emulator or with an old libc")
    finally:
        ipc.munmap(address, 2 * PAGE)


def test_memfd_is_created_sized_and_sealed():
    fd = ipc.memfd_create("round", ipc.MFD_ALLOW_SEALING)
    try:
        ipc.ftruncate(fd, PAGE)
        ipc.posix_fallocate(fd, 0, 2 * PAGE)
        ipc.fallocate(fd, ipc.FALLOC_FL_KEEP_SIZE, 0, 3 * PAGE)
        address = ipc.mmap(None, PAGE, flags=ipc.MAP_SHARED, fd=fd, offset=PAGE)
        ctypes.memmove(address, b"x", 1)
        ipc.msync(address, PAGE)
        ipc.munmap(address, PAGE)
        assert (os.fstat(fd).st_size, os.pread(fd, 1, PAGE)) == (2 * PAGE, b"x")
        ipc.add_seals(fd, ipc.F_SEAL_WRITE | ipc.F_SEAL_SEAL)
        assert ipc.get_seals(fd) == ipc.F_SEAL_WRITE | ipc.F_SEAL_SEAL
    finally:
        os.close(fd)


def test_shared_memory_is_created_opened_and_unlinked():
    name = unused_name()
    fd = ipc.shm_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
    try:
        again = ipc.shm_open(os.fsencode(name), os.O_RDONLY)
        assert os.path.sameopenfile(fd, again)
        os.close(again)
    finally:
        os.close(fd)
        ipc.shm_unlink(name)
    with pytest.raises(FileNotFoundError, match="shm_unlink: No such file or directory"):
        ipc.shm_unlink(name)


def test_posix_fallocate_raises_the_errno_it_returns():
    ctypes.set_errno(7)
    with pytest.raises(OSError, match="posix_fallocate: Bad file descriptor") as caught:
        ipc.posix_fallocate(-1, 0, 1)
    assert caught.value.errno == EBADF


TOO_LARGE: dict[str, Callable[[], object]] = {
    "mmap(-1, PAGE)": lambda: ipc.mmap(-1, PAGE),
    "mmap(1 << 64, PAGE)": lambda: ipc.mmap(1 << 64, PAGE),
    "mmap(None, -1)": lambda: ipc.mmap(None, -1),
    "mmap(None, PAGE, fd=1 << 31)": lambda: ipc.mmap(None, PAGE, fd=1 << 31),
    "mmap(None, PAGE, offset=1 << 63)": lambda: ipc.mmap(None, PAGE, offset=1 << 63),
    "munmap(-1, PAGE)": lambda: ipc.munmap(-1, PAGE),
    "mprotect(PAGE, 1 << 64, 0)": lambda: ipc.mprotect(PAGE, 1 << 64, 0),
    "mremap(PAGE, PAGE, 1 << 64)": lambda: ipc.mremap(PAGE, PAGE, 1 << 64),
    "mlock2(PAGE, PAGE, -1)": lambda: ipc.mlock2(PAGE, PAGE, -1),
    "ftruncate(0, 1 << 63)": lambda: ipc.ftruncate(0, 1 << 63),
    "posix_fallocate(0, 0, -(1 << 63) - 1)": lambda: ipc.posix_fallocate(0, 0, -(1 << 63) - 1),
    "memfd_create('x', -1)": lambda: ipc.memfd_create("x", -1),
    "shm_open('/x', 1 << 31)": lambda: ipc.shm_open("/x", 1 << 31),
}


@pytest.mark.parametrize("call", TOO_LARGE)
def test_value_beyond_the_c_type_raises_overflow_error(call):
    with pytest.raises(OverflowError, match="the range of the C type"):
        TOO_LARGE[call]()


@pytest.mark.parametrize(
    "call", [ipc.shm_unlink, partial(ipc.shm_open, oflag=0), ipc.memfd_create], ids=["unlink", "open", "memfd"]
)
def test_name_with_a_nul_raises_value_error(call):
    with pytest.raises(ValueError, match="must not contain a NUL"):
        call("/a\0b")
    with pytest.raises(TypeError):
        call(5)


def test_mmap_on_an_unknown_machine_raises_not_implemented_error(on_machine):
    on_machine("vax")
    with pytest.raises(NotImplementedError, match=r"^numbers unknown for the flags of mmap\(2\) on vax$"):
        ipc.mmap(None, PAGE)


def test_function_of_an_older_glibc_is_found_in_librt(monkeypatch):
    there = {"shm_unlink": ctypes.CDLL(None, use_errno=True).shm_unlink}
    asked: list[str] = []

    def load(home: str, **_options: object) -> dict[str, Any]:
        asked.append(home)
        if home != "librt.so.1":
            raise OSError(home)
        return there

    monkeypatch.setattr(libc, "_libc", Lacking())
    monkeypatch.setattr(ctypes, "CDLL", load)
    unlink = libc.function("shm_unlink", ctypes.c_int, ctypes.c_char_p)
    assert asked == ["librt.so.1"]
    with pytest.raises(FileNotFoundError, match="shm_unlink"):
        unlink(b"/pytest-ipc-nobody")


class Lacking:
    """A libc without any function."""

    def __getitem__(self, name: str) -> Any:
        raise AttributeError(name)


def test_function_missing_in_libc_fails_with_enosys():
    call = libc.function("no_such_call", ctypes.c_int)
    with pytest.raises(OSError, match="this libc has no such function") as caught:
        call()
    assert caught.value.errno == ENOSYS


@pytest.mark.parametrize(
    ("wide", "present", "expected"),
    [(True, True, "mmap"), (False, True, "mmap64"), (False, False, "mmap")],
    ids=["64 bits", "glibc on 32 bits", "musl on 32 bits"],
)
def test_functions_with_64_bit_offsets_are_used(monkeypatch, wide, present, expected):
    monkeypatch.setattr(ctypes, "sizeof", lambda _type: 8 if wide else 4)
    monkeypatch.setattr(libc, "_symbol", lambda _name: object() if present else None)
    assert libc.with_large_offsets("mmap") == expected


def test_powerpc_has_its_own_mmap_flags(probe):
    """The flags that differ between machines, as on this one."""
    names = ["MAP_LOCKED", "MAP_NORESERVE", "MCL_CURRENT", "MCL_FUTURE"]
    answer = probe("sys/mman.h", {name: name for name in names})
    assert {name: getattr(abi, name) for name in names} == answer


def test_unaligned_address_reaches_the_kernel():
    with fails_with(EINVAL):
        ipc.munmap(1, PAGE)
