"""File locks: each kind taken, refused, waited for and let go, and a refusal that says who is in the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from errno import EBADF, EDEADLK, EINVAL, ENOSYS
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc import Child, FileLock, Fork, Pipe, fails_with
from pytest_ipc.kernel import (
    F_OFD_GETLK,
    F_RDLCK,
    F_WRLCK,
    RecordLock,
    fcntl_getlk,
    locktable,
    open_descriptors,
    proc_locks,
)

KINDS = ["flock", "posix", "ofd"]


@pytest.fixture(params=KINDS)
def kind(request, file_lock):
    """Return a kind of lock that this platform has."""
    if request.param == "ofd":
        _needs_ofd(file_lock)
    return request.param


def _needs_ofd(file_lock: Callable[..., FileLock]) -> None:
    try:
        fcntl_getlk(file_lock().fd, F_OFD_GETLK, RecordLock(F_RDLCK))
    except OSError as error:
        if error.errno == EINVAL:
            pytest.skip("no open file description locks here")
        raise


@pytest.fixture
def by_another(fork):
    """Return what another process gets from another opening of the file: by_another(lock, shared) -> bool."""

    def ask(lock, shared=False, start=0, length=0):
        def life():
            with FileLock.create(lock.path, kind=lock.kind) as other:
                return other.try_acquire(shared, start, length)

        return fork(life).result()

    return ask


def test_it_lives_as_long_as_its_block(temporary_root):
    before = open_descriptors()
    with FileLock.create() as lock:
        assert (lock.path.parent.parent, repr(lock)) == (temporary_root, f"<flock lock of {lock.path}>")
        assert lock.descriptors() == [lock.fd]
        assert not os.get_inheritable(lock.fileno())
    assert not lock.path.parent.exists()
    assert open_descriptors() == before


@pytest.mark.parametrize("convert", [str, Path, os.fsencode], ids=["str", "Path", "bytes"])
def test_missing_file_is_created_and_removed(tmp_path, monkeypatch, convert):
    monkeypatch.chdir(tmp_path)
    with FileLock.create(convert("here")) as lock:
        monkeypatch.chdir("/")
        assert lock.path == tmp_path / "here"
        assert lock.path.read_bytes() == b""
    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_used_and_kept(tmp_path):
    (tmp_path / "data").write_text("mine")
    with FileLock.create(tmp_path / "data") as lock:
        lock.acquire()
    assert (tmp_path / "data").read_text() == "mine"


def test_processes_that_make_one_lock_file_exclude_each_other(tmp_path, fork, pipe, kind):
    """Each makes, locks and removes the file of a path as it comes; who holds the lock finds the file there."""
    path, inside, start = tmp_path / "lock", tmp_path / "inside", pipe()

    def life() -> int:
        start.close_write()
        start.read(1)
        for _ in range(50):
            with FileLock.create(path, kind=kind) as lock, lock.held(timeout=30):
                os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # FileExistsError where another is inside
                assert os.path.samestat(os.stat(path), os.fstat(lock.fd))
                inside.unlink()
        return 50

    children = [fork(life) for _ in range(3)]
    start.close_write()
    assert [child.result(timeout=60) for child in children] == [50, 50, 50]
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_waited_for_a_removed_file_is_one_of_the_new_file(tmp_path, fork, kind):
    path = tmp_path / "lock"
    first = FileLock.create(path, kind=kind)
    first.acquire()

    def life() -> tuple[bool, bool]:
        os.close(first.fd)  # or the lock would be kept by this copy
        with FileLock.create(path, kind=kind) as lock:
            lock.acquire(timeout=None)
            return os.path.samestat(os.stat(path), os.fstat(lock.fd)), os.get_inheritable(lock.fd)

    child = fork(life)
    child.wait_blocked("flock" if kind == "flock" else "fcntl")
    first.close()
    assert child.result() == (True, False)
    assert list(tmp_path.iterdir()) == []


def test_dangling_link_is_rejected(tmp_path):
    (tmp_path / "lock").symlink_to("nothing")
    with pytest.raises(FileNotFoundError):
        FileLock.create(tmp_path / "lock")


def test_another_file_in_its_place_is_not_removed(tmp_path):
    with FileLock.create(tmp_path / "lock") as lock:
        lock.path.unlink()
        lock.path.write_text("another's")
    assert (tmp_path / "lock").read_text() == "another's"


def test_an_exclusive_lock_keeps_all_others_out(file_lock, by_another, kind):
    lock = file_lock(kind=kind)
    lock.acquire()
    assert [by_another(lock, shared) for shared in (True, False)] == [False, False]
    lock.release()
    assert [by_another(lock, shared) for shared in (True, False)] == [True, True]
    lock.release()


def test_a_shared_lock_keeps_only_exclusive_ones_out(file_lock, by_another, kind):
    lock = file_lock(kind=kind)
    lock.acquire(shared=True)
    assert [by_another(lock, shared) for shared in (True, False)] == [True, False]
    lock.acquire()
    assert by_another(lock, True) is False, "it was converted"


def test_only_the_range_is_locked(file_lock, by_another, kind):
    lock = file_lock(kind=kind)
    if kind == "flock":
        for use in (lock.acquire, lock.try_acquire, lock.release, lock.test):
            with pytest.raises(ValueError, match="a flock is of the whole file"):
                use(start=1)
        return
    lock.acquire(start=10, length=5)
    lock.release(12, 1)
    assert [by_another(lock, False, byte, 1) for byte in range(9, 16)] == [True, False, False, True, False, False, True]
    lock.acquire(start=30, length=-10)
    assert [by_another(lock, False, byte, 1) for byte in (19, 20, 29, 30)] == [True, False, False, True]


def test_exception_in_a_held_block_unlocks(file_lock, by_another, kind):
    lock = file_lock(kind=kind)
    seen = []
    with suppress(KeyError), lock.held():
        seen.append(by_another(lock))
        raise KeyError
    assert seen == [False]
    assert by_another(lock)
    with lock.held():
        lock.close()


def test_two_openings_compete_in_one_process_but_for_record_locks(file_lock, kind):
    first = file_lock(kind=kind)
    second = file_lock(first.path, kind=kind)
    first.acquire()
    assert second.try_acquire() is (kind == "posix")


def test_it_is_waited_for_in_the_kernel_without_a_time_limit(file_lock, fork, kind):
    lock = file_lock(kind=kind)
    lock.acquire()

    def life():
        with FileLock.create(lock.path, kind=kind) as other:
            other.acquire(timeout=None)

    child = fork(life)
    child.wait_blocked("flock" if kind == "flock" else "fcntl")
    lock.release()
    assert child.result() is None


def test_a_signal_does_not_end_the_wait(file_lock, fork, signals, kind):
    lock = file_lock(kind=kind)
    lock.acquire()

    def life():
        caught = signals.catch(signal.SIGUSR1)
        with FileLock.create(lock.path, kind=kind) as other:
            other.acquire(timeout=None)
        return caught.count

    child = fork(life)
    call = "flock" if kind == "flock" else "fcntl"
    child.wait_blocked(call)
    child.signal(signal.SIGUSR1)
    child.wait_blocked(call)
    lock.release()
    assert child.result() == 1


def test_with_a_time_limit_it_is_had_when_it_is_free(file_lock, fork, pipe, kind):
    lock, word = file_lock(kind=kind), pipe()
    lock.acquire()

    def life():
        with FileLock.create(lock.path, kind=kind) as other:
            word.write(b"x")
            other.acquire(timeout=5)

    child = fork(life)
    word.read()
    lock.release()
    assert child.result() is None


def holding(fork: Fork, pipe: Callable[..., Pipe], path: Path, kind: str, shared: bool = False) -> Child[Any]:
    """Return a child that holds a lock of its own opening until it is ended."""
    word = pipe()

    def life():
        with FileLock.create(path, kind=kind) as lock:
            lock.acquire(shared)
            word.write(b"x")
            signal.pause()

    child = fork(life)
    word.read()
    return child


def test_timeout_names_the_holder(file_lock, fork, pipe, kind):
    lock = file_lock(kind=kind)
    child = holding(fork, pipe, lock.path, kind, shared=True)
    with pytest.raises(TimeoutError) as caught:
        lock.acquire(timeout=0.01)
    first, second = str(caught.value).splitlines()
    assert first == f"waited 0.01 s for an exclusive lock of bytes 0 to the end of {lock.path}; the locks are"
    if proc_locks() is None:
        assert second == "the holders of locks cannot be shown: /proc/locks does not exist"
    else:
        assert second.startswith("shared ")
        assert f"process {child.pid} (" in second
    assert lock.try_acquire(shared=True), "the state is as it was"


def test_holder_is_found(file_lock, fork, pipe, kind):
    lock = file_lock(kind=kind)
    if kind == "flock" and proc_locks() is None:
        with fails_with(ENOSYS):
            lock.test()
        return
    assert lock.test() is None
    lock.acquire(shared=True)
    assert lock.test() is None, "not this lock itself"
    child = holding(fork, pipe, lock.path, kind, shared=True)
    found = lock.test()
    assert found is not None
    assert (found.type, found.pid) == (F_RDLCK, -1 if kind == "ofd" else child.pid)
    assert lock.test(shared=True) is None
    child.close()
    lock.release()
    child = holding(fork, pipe, lock.path, kind)
    found = lock.test(shared=True)
    assert found is not None
    assert (found.type, found.pid) == (F_WRLCK, -1 if kind == "ofd" else child.pid)


def test_a_deadlock_that_the_kernel_finds_has_the_picture(file_lock, fork):
    lock = file_lock(kind="posix")
    lock.acquire(start=0, length=1)

    def life():
        with FileLock.create(lock.path, kind="posix") as other:
            other.acquire(start=1, length=1)
            other.acquire(start=0, length=1, timeout=None)

    child = fork(life)
    child.wait_blocked("fcntl")

    def closing_the_circle():
        with FileLock.create(lock.path, kind="posix") as mine:
            mine.acquire(start=2, length=1)
            mine.acquire(start=1, length=1, timeout=None)

    other = fork(closing_the_circle)
    other.wait_blocked("fcntl")
    if proc_locks() is None:
        pytest.skip("a platform that finds no deadlocks would wait here for ever")
    with pytest.raises(OSError, match="fcntl") as caught:
        lock.acquire(start=2, length=1, timeout=None)
    assert caught.value.errno == EDEADLK
    (note,) = caught.value.__notes__
    assert note.startswith(f"while {lock!r} waited for an exclusive lock of bytes 2 to 2\n")
    assert f"    waited for: exclusive record lock of bytes 0 to 0, process {child.pid} (" in note


def test_a_child_shares_a_lock_of_the_description(file_lock, fork, by_another):
    lock = file_lock()
    lock.acquire()
    fork(lock.release).result()
    assert by_another(lock)


def test_a_child_that_ends_its_copy_removes_nothing(file_lock, fork):
    lock = file_lock()
    fork(lock.close).result()
    assert lock.path.exists()


def test_a_read_only_file_takes_no_exclusive_record_lock(file_lock):
    lock = file_lock(kind="posix", flags=os.O_RDONLY)
    with fails_with(EBADF):
        lock.acquire()
    lock.acquire(shared=True)


def test_the_locks_go_with_the_object(file_lock, kind):
    first = file_lock(kind=kind)
    with file_lock(first.path, kind=kind) as lock:
        lock.acquire()
    assert first.try_acquire()


def test_where_the_table_is_missing_a_flock_cannot_be_asked(file_lock, monkeypatch):
    monkeypatch.setattr(locktable, "_lines", lambda _path: None)
    with fails_with(ENOSYS):
        file_lock().test()
