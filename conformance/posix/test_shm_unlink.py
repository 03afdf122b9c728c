"""shm_open(3), shm_unlink: removing the name of a shared memory object."""

from __future__ import annotations

import os
from errno import EACCES, ENAMETOOLONG, ENOENT

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import shm_open, shm_unlink

from ..credentials import OTHER_GROUP, STRANGER

NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL


@clause("shm_unlink.name-gone-content-stays", "shm_open(3)", "DESCRIPTION")
def test_the_name_goes_and_the_content_stays(posix_shm):
    """The name is gone at once; who has the object open or mapped keeps it, and can go on using it."""
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
def test_the_name_can_be_given_to_a_new_object(posix_shm, names, opened):
    """After the name was removed an object can be made with it that has nothing to do with the old one."""
    name = names()
    old = posix_shm(100, name=name)
    old.map().buf[:3] = b"old"
    shm_unlink(name)
    fd = opened(name, NEW)
    assert not os.path.sameopenfile(fd, old.fd)
    assert os.fstat(fd).st_size == 0
    assert os.pread(old.fd, 3, 0) == b"old"


@clause("shm_unlink.enoent", "shm_open(3)", "ERRORS", errno=ENOENT)
def test_a_name_that_nobody_has_cannot_be_removed(names, posix_shm):
    """Removing a name that no object has is refused, also one that was removed before."""
    shared = posix_shm()
    shm_unlink(shared.name)
    for name in (names(), shared.name):
        with fails_with(ENOENT):
            shm_unlink(name)


@clause("shm_unlink.eacces", "shm_open(3)", "ERRORS", errno=EACCES)
def test_a_stranger_cannot_remove_a_name(posix_shm, as_user):
    """Who does not own the object is refused with EACCES, even where its mode lets him read and write; the name stays."""
    shared = posix_shm()
    os.fchmod(shared.fd, 0o666)

    def remove() -> None:
        with fails_with(EACCES):
            shm_unlink(shared.name)

    as_user(STRANGER, OTHER_GROUP, remove)
    assert shared.exists()


@clause("shm_unlink.enametoolong", "shm_open(3)", "ERRORS", errno=ENAMETOOLONG)
def test_a_name_that_is_too_long_cannot_be_removed():
    """Removing a name that is too long for any object is refused with ENAMETOOLONG."""
    with fails_with(ENAMETOOLONG):
        shm_unlink("/" + "x" * 256)
