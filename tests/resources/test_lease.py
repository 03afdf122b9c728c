"""Leases: broken by openers of the file, released, downgraded, and waited for with a deadline."""

from __future__ import annotations

import os

import pytest

from pytest_ipc import Lease
from pytest_ipc.kernel import F_RDLCK, F_UNLCK, F_WRLCK


@pytest.fixture
def lease(file_lock):
    """Return a lock and an exclusive lease of it."""
    lock = file_lock()
    try:
        return lock, lock.take_lease()
    except OSError as error:
        pytest.skip(f"no exclusive lease of a temporary file here: {error}")


def test_a_lease_is_broken_and_given_up(lease, fork):
    lock, mine = lease
    assert (mine.type, repr(mine)) == (F_WRLCK, f"<exclusive lease, {lock!r}>")
    child = fork(os.open, lock.path, os.O_RDONLY)
    child.wait_blocked("open")
    assert mine.wait_break() == F_RDLCK
    mine.release()
    assert child.result() > 2
    assert mine.type == F_UNLCK
    mine.release()


def test_timeout_without_a_lease_break(lease):
    lock, mine = lease
    with pytest.raises(
        TimeoutError,
        match=f"waited 0.01 s for another process to break the <exclusive lease, {lock!r}>; F_GETLEASE reports",
    ):
        mine.wait_break(timeout=0.01)


def test_a_lease_is_downgraded(file_lock, fork):
    lock = file_lock(flags=os.O_RDONLY)
    try:
        mine: Lease = lock.take_lease()
    except OSError as error:
        pytest.skip(f"no exclusive lease of a temporary file here: {error}")
    child = fork(os.open, lock.path, os.O_RDONLY)
    child.wait_blocked("open")
    mine.downgrade()
    assert child.result() > 2
    assert (mine.type, repr(mine)) == (F_RDLCK, f"<shared lease, {lock!r}>")
