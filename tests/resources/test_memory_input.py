"""What no shared memory and no mapping can have is refused with one clear exception, and nothing is made on the way."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Callable
from typing import Any

import pytest

from pytest_ipc import Mapping, SharedMemory, fails_with, scope
from pytest_ipc.kernel import PROT_READ

from ..leaks import Snapshot

Make = Callable[[], Any]
shm: Callable[..., Any] = SharedMemory.create
mapped: Callable[..., Any] = Mapping.create

REFUSED: dict[str, tuple[Make, type[Exception], str]] = {
    "shared memory of -1 bytes": (lambda: shm(-1), ValueError, "from 0 to 9223372036854775807 bytes (off_t), not -1"),
    "shared memory of 8 EiB": (
        lambda: shm(1 << 63),
        ValueError,
        "9223372036854775807 bytes (off_t), not 9223372036854775808",
    ),
    "shared memory of 1.5 bytes": (lambda: shm(1.5), TypeError, "integer number of bytes, not 1.5"),
    "shared memory of '1' bytes": (lambda: shm("1"), TypeError, "integer number of bytes, not '1'"),
    "shared memory of True bytes": (lambda: shm(True), TypeError, "integer number of bytes, not True"),
    "shared memory mode too large": (lambda: shm(mode=0o1000), ValueError, "between 0 and 0o777, not 0o1000"),
    "shared memory mode negative": (lambda: shm(mode=-1), ValueError, "between 0 and 0o777, not -0o1"),
    "shared memory mode of text": (lambda: shm(mode="600"), TypeError, "permission bits"),
    "shared memory flags too large": (lambda: shm(flags=os.O_RDWR | 1 << 40), OverflowError, "range of the C type"),
    "shared memory made to be read": (lambda: shm(flags=os.O_RDONLY | os.O_CREAT), ValueError, "must contain O_RDWR"),
    "shared memory made to be written": (
        lambda: shm(flags=os.O_WRONLY | os.O_CREAT),
        ValueError,
        "must contain O_RDWR",
    ),
    "name of bytes": (lambda: shm(name=b"/name"), TypeError, "a string like '/name', not b'/name'"),
    "name of a number": (lambda: shm(name=7), TypeError, "a string like '/name', not 7"),
    "name without a slash": (lambda: shm(name="name"), ValueError, "a slash and a file name without a slash"),
    "name with a slash inside": (lambda: shm(name="/a/b"), ValueError, "a slash and a file name without a slash"),
    "name that is a slash": (lambda: shm(name="/"), ValueError, "a slash and a file name without a slash"),
    "name that is empty": (lambda: shm(name=""), ValueError, "a slash and a file name without a slash"),
    "name of this directory": (lambda: shm(name="/."), ValueError, "a slash and a file name without a slash"),
    "name of the directory above": (lambda: shm(name="/.."), ValueError, "a slash and a file name without a slash"),
    "name with a NUL": (lambda: shm(name="/a\0b"), ValueError, "it must not contain a NUL"),
    "name too long": (
        lambda: shm(name="/" + "x" * 256),
        ValueError,
        "256 bytes after the slash, the limit is 255 (NAME_MAX)",
    ),
    "name too long in bytes": (lambda: shm(name="/" + "é" * 128), ValueError, "256 bytes after the slash"),
    "mapping of 0 bytes": (lambda: mapped(0), ValueError, "at least 1 byte, not 0"),
    "mapping of -1 bytes": (lambda: mapped(-1), ValueError, "at least 1 byte, not -1"),
    "mapping of 1.5 bytes": (lambda: mapped(1.5), TypeError, "integer number of bytes, not 1.5"),
    "mapping of True bytes": (lambda: mapped(True), TypeError, "integer number of bytes, not True"),
    "mapping too large for C": (lambda: mapped(1 << 64), OverflowError, "range of the C type"),
    "mapping mode too large": (lambda: mapped(mode=0o1777), ValueError, "between 0 and 0o777, not 0o1777"),
    "mapping path with a NUL": (lambda: mapped(path="f\0"), ValueError, "cannot be the path of a mapped file"),
    "mapping path empty": (lambda: mapped(path=""), ValueError, "cannot be the path of a mapped file"),
    "mapping path of a number": (lambda: mapped(path=7), TypeError, "str, bytes or os.PathLike"),
    "mapping path too long": (lambda: mapped(path="x" * 300), OSError, "File name too long"),
    "mapping path in no directory": (lambda: mapped(path="no/file"), FileNotFoundError, "No such file"),
    "mapping of no descriptor": (lambda: Mapping.of(1 << 20, 1), OSError, "mmap: Bad file descriptor"),
    "mapping with an odd offset": (lambda: Mapping.of(None, 1, offset=1), OSError, "mmap: Invalid argument"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_invalid_arguments_of_memory_are_rejected(case, tmp_path, temporary_root, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, error, text = REFUSED[case]
    before = Snapshot.take(temporary_root)
    with pytest.raises(error, match=re.escape(text)):
        make()
    assert before.left(Snapshot.take(temporary_root)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_size_that_is_refused_changes_nothing():
    with SharedMemory.create(100) as shared:
        for size, error in ((-1, ValueError), (1 << 63, ValueError), ("5", TypeError)):
            with pytest.raises(error):
                shared.resize(size)  # type: ignore[arg-type]
        assert shared.size == 100


def test_size_beyond_rlimit_fsize_fails_without_a_leak(temporary_root, fork):
    def there() -> set[str]:
        shared = {name for name in os.listdir("/dev/shm") if f"-{os.getpid()}-" in name}
        return shared | set(os.listdir(temporary_root))

    def life() -> list[str]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        before = there()
        for make in (shm, mapped):
            with pytest.raises(OSError, match="posix_fallocate: File too large") as caught:
                make(2 << 20)
            assert caught.value.__notes__[0].endswith(" 2097152 bytes")
        with SharedMemory.create(100) as shared:
            with pytest.raises(OSError, match="posix_fallocate: File too large"):
                shared.resize(2 << 20)
            assert shared.size == 100
        return sorted(there() - before)

    assert fork(life).result() == []


def test_invalid_mapping_arguments_are_rejected():
    with SharedMemory.create(100) as shared, SharedMemory.create(name=shared.name, flags=os.O_RDONLY) as read_only:
        for size in (0, -1):
            with pytest.raises(ValueError, match="at least 1 byte"):
                shared.map(size)
        with fails_with(13):
            read_only.map()
        with fails_with(22):
            shared.map(10, offset=1)
        assert (shared.mappings, read_only.mappings) == ([], [])
        assert read_only.map(prot=PROT_READ).buf[0] == 0


def test_closed_object_is_rejected():
    with scope() as ipc:
        shared, mapping = ipc.posix_shm(), ipc.mapped_file()
        of_shared = shared.map()
    uses: dict[str, list[Make]] = {
        "SharedMemory /": [
            shared.map,
            shared.stat,
            lambda: shared.fd,
            lambda: shared.size,
            lambda: shared.resize(1),
        ],
        "Mapping of /": [
            mapping.msync,
            mapping.unmap,
            lambda: mapping.buf,
            lambda: mapping.fd,
            lambda: mapping.protect(PROT_READ),
            lambda: mapping.advise(0),
        ],
        "Mapping of shared memory /": [of_shared.msync, of_shared.unmap, lambda: of_shared.buf],
    }
    for name, calls in uses.items():
        for use in calls:
            with pytest.raises(ValueError, match=f"<{name}.* is closed"):
                use()
    for thing in (shared, mapping, of_shared):
        assert thing.closed
        thing.close()
