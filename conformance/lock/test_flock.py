"""flock(2): shared and exclusive locks, their conflicts, and errors."""

from __future__ import annotations

import os
import signal
import socket
from errno import EBADF, EINTR, EINVAL, EWOULDBLOCK
from os import O_RDONLY, O_RDWR, O_WRONLY
from signal import SIGUSR1

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import F_SETLK, F_WRLCK, LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, RecordLock, fcntl_setlk, flock

from .holders import take_flock


@clause("flock.sh-ex-un-basic", "flock(2)", "DESCRIPTION")
def test_operations_on_an_unlocked_file_succeed(file, opened):
    """flock() on an unlocked file succeeds with LOCK_SH, LOCK_EX and LOCK_UN, with and without LOCK_NB."""
    fd = opened(file).fd
    for operation in (LOCK_SH, LOCK_EX, LOCK_SH | LOCK_NB, LOCK_EX | LOCK_NB):
        flock(fd, operation)
        flock(fd, LOCK_UN)
    flock(fd, LOCK_UN)
    flock(fd, LOCK_UN | LOCK_NB)
    flock(opened(file).fd, LOCK_EX | LOCK_NB)


@pytest.mark.parametrize(
    ("operation", "errno"),
    [
        pytest.param(LOCK_EX, EBADF, id="closed-ebadf"),
        pytest.param(0, EINVAL, id="none-einval"),
        pytest.param(LOCK_NB, EINVAL, id="only-nb-einval"),
        pytest.param(LOCK_SH | LOCK_EX, EINVAL, id="both-einval"),
        pytest.param(0x4000, EINVAL, id="unknown-einval"),
    ],
)
@clause("flock.ebadf-einval", "flock(2)", "ERRORS")
def test_invalid_descriptor_or_operation_fails(file, opened, operation, errno):
    """flock() fails with EBADF for a closed descriptor and with EINVAL for an invalid operation, and locks nothing."""
    end = opened(file)
    fd = end.fd
    if errno == EBADF:
        end.close()
    with fails_with(errno):
        flock(fd, operation)
    flock(opened(file).fd, LOCK_EX | LOCK_NB)


@clause("flock.ewouldblock", "flock(2)", "ERRORS", errno=EWOULDBLOCK)
def test_lock_nb_fails_instead_of_blocking(file, opened):
    """flock() with LOCK_NB fails with EWOULDBLOCK if the file is locked, and succeeds after the lock is released."""
    holder, other = opened(file).fd, opened(file).fd
    flock(holder, LOCK_EX)
    with fails_with(EWOULDBLOCK):
        flock(other, LOCK_EX | LOCK_NB)
    flock(holder, LOCK_UN)
    flock(other, LOCK_EX | LOCK_NB)


@pytest.mark.parametrize(
    ("held", "requested", "conflicting"),
    [
        pytest.param(LOCK_SH, LOCK_SH, False, id="shared-shared"),
        pytest.param(LOCK_SH, LOCK_EX, True, id="shared-exclusive"),
        pytest.param(LOCK_EX, LOCK_SH, True, id="exclusive-shared"),
        pytest.param(LOCK_EX, LOCK_EX, True, id="exclusive-exclusive"),
    ],
)
@clause("flock.compat-matrix", "flock(2)", "DESCRIPTION")
def test_only_shared_locks_are_compatible(file, opened, fork, held, requested, conflicting):
    """flock() grants several shared locks of a file to different
    processes, and an exclusive lock only without any other.
    """
    flock(opened(file).fd, held)

    def request() -> None:
        if conflicting:
            with fails_with(EWOULDBLOCK):
                take_flock(file, requested | LOCK_NB)
        else:
            take_flock(file, requested | LOCK_NB)

    fork(request).result()


@pytest.mark.parametrize("flags", [O_RDONLY, O_WRONLY, O_RDWR], ids=["rdonly", "wronly", "rdwr"])
@clause("flock.any-open-mode", "flock(2)", "DESCRIPTION")
def test_access_mode_does_not_matter(file, opened, flags):
    """flock() grants shared and exclusive locks on a descriptor of any access mode."""
    fd = opened(file, flags).fd
    flock(fd, LOCK_SH | LOCK_NB)
    flock(fd, LOCK_EX | LOCK_NB)
    with fails_with(EWOULDBLOCK):
        flock(opened(file).fd, LOCK_SH | LOCK_NB)


@clause("flock.convert", "flock(2)", "DESCRIPTION")
def test_lock_can_be_converted(file, opened):
    """flock() converts the lock of an open file description from shared to exclusive and back."""
    own, other = opened(file).fd, opened(file).fd
    flock(own, LOCK_SH)
    flock(own, LOCK_EX)
    with fails_with(EWOULDBLOCK):
        flock(other, LOCK_SH | LOCK_NB)
    flock(own, LOCK_SH)
    flock(other, LOCK_SH | LOCK_NB)
    flock(other, LOCK_UN)
    flock(own, LOCK_UN)
    flock(other, LOCK_EX | LOCK_NB)


@clause("flock.conversion-not-atomic", "flock(2)", "NOTES", errno=EWOULDBLOCK)
def test_conversion_is_not_atomic(file, opened):
    """flock() releases the old lock before it acquires the new one: a
    conversion that fails with EWOULDBLOCK loses the lock.
    """
    own, other = opened(file).fd, opened(file).fd
    flock(own, LOCK_SH)
    flock(other, LOCK_SH)
    with fails_with(EWOULDBLOCK):
        flock(own, LOCK_EX | LOCK_NB)
    flock(other, LOCK_EX | LOCK_NB)


@clause("flock.blocks-until-released", "flock(2)", "DESCRIPTION")
def test_blocks_until_the_lock_is_released(file, opened, fork):
    """flock() without LOCK_NB blocks while a conflicting lock exists, and acquires the lock when that is released."""
    fd = opened(file).fd
    flock(fd, LOCK_SH)
    waiter = fork(take_flock, file, LOCK_EX)
    waiter.wait_blocked("flock")
    flock(fd, LOCK_UN)
    assert waiter.result() >= 0


@clause("flock.eintr", "flock(2)", "ERRORS", errno=EINTR)
def test_handler_interrupts_a_blocked_flock(file, opened, fork, signals):
    """A blocked flock() fails with EINTR when a signal handler without SA_RESTART runs, and locks nothing."""
    fd = opened(file).fd
    flock(fd, LOCK_EX)

    def child() -> None:
        signals.catch(SIGUSR1, flags=0)
        signals.unblock(SIGUSR1)
        with fails_with(EINTR):
            take_flock(file, LOCK_EX)
        signal.pause()

    waiter = fork(child)
    waiter.wait_blocked("flock")
    waiter.signal(SIGUSR1)
    waiter.wait_blocked("pause")
    flock(fd, LOCK_UN)
    flock(opened(file).fd, LOCK_EX | LOCK_NB)


@clause("flock.no-deadlock-detection", "flock(2)", "NOTES")
def test_deadlock_is_not_detected(file, tmp_path, fork, pipe):
    """flock() does not detect deadlocks: two processes that wait for each other block until one terminates."""
    second = tmp_path / "second"
    second.touch()
    go = pipe()

    def wait_for_first() -> None:
        take_flock(second, LOCK_EX)
        take_flock(file, LOCK_EX)

    def close_the_circle() -> None:
        take_flock(file, LOCK_EX)
        go.read(1, timeout=None)
        take_flock(second, LOCK_EX)

    later = fork(close_the_circle)
    later.wait_blocked("read")
    sooner = fork(wait_for_first)
    sooner.wait_blocked("flock")
    go.write(b"x")
    later.wait_blocked("flock")
    sooner.wait_blocked("flock")
    sooner.close()
    assert later.result() is None


@clause("flock.independent-of-fcntl", "flock(2)", "NOTES", since="2.0")
def test_flock_and_fcntl_locks_are_independent(file, opened, fork):
    """flock() locks and fcntl() record locks of different processes do not conflict with each other."""
    flock(opened(file).fd, LOCK_EX)

    def other() -> None:
        fd = os.open(file, O_RDWR)
        fcntl_setlk(fd, F_SETLK, RecordLock(F_WRLCK))
        with fails_with(EWOULDBLOCK):
            flock(fd, LOCK_EX | LOCK_NB)

    fork(other).result()
    fcntl_setlk(opened(file).fd, F_SETLK, RecordLock(F_WRLCK))

    def locked_by_fcntl() -> None:
        fd = os.open(file, O_RDWR)
        with fails_with(EWOULDBLOCK):
            flock(fd, LOCK_SH | LOCK_NB)

    fork(locked_by_fcntl).result()


@clause("flock.advisory-only", "flock(2)", "NOTES")
def test_lock_is_advisory(file, opened, fork):
    """A flock() lock is advisory: another process can read, write, truncate and unlink the file."""
    flock(opened(file).fd, LOCK_EX)

    def other() -> bytes:
        file.write_bytes(b"written")
        text: bytes = file.read_bytes()
        os.truncate(file, 3)
        os.unlink(file)
        return text

    assert fork(other).result() == b"written"
    assert not file.exists()


@pytest.mark.parametrize("kind", ["directory", "fifo", "pipe", "socket", "device"])
@clause("flock.fd-kinds", "flock(2)", "DESCRIPTION")
def test_any_descriptor_can_be_locked(tmp_path, opened, pipe, kind):
    """flock() locks directories, FIFOs, pipes, sockets and devices too."""
    match kind:
        case "directory":
            flock(opened(tmp_path, O_RDONLY).fd, LOCK_EX | LOCK_NB)
            with fails_with(EWOULDBLOCK):
                flock(opened(tmp_path, O_RDONLY).fd, LOCK_SH | LOCK_NB)
        case "fifo":
            os.mkfifo(tmp_path / "fifo")
            flock(opened(tmp_path / "fifo").fd, LOCK_EX | LOCK_NB)
            with fails_with(EWOULDBLOCK):
                flock(opened(tmp_path / "fifo").fd, LOCK_SH | LOCK_NB)
        case "pipe":
            flock(pipe().read_fd, LOCK_EX | LOCK_NB)
        case "socket":
            with socket.socket(socket.AF_UNIX) as end:
                flock(end.fileno(), LOCK_EX | LOCK_NB)
        case "device":
            fd = opened("/dev/null").fd
            flock(fd, LOCK_SH | LOCK_NB)
            flock(fd, LOCK_UN)


@clause("flock.by-symlink-and-hard-link", "flock(2)", "DESCRIPTION")
def test_lock_belongs_to_the_file(file, tmp_path, opened):
    """A flock() lock belongs to the file, by whichever hard or symbolic link it was opened, also after unlink()."""
    os.link(file, tmp_path / "link")
    (tmp_path / "symlink").symlink_to(file)
    flock(opened(tmp_path / "symlink").fd, LOCK_EX)
    names = [opened(file), opened(tmp_path / "link")]
    file.unlink()
    for name in names:
        with fails_with(EWOULDBLOCK):
            flock(name.fd, LOCK_SH | LOCK_NB)
