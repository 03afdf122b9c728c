"""shm_open(3), shm_unlink: unlinking a shared memory object."""

from __future__ import annotations

import os
from errno import EACCES, ENAMETOOLONG, ENOENT

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import shm_open, shm_unlink

from ..credentials import OTHER_GROUP, STRANGER

NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL


@clause("shm_unlink.name-gone-content-stays", "shm_open(3)", "DESCRIPTION")
def test_unlinked_object_stays_usable(posix_shm):
    """shm_unlink() removes the name at once; open descriptors and mappings of the object stay usable."""
    shared = posix_shm(100)
    first, second = shared.map(), shared.map()
    first.buf[:4] = b"kept"
    shm_unlink(shared.name)
    with fails_with(ENOENT):
        shm_open(shared.name, os.O_RDWR)
    assert os.pread(shared.fd, 4, 0) == b"kept"
    assert bytes(second.buf[:4]) == b"kept"
    second.buf[0] = ord("K")
    assert (first.buf[0], shared.stat().st_nlink) == (ord("K"), 0)


@clause("shm_unlink.new-object-distinct", "shm_open(3)", "DESCRIPTION")
def test_name_can_be_reused_after_unlink(posix_shm, names, opened):
    """shm_open() with O_CREAT after shm_unlink() creates a new object, separate from the unlinked one."""
    name = names()
    old = posix_shm(100, name=name)
    old.map().buf[:3] = b"old"
    shm_unlink(name)
    fd = opened(name, NEW)
    assert not os.path.sameopenfile(fd, old.fd)
    assert os.fstat(fd).st_size == 0
    assert os.pread(old.fd, 3, 0) == b"old"


@clause("shm_unlink.enoent", "shm_open(3)", "ERRORS", errno=ENOENT)
def test_unlink_of_unused_name_fails(names, posix_shm):
    """shm_unlink() fails with ENOENT for a name that no object has or that is already unlinked."""
    shared = posix_shm()
    shm_unlink(shared.name)
    for name in (names(), shared.name):
        with fails_with(ENOENT):
            shm_unlink(name)


@clause("shm_unlink.eacces", "shm_open(3)", "ERRORS", errno=EACCES)
def test_unlink_by_another_user_fails(posix_shm, as_user):
    """shm_unlink() fails with EACCES for a user who does not own the
    object, even if its mode grants access; the name stays.
    """
    shared = posix_shm()
    os.fchmod(shared.fd, 0o666)

    def remove() -> None:
        with fails_with(EACCES):
            shm_unlink(shared.name)

    as_user(STRANGER, OTHER_GROUP, remove)
    assert shared.exists()


@clause("shm_unlink.enametoolong", "shm_open(3)", "ERRORS", errno=ENAMETOOLONG)
def test_unlink_of_long_name_fails():
    """shm_unlink() fails with ENAMETOOLONG for a name longer than the maximum."""
    with fails_with(ENAMETOOLONG):
        shm_unlink("/" + "x" * 256)
