"""POSIX semaphores: named and not, made whole, waited for with a deadline, and only what is ours is unlinked."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import pytest_ipc.custody.kinds.posix_sem
import pytest_ipc.resources.posix_semaphore
from pytest_ipc import PosixSemaphore, scope, unpatched, unused_name
from pytest_ipc.custody.kinds.posix_sem import path_of
from pytest_ipc.kernel import SEM_VALUE_MAX, Timespec, sem_close, sem_getvalue, sem_open, sem_post, sem_unlink


def names() -> set[str]:
    """Return the semaphores of this process, or without an owner."""
    return {path.name for path in Path("/dev/shm").iterdir() if f"pytest-ipc-{os.getpid()}-" in path.name}


def test_it_lives_as_long_as_its_block():
    with PosixSemaphore.create(3) as semaphore:
        assert semaphore.value == 3
        assert semaphore.name is not None
        assert repr(semaphore) == f"<PosixSemaphore {semaphore.name}>"
        assert os.path.basename(path_of(semaphore.name)) in names()
    assert names() == set()


@pytest.mark.parametrize("value", [0, 1, 2**29, SEM_VALUE_MAX])
@pytest.mark.parametrize("named", [True, False])
def test_it_has_the_value_that_was_asked_for_before_anybody_sees_it(value, named, monkeypatch):
    """The number that it is made with for custody's sake is gone when it gets the name that was asked for."""
    name = unused_name() if named else None
    seen = []
    link = os.link

    def look(source, target):
        link(source, target)
        assert name is not None
        found = sem_open(name, 0)
        seen.append(sem_getvalue(found))
        sem_close(found)

    monkeypatch.setattr(unpatched.os, "link", look)
    with PosixSemaphore.create(value, name=name) as semaphore:
        assert semaphore.value == value
    assert seen == [value] * named
    assert names() == set()


def test_mode_is_reduced_by_the_umask():
    umask = os.umask(0o027)
    try:
        with PosixSemaphore.create(mode=0o666) as semaphore:
            assert os.stat(path_of(semaphore.name or "")).st_mode & 0o777 == 0o640
    finally:
        os.umask(umask)


def test_it_is_taken_and_given():
    with PosixSemaphore.create(1) as semaphore:
        semaphore.wait()
        assert (semaphore.value, semaphore.try_wait()) == (0, False)
        semaphore.post()
        assert (semaphore.try_wait(), semaphore.value) == (True, 0)


@pytest.mark.parametrize("clockwait", [True, False], ids=["by the clock that nobody sets", "without sem_clockwait"])
@pytest.mark.parametrize("timeout", [0, 0.02])
def test_timeout_without_a_post(timeout, clockwait, monkeypatch):
    if not clockwait:

        def missing(*_arguments):
            raise OSError(38, "sem_clockwait: this libc has no such function")

        monkeypatch.setattr(pytest_ipc.resources.posix_semaphore, "sem_clockwait", missing)
    monkeypatch.setattr(pytest_ipc.resources.posix_semaphore, "_has_clockwait", True)
    with PosixSemaphore.create() as semaphore:
        with pytest.raises(
            TimeoutError, match=f"^waited {timeout} s for a post of <PosixSemaphore {semaphore.name}>; its value is 0$"
        ):
            semaphore.wait(timeout=timeout)
        semaphore.post()
        semaphore.wait(timeout=timeout)
        assert semaphore.value == 0


def test_a_long_time_is_waited_for_though_the_waits_are_short(posix_sem, fork, monkeypatch):
    """Each round ends after a second at most; its end is not a timeout."""
    semaphore = posix_sem()
    rounds = []

    class Short(Timespec):
        @classmethod
        def ahead(cls, seconds, clock):
            rounds.append(seconds)
            return Timespec.ahead(min(seconds, 0.001), clock)

    monkeypatch.setattr(pytest_ipc.resources.posix_semaphore, "Timespec", Short)
    with pytest.raises(TimeoutError):
        semaphore.wait(timeout=0.05)
    fork(sem_post, semaphore.address).result()
    semaphore.wait(timeout=1e9)
    assert len(rounds) > 3
    assert max(rounds) <= 1.0


def test_a_signal_does_not_end_the_wait(posix_sem, fork, signals):
    semaphore = posix_sem()

    def child(timeout):
        caught = signals.catch(signal.SIGUSR1)
        signals.unblock(signal.SIGUSR1)
        semaphore.wait(timeout=timeout)
        return caught.count

    for timeout in (None, 60):
        waiter = fork(child, timeout)
        waiter.wait_blocked("futex")
        waiter.signal(signal.SIGUSR1)
        waiter.wait_blocked("futex")
        semaphore.post()
        assert waiter.result() in (0, 1)


def test_parent_and_child_share_one_without_a_name(fork):
    with PosixSemaphore.create(shared=True) as semaphore:
        assert semaphore.name is None
        assert "without a name at 0x" in repr(semaphore)
        fork(semaphore.post).result()
        semaphore.wait(timeout=5)
        with pytest.raises(ValueError, match="must have a name to be unlinked"):
            semaphore.unlink()
        assert names() == set()


def test_only_one_removal_is_the_one():
    with PosixSemaphore.create() as semaphore:
        other = PosixSemaphore.create(name=semaphore.name, flags=0)
        assert [other.unlink(), other.unlink(), semaphore.unlink(), semaphore.unlink()] == [True, False, False, False]
        other.close()
        assert semaphore.value == 0


@pytest.mark.parametrize("flags", [0, os.O_CREAT])
def test_one_that_was_found_is_not_unlinked(flags):
    with PosixSemaphore.create(4) as theirs:
        with PosixSemaphore.create(9, name=theirs.name, flags=flags) as found:
            assert found.value == 4
        assert sem_getvalue(theirs.address) == 4
        assert theirs.unlink()


def test_existing_name_fails_and_is_kept():
    with PosixSemaphore.create(4) as theirs:
        with pytest.raises(FileExistsError, match="sem_open: File exists") as caught:
            PosixSemaphore.create(1, name=theirs.name)
        assert caught.value.__notes__ == [f"while making a POSIX semaphore {theirs.name}, value 1, mode 0o600"]
        assert theirs.value == 4
        assert len(names()) == 1


def test_unused_name_is_not_found():
    with pytest.raises(FileNotFoundError, match="sem_open"):
        PosixSemaphore.create(name=unused_name(), flags=0)


def test_another_in_its_place_is_not_unlinked():
    name = unused_name()
    with PosixSemaphore.create(name=name):
        sem_unlink(name)
        other = sem_open(name, os.O_CREAT | os.O_EXCL, 0o600, 5)
    assert sem_getvalue(other) == 5
    again = sem_open(name, 0)
    sem_close(again)
    sem_close(other)
    sem_unlink(name)


def test_a_child_does_not_end_its_parents(fork):
    with PosixSemaphore.create(2) as semaphore:
        fork(semaphore.close).result()
        assert semaphore.value == 2
        assert semaphore.unlink()


def test_object_of_a_child_ends_with_the_child(fork):
    def life() -> str | None:
        return PosixSemaphore.create().name

    with scope() as ipc:
        child = ipc.fork(life)
        name = child.result()
    with pytest.raises(FileNotFoundError):
        sem_open(name or "", 0)
    assert fork(int).result() == 0


def test_where_it_cannot_be_found_again_it_is_not_made(monkeypatch):
    """A libc with its semaphores in another directory: custody cannot find them, so creation fails."""
    monkeypatch.setattr(pytest_ipc.custody.kinds.posix_sem, "_PREFIXES", ("nowhere.",))
    with pytest.raises(FileNotFoundError, match="there is no such semaphore in /dev/shm"):
        PosixSemaphore.create()
    assert names() == set()
