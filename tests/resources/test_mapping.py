"""Mappings: their file, their operations, and their release."""

from __future__ import annotations

import os
import re
import signal
from errno import EACCES, EEXIST

import pytest

from pytest_ipc import Mapping, fails_with, scope
from pytest_ipc.kernel import (
    MADV_DONTNEED,
    MAP_PRIVATE,
    MAP_SHARED,
    MS_ASYNC,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    memfd_create,
)

from ..leaks import Snapshot


@pytest.fixture
def page():
    return os.sysconf("SC_PAGE_SIZE")


def test_a_mapping_and_its_file_live_as_long_as_the_block():
    with Mapping.create(5000) as mapping:
        assert (mapping.size, len(mapping.buf), mapping.mapped % os.sysconf("SC_PAGE_SIZE")) == (5000, 5000, 0)
        assert mapping.path is not None
        assert (mapping.path.stat().st_size, mapping.path.stat().st_blocks * 512 >= 5000) == (5000, True)
        assert os.path.samestat(os.fstat(mapping.fd or -1), mapping.path.stat())
        mapping.buf[4999] = 7
        assert mapping.path.read_bytes() == bytes(4999) + b"\x07"
        assert repr(mapping) == f"<Mapping of {mapping.path}, 5000 bytes at {mapping.address:#x}>"
    assert not mapping.path.parent.exists()


def test_a_private_mapping_does_not_change_its_file(mapped_file):
    mapping = mapped_file(100, shared=False)
    mapping.buf[0] = 7
    mapping.msync()
    assert mapping.path.read_bytes() == bytes(100)


def test_a_file_can_be_made_at_a_path(tmp_path, mapped_file):
    mapping = mapped_file(path=tmp_path / "here", mode=0o640)
    assert oct((tmp_path / "here").stat().st_mode & 0o777) == oct(0o640 & ~umask())
    mapping.unmap()
    assert list(tmp_path.iterdir()) == []


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("kind", ["file", "link"])
def test_existing_path_fails_and_is_kept(tmp_path, kind, temporary_root):
    (tmp_path / "target").write_text("kept")
    path = tmp_path / "target"
    if kind == "link":
        path = tmp_path / "link"
        path.symlink_to("nowhere")
    before = Snapshot.take(temporary_root)
    with fails_with(EEXIST):
        Mapping.create(path=path)
    assert before.left(Snapshot.take(temporary_root)) == []
    assert ((tmp_path / "target").read_text(), path.is_symlink()) == ("kept", kind == "link")


def test_replaced_file_is_kept(tmp_path):
    mapping = Mapping.create(path=tmp_path / "file")
    (tmp_path / "file").unlink()
    (tmp_path / "file").write_text("another")
    mapping.close()
    assert (tmp_path / "file").read_text() == "another"


def test_protection_is_changed_and_the_view_follows(mapped_file, fork):
    mapping = mapped_file()
    mapping.buf[0] = 7
    mapping.protect(PROT_READ)
    assert (mapping.buf.readonly, mapping.buf[0]) == (True, 7)
    with pytest.raises(TypeError, match="read-only"):
        mapping.buf[0] = 8
    mapping.protect(PROT_NONE)
    assert fork(lambda: mapping.buf[0]).wait() == -signal.SIGSEGV
    mapping.protect(PROT_READ | PROT_WRITE)
    mapping.buf[0] = 9


def test_a_protection_that_is_refused_changes_nothing(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 10)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    with Mapping.of(fd, 10, prot=PROT_READ) as mapping:
        with fails_with(EACCES):
            mapping.protect(PROT_READ | PROT_WRITE)
        assert (mapping.buf.readonly, bytes(mapping.buf)) == (True, b"x" * 10)
    os.close(fd)


def test_part_of_it_can_be_flushed_and_advised(mapped_file, page):
    mapping = mapped_file(3 * page, shared=False)
    mapping.buf[:] = b"x" * (3 * page)
    mapping.advise(MADV_DONTNEED, page, page)
    assert bytes(mapping.buf) == b"x" * page + bytes(page) + b"x" * page
    mapping.msync(MS_ASYNC, 2 * page, 1)
    for offset, length in ((-page, page), (0, 4 * page), (3 * page, 1), (page, -1)):
        for use in (mapping.msync, mapping.advise):
            with pytest.raises(ValueError, match="offset and length must be within <Mapping"):
                use(0, offset, length)


def test_anything_can_be_mapped(page):
    fd = memfd_create("mapped", 0)
    os.write(fd, b"a" * page + b"b" * page)
    with Mapping.of(fd, page, offset=page) as shared, Mapping.of(fd, page, flags=MAP_PRIVATE) as private:
        shared.buf[0] = private.buf[0] = ord("x")
        assert os.pread(fd, 1, 0) + os.pread(fd, 2, page) == b"axb"
        assert (shared.fd, shared.path, shared.descriptors()) == (None, None, [])
        assert repr(shared).startswith(f"<Mapping of descriptor {fd}, {page} bytes at 0x")
    os.close(fd)


def test_anonymous_memory_is_shared_with_a_child():
    with scope() as ipc, Mapping.of(None, 100, flags=MAP_SHARED) as mapping:
        ipc.fork(mapping.buf.__setitem__, 5, 7).result()
        assert mapping.buf[5] == 7
        assert repr(mapping).startswith("<Mapping of memory, 100 bytes")


def test_a_child_unmaps_its_own_copy_and_leaves_the_file():
    with scope() as ipc:
        mapping = ipc.mapped_file()

        def life():
            mapping.close()
            still = mapping.buf[0]
            mapping.unmap()
            assert mapping.path is not None
            return still, mapping.closed, mapping.path.exists()

        assert ipc.fork(life).result() == (0, True, True)
        mapping.buf[0] = 7


def test_it_is_unmapped_though_something_still_looks_at_it(mapped_file):
    mapping = mapped_file()
    match = re.match(b"\0", mapping.buf)
    mapping.unmap()
    with open("/proc/self/maps") as maps:
        assert f"{mapping.address:x}-" not in maps.read()
    assert match is not None
    with pytest.raises(ValueError, match="is closed"):
        mapping.unmap()


def test_a_child_has_the_descriptor_of_the_file(mapped_file, fork):
    mapping = mapped_file()
    assert fork(lambda: os.pwrite(mapping.fd, b"child", 0)).result() == 5
    assert bytes(mapping.buf[:5]) == b"child"
