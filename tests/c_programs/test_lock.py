"""A C program that holds a lock, or waits for one of ours."""

from __future__ import annotations

import os
from errno import EINVAL
from signal import SIGUSR1, SIGUSR2

import pytest

from pytest_ipc import FileLock
from pytest_ipc.kernel import F_OFD_GETLK, F_RDLCK, F_WRLCK, RecordLock, fcntl_getlk, proc_locks

# How the program takes it, how we do, and the system call that it waits in.
KINDS = [("flock", "flock", "flock"), ("posix", "posix", "fcntl"), ("ofd", "ofd", "fcntl"), ("lockf", "posix", "fcntl")]


@pytest.fixture(params=KINDS, ids=lambda kind: kind[0])
def kind(request):
    return request.param


@pytest.fixture
def lock(file_lock, kind) -> FileLock:
    """One of ours, of the same kind as the program's."""
    made: FileLock = file_lock(kind=kind[1])
    if kind[1] == "ofd":
        try:
            fcntl_getlk(made.fd, F_OFD_GETLK, RecordLock(F_RDLCK))
        except OSError as error:
            if error.errno == EINVAL:
                pytest.skip("no open file description locks here")
            raise
    return made


def where(kind: tuple[str, ...], start: int, length: int) -> tuple[int, int]:
    """Return the range, which a flock has none of."""
    return (0, 0) if kind[1] == "flock" else (start, length)


def test_its_lock_keeps_us_out_until_it_lets_go(lock, kind, peer):
    holder = peer("lock", lock.path, kind[0], "exclusive", 10, 5)
    holder.wait_blocked("sigwait")
    assert not lock.try_acquire(False, *where(kind, 14, 1))
    if kind[1] != "flock":
        assert lock.try_acquire(False, 15, 1)
    if kind[1] != "flock" or proc_locks() is not None:
        found = lock.test(False, *where(kind, 0, 0))
        assert found is not None
        assert (found.type, found.start, found.len) == (F_WRLCK, *where(kind, 10, 5))
        assert found.pid == (-1 if kind[1] == "ofd" else holder.pid)
    if proc_locks() is not None:
        assert f"process {holder.pid} (lock)" in lock.picture()
    holder.signal(SIGUSR1)
    lock.acquire(False, *where(kind, 14, 1), timeout=10)
    holder.signal(SIGUSR2)
    assert holder.wait() == 0, holder.output


def test_it_waits_until_we_let_go(lock, kind, peer):
    lock.acquire(True, *where(kind, 10, 5))
    waiter = peer("lock", lock.path, kind[0], "exclusive", 0, 11)
    waiter.wait_blocked(kind[2])
    if proc_locks() is not None:
        assert "    waited for: exclusive " in lock.picture()
    lock.release(*where(kind, 10, 1))
    waiter.wait_blocked("sigwait")
    assert not lock.try_acquire(True, *where(kind, 0, 1))


def test_program_sees_our_lock(file_lock, peer):
    lock = file_lock(kind="posix")
    lock.acquire(True, 1 << 40, 7)
    asker = peer("lock", lock.path, "ask", "exclusive", 0, 0)
    assert asker.wait() == 0
    assert asker.output == f"shared {1 << 40} 7 {os.getpid()}\n"
    asker = peer("lock", lock.path, "ask", "shared", 0, 0)
    assert asker.wait() == 0
    assert asker.output == "free\n"


@pytest.fixture
def leased(file_lock) -> FileLock:
    """Return a file that a lease can be had of."""
    lock: FileLock = file_lock(flags=os.O_RDONLY)
    try:
        lock.take_lease(shared=True).release()
    except OSError as error:
        pytest.skip(f"no lease of a temporary file here: {error}")
    return lock


def test_its_lease_is_broken_by_us(leased, peer):
    holder = peer("lock", leased.path, "lease", "shared", 0, 0)
    holder.wait_blocked("sigwait")
    os.close(os.open(leased.path, os.O_WRONLY))  # waits until it has let go
    holder.wait_blocked("sigwait")
    holder.signal(SIGUSR2)
    assert holder.wait() == 0, holder.output


def test_our_lease_is_broken_by_it(leased, peer):
    lease = leased.take_lease(shared=True)
    opener = peer("lock", leased.path, "ask", "shared", 0, 0)
    lease.wait_break()
    opener.wait_blocked("open")
    lease.release()
    assert opener.wait() == 0
    assert opener.output == "free\n"
