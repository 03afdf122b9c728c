"""The sweep removes what was made under a reservation, and nothing else that has its name or key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from pytest_ipc import unused_key, unused_name
from pytest_ipc.custody.namespaces import ipc_identity
from pytest_ipc.custody.sweep import sweep
from pytest_ipc.kernel import msgctl_rmid, msgget, semctl_rmid, semget, shm_open, shm_unlink, shmctl_rmid, shmget

from .forging import about, dead_process, forge


@pytest.fixture
def name() -> Iterator[str]:
    """A name of shared memory."""
    name = unused_name()
    os.close(shm_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR))
    yield name
    if os.path.exists(f"/dev/shm{name}"):
        shm_unlink(name)


@pytest.fixture
def key() -> Iterator[int]:
    """A key of an object of each type."""
    key = unused_key()
    shmid, semid, msqid = shmget(key, 100, 0o1600), semget(key, 1, 0o1600), msgget(key, 0o1600)
    yield key
    for remove, id in ((shmctl_rmid, shmid), (semctl_rmid, semid), (msgctl_rmid, msqid)):
        with suppress(OSError):  # the sweep has removed it
            remove(id)


@pytest.mark.parametrize(("age", "removed"), [(-100, 0), (100, 2)], ids=["older", "later"])
def test_only_what_came_after_the_reservation_is_removed(state_dir, name, key, age, removed):
    at = {"at": os.stat(f"/dev/shm{name}").st_ctime - age, "uid": os.geteuid(), "ipc": ipc_identity()}
    forge(
        state_dir,
        about(1, "reserved-name", name=name, **at),
        about(2, "reserved-key", key=key, **at),
        process=dead_process(),
    )
    assert len(sweep().removed) == removed
    assert os.path.exists(f"/dev/shm{name}") is (removed == 0)


@pytest.mark.parametrize("name", ["", "relative", "/a/../../etc/passwd", "/.."])
def test_forged_names_are_left(state_dir, name):
    forge(state_dir, about(1, "reserved-name", name=name, ipc=ipc_identity()), process=dead_process())
    assert sweep().removed == []
