"""POSIX shared memory: ownership, removal, space in /dev/shm, and no resource tracker."""

from __future__ import annotations

import os
import re
import signal
from errno import EEXIST, ENOENT, ENOSPC

import pytest

from pytest_ipc import SharedMemory, scope, unused_name
from pytest_ipc.kernel import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MS_PRIVATE,
    MS_REC,
    PROT_READ,
    map_user,
    mount,
    shm_open,
    shm_unlink,
    unshare,
)


@pytest.fixture
def page():
    return os.sysconf("SC_PAGE_SIZE")


def test_an_object_lives_as_long_as_its_block():
    with SharedMemory.create(5000) as shared:
        assert (shared.exists(), shared.size, shared.stat().st_size) == (True, 5000, 5000)
        assert os.lstat(f"/dev/shm{shared.name}").st_ino == shared.stat().st_ino
        assert re.fullmatch(rf"/pytest-ipc-{os.getpid()}-[0-9a-f]{{16}}", shared.name)
        assert repr(shared) == f"<SharedMemory {shared.name}>"
    assert not os.path.lexists(f"/dev/shm{shared.name}")


def test_bytes_stored_through_one_mapping_are_read_through_another(page):
    with SharedMemory.create(2 * page) as shared:
        whole, second, reader = shared.map(), shared.map(offset=page), shared.map(10, prot=PROT_READ)
        whole.buf[page] = 7
        assert (second.buf[0], len(second.buf), len(reader.buf), reader.buf.readonly) == (7, page, 10, True)
    assert (whole.closed, second.closed, reader.closed) == (True, True, True)


def test_its_memory_is_there_before_it_is_used(page):
    with SharedMemory.create(3 * page) as there, SharedMemory.create(3 * page, allocated=False) as promised:
        assert (there.stat().st_blocks * 512, promised.stat().st_blocks) == (3 * page, 0)
        promised.resize(5 * page)
        assert promised.stat().st_blocks * 512 == 2 * page, "what was gained"


def test_it_grows_and_shrinks_with_its_bytes():
    with SharedMemory.create(10) as shared:
        shared.map().buf[:] = b"0123456789"
        for size in (5000, 4, 0, 6):
            shared.resize(size)
            assert shared.size == size
        assert os.pread(shared.fd, 100, 0) == bytes(6)


def test_an_object_without_bytes():
    with SharedMemory.create(0) as shared:
        assert shared.size == 0
        with pytest.raises(ValueError, match="at least 1 byte"):
            shared.map()


def in_a_small_dev_shm(size: int) -> str | None:
    """Give this process, a child, a /dev/shm of that size."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        before = os.readlink("/proc/self/ns/mnt")
        try:
            unshare(CLONE_NEWNS)
        except PermissionError:
            unshare(CLONE_NEWUSER | CLONE_NEWNS)
            map_user(0, 0, uid, gid)
        if os.readlink("/proc/self/ns/mnt") == before:
            return "unshare makes none"
        mount("none", "/", None, MS_REC | MS_PRIVATE)
        mount("none", "/dev/shm", "tmpfs", 0, f"size={size}")
    except OSError as error:
        return error.strerror
    return None


def test_where_dev_shm_is_too_small_it_is_said_with_the_numbers(fork):
    def life():
        if reason := in_a_small_dev_shm(1 << 20):
            return reason
        with scope() as ipc:
            first = ipc.posix_shm(600_000)
            for fails in (lambda: ipc.posix_shm(600_000), lambda: first.resize(1_600_000)):
                with pytest.raises(OSError, match="No space left") as caught:
                    fails()
                assert caught.value.errno == ENOSPC
                reported = (
                    r"while giving shared memory /\S+ 1?600000 bytes: its file system has 4\d{5} bytes free of 1048576"
                )
                assert re.fullmatch(reported, caught.value.__notes__[0])
            assert (first.size, os.listdir("/dev/shm")) == (600_000, [first.name[1:]])
            ipc.posix_shm(2_000_000, allocated=False)
        return os.listdir("/dev/shm")

    left = fork(life).result()
    if isinstance(left, str):
        pytest.skip(f"no mount namespace can be made here: {left}")
    assert left == []


def test_a_timer_does_not_keep_it_from_being_made(fork):
    """Each signal undoes what the kernel has reached of an allocation."""

    def life():
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        with SharedMemory.create(24 << 20) as shared:
            signal.setitimer(signal.ITIMER_REAL, 0)
            return shared.stat().st_blocks * 512

    assert fork(life).result(timeout=60) == 24 << 20


def test_only_one_removal_is_the_one():
    with SharedMemory.create() as shared:
        other = SharedMemory.create(name=shared.name, flags=os.O_RDWR)
        assert [other.unlink(), other.unlink(), shared.unlink(), shared.unlink()] == [True, False, False, False]
        assert (shared.exists(), shared.size, other.size) == (False, 4096, 4096)
        other.close()


def test_foreign_removal_is_harmless():
    with SharedMemory.create() as shared:
        shm_unlink(shared.name)
        assert not shared.unlink()


def test_other_object_with_its_name_is_kept():
    shared = SharedMemory.create()
    shm_unlink(shared.name)
    fd = shm_open(shared.name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        assert not shared.exists()
        shared.close()
        assert os.path.lexists(f"/dev/shm{shared.name}")
    finally:
        os.close(fd)
        shm_unlink(shared.name)


@pytest.mark.parametrize("flags", [os.O_RDWR, os.O_RDONLY, os.O_RDWR | os.O_CREAT])
def test_found_object_is_used_and_kept(flags):
    with SharedMemory.create(100) as theirs:
        with SharedMemory.create(5000, name=theirs.name, flags=flags) as found:
            assert (found.size, found.stat().st_ino) == (100, theirs.stat().st_ino)
            found.map(prot=PROT_READ)
        assert theirs.exists()


def test_creat_without_excl_owns_a_new_object():
    with SharedMemory.create(name=unused_name(), flags=os.O_RDWR | os.O_CREAT) as shared:
        assert shared.exists()
    assert not os.path.lexists(f"/dev/shm{shared.name}")


def test_existing_name_fails_and_is_kept():
    with SharedMemory.create() as first:
        with pytest.raises(FileExistsError) as caught:
            SharedMemory.create(name=first.name)
        assert caught.value.errno == EEXIST
        assert f"while opening shared memory {first.name} with flags" in caught.value.__notes__[0]
        assert first.exists()


def test_missing_object_is_not_created_without_creat():
    name = unused_name()
    with pytest.raises(FileNotFoundError) as caught:
        SharedMemory.create(name=name, flags=os.O_RDWR)
    assert caught.value.errno == ENOENT
    assert not os.path.lexists(f"/dev/shm{name}")


def test_a_mapping_outlives_the_descriptor():
    with SharedMemory.create() as shared:
        mapping = shared.map()
        shared.close_fd()
        shared.close_fd()
        mapping.buf[0] = 7
        for use in (lambda: shared.fd, lambda: shared.size, shared.map, shared.stat, lambda: shared.resize(1)):
            with pytest.raises(ValueError, match=r"the descriptor of <SharedMemory .*> is closed"):
                use()
        assert shared.exists()
    assert not os.path.lexists(f"/dev/shm{shared.name}")


def test_child_uses_objects_of_its_parent_and_removes_none():
    with scope() as ipc:
        shared = ipc.posix_shm()
        mapping = shared.map()

        def life():
            mapping.buf[0] = 7
            shared.map().buf[1] = 8
            mapping.unmap()
            shared.close()
            own = ipc.posix_shm()
            return own.name, own.exists(), shared.exists()

        name, *exist = ipc.fork(life).result()
        assert exist == [True, True]
        assert bytes(mapping.buf[:2]) == b"\x07\x08"
        assert (shared.exists(), os.path.lexists(f"/dev/shm{name}")) == (True, False)


def test_a_child_that_unlinks_does_it_for_all():
    with scope() as ipc:
        shared = ipc.posix_shm()
        assert ipc.fork(shared.unlink).result() is True
        assert (shared.exists(), shared.unlink()) == (False, False)


def test_the_resource_tracker_never_hears_of_it(program):
    program(
        "import sys, pytest_ipc\n"
        "with pytest_ipc.scope() as ipc:\n"
        "    ipc.posix_shm().map().buf[0] = 1\n"
        "    assert not [name for name in sys.modules if name.startswith('multiprocessing')]\n"
        "from multiprocessing import resource_tracker\n"
        "assert resource_tracker._resource_tracker._pid is None\n"
    )


def test_names_are_not_drawn_twice():
    names = {unused_name() for _ in range(1000)}
    assert len(names) == 1000
    assert all(len(name) <= 251 for name in names), "musl and semaphores have room for a little less than 255"


def test_foreign_object_is_kept_and_its_removal_explained(fork):
    if os.geteuid() != 0:
        pytest.skip("needs a second user: this one is not root")

    def life():
        with SharedMemory.create() as shared:
            os.setresuid(65534, 65534, 65534)
            note = ""
            try:
                shared.unlink()
            except PermissionError as error:
                note = error.__notes__[0]
            os._exit(0 if f"rm /dev/shm{shared.name}" in note else 1)

    child = fork(life)
    try:
        assert child.wait() == 0
    finally:
        for name in os.listdir("/dev/shm"):
            if name.startswith(f"pytest-ipc-{child.pid}-"):
                os.unlink(f"/dev/shm/{name}")
