"""flock(2): shared and exclusive locks, who is kept out by them, and what they are asked of."""

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
def test_each_operation_succeeds_on_a_free_file(file, opened):
    """A file that nobody has locked can be locked shared or exclusive, waiting or not, and unlocked, also when it is not locked."""
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
def test_what_is_no_descriptor_or_no_operation_is_refused(file, opened, operation, errno):
    """flock fails on what is not an open descriptor, and for anything but one of its operations, and locks nothing then."""
    end = opened(file)
    fd = end.fd
    if errno == EBADF:
        end.close()
    with fails_with(errno):
        flock(fd, operation)
    flock(opened(file).fd, LOCK_EX | LOCK_NB)


@clause("flock.ewouldblock", "flock(2)", "ERRORS", errno=EWOULDBLOCK)
def test_with_lock_nb_it_does_not_wait(file, opened):
    """With LOCK_NB flock fails at once when the file is locked, and succeeds when it is not any more."""
    holder, other = opened(file).fd, opened(file).fd
    flock(holder, LOCK_EX)
    with fails_with(EWOULDBLOCK):
        flock(other, LOCK_EX | LOCK_NB)
    flock(holder, LOCK_UN)
    flock(other, LOCK_EX | LOCK_NB)


@pytest.mark.parametrize(
    ("held", "asked", "refused"),
    [
        pytest.param(LOCK_SH, LOCK_SH, False, id="shared-shared"),
        pytest.param(LOCK_SH, LOCK_EX, True, id="shared-exclusive"),
        pytest.param(LOCK_EX, LOCK_SH, True, id="exclusive-shared"),
        pytest.param(LOCK_EX, LOCK_EX, True, id="exclusive-exclusive"),
    ],
)
@clause("flock.compat-matrix", "flock(2)", "DESCRIPTION")
def test_shared_locks_go_together_and_nothing_else(file, opened, fork, held, asked, refused):
    """Several processes may hold a shared lock of a file; an exclusive lock is held by one, and keeps shared ones out too."""
    flock(opened(file).fd, held)

    def ask() -> None:
        if refused:
            with fails_with(EWOULDBLOCK):
                take_flock(file, asked | LOCK_NB)
        else:
            take_flock(file, asked | LOCK_NB)

    fork(ask).result()


@pytest.mark.parametrize("flags", [O_RDONLY, O_WRONLY, O_RDWR], ids=["rdonly", "wronly", "rdwr"])
@clause("flock.any-open-mode", "flock(2)", "DESCRIPTION")
def test_how_the_file_is_open_does_not_matter(file, opened, flags):
    """A shared and an exclusive lock can be had on a descriptor for reading, for writing or for both."""
    fd = opened(file, flags).fd
    flock(fd, LOCK_SH | LOCK_NB)
    flock(fd, LOCK_EX | LOCK_NB)
    with fails_with(EWOULDBLOCK):
        flock(opened(file).fd, LOCK_SH | LOCK_NB)


@clause("flock.convert", "flock(2)", "DESCRIPTION")
def test_a_lock_is_converted_by_asking_for_the_other(file, opened):
    """A descriptor has one lock: to ask for the other kind converts it, from shared to exclusive and back."""
    mine, other = opened(file).fd, opened(file).fd
    flock(mine, LOCK_SH)
    flock(mine, LOCK_EX)
    with fails_with(EWOULDBLOCK):
        flock(other, LOCK_SH | LOCK_NB)
    flock(mine, LOCK_SH)
    flock(other, LOCK_SH | LOCK_NB)
    flock(other, LOCK_UN)
    flock(mine, LOCK_UN)
    flock(other, LOCK_EX | LOCK_NB)


@clause("flock.conversion-not-atomic", "flock(2)", "NOTES", errno=EWOULDBLOCK)
def test_a_conversion_drops_the_lock_before_it_takes_the_other(file, opened):
    """A conversion removes the lock and then takes the new one: where that fails with LOCK_NB, the old one is gone too."""
    mine, other = opened(file).fd, opened(file).fd
    flock(mine, LOCK_SH)
    flock(other, LOCK_SH)
    with fails_with(EWOULDBLOCK):
        flock(mine, LOCK_EX | LOCK_NB)
    flock(other, LOCK_EX | LOCK_NB)


@clause("flock.blocks-until-released", "flock(2)", "DESCRIPTION")
def test_it_waits_until_the_lock_is_free(file, opened, fork):
    """Without LOCK_NB flock waits while another holds a lock in its way, and has the lock when that is given up."""
    fd = opened(file).fd
    flock(fd, LOCK_SH)
    waiter = fork(take_flock, file, LOCK_EX)
    waiter.wait_blocked("flock")
    flock(fd, LOCK_UN)
    assert waiter.result() >= 0


@clause("flock.eintr", "flock(2)", "ERRORS", errno=EINTR)
def test_a_handler_interrupts_the_wait(file, opened, fork, signals):
    """A flock that waits fails with EINTR when a handler without SA_RESTART has run, and has locked nothing."""
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
def test_a_deadlock_is_not_found(file, tmp_path, fork, pipe):
    """Two processes that each wait for the other's lock wait on: flock finds no deadlocks. One goes on when the other ends."""
    second = tmp_path / "second"
    second.touch()
    go = pipe()

    def first_to_wait() -> None:
        take_flock(second, LOCK_EX)
        take_flock(file, LOCK_EX)

    def closing_the_circle() -> None:
        take_flock(file, LOCK_EX)
        go.read(1)
        take_flock(second, LOCK_EX)

    later = fork(closing_the_circle)
    later.wait_blocked("read")
    sooner = fork(first_to_wait)
    sooner.wait_blocked("flock")
    go.write(b"x")
    later.wait_blocked("flock")
    sooner.wait_blocked("flock")
    sooner.end()
    assert later.result() is None


@clause("flock.independent-of-fcntl", "flock(2)", "NOTES", since="2.0")
def test_it_does_not_meet_record_locks(file, opened, fork):
    """A file locked with flock can be locked exclusively by another process with fcntl, and the other way round."""
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
def test_it_keeps_nobody_from_the_data(file, opened, fork):
    """A lock is advice: a process without it reads, writes, truncates and removes the file."""
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
def test_whatever_is_open_can_be_locked(tmp_path, opened, pipe, kind):
    """The file of any open descriptor can be locked: a directory, a FIFO, a pipe, a socket, a device."""
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
def test_a_lock_is_of_the_file_and_not_of_its_name(file, tmp_path, opened):
    """The lock is the file's, by whichever of its names it was opened: a link, a symbolic link, or none any more."""
    os.link(file, tmp_path / "link")
    (tmp_path / "symlink").symlink_to(file)
    flock(opened(tmp_path / "symlink").fd, LOCK_EX)
    names = [opened(file), opened(tmp_path / "link")]
    file.unlink()
    for name in names:
        with fails_with(EWOULDBLOCK):
            flock(name.fd, LOCK_SH | LOCK_NB)
