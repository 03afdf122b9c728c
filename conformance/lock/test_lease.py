"""fcntl(2), "Leases": to be told before others open a file, and to keep them waiting until one is ready."""

from __future__ import annotations

import os
import signal
import socket
import sys
from errno import EACCES, EAGAIN, EINTR, EINVAL, EWOULDBLOCK
from os import O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY
from signal import SIGIO, SIGRTMIN, SIGUSR1

import pytest

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import (
    F_GETLEASE,
    F_RDLCK,
    F_SETLEASE,
    F_SETSIG,
    F_UNLCK,
    F_WRLCK,
    capabilities,
    fcntl,
    limit,
    sigtimedwait,
)
from pytest_ipc.kernel import open as raw_open

from ..credentials import GROUP, OWNER, STRANGER

pytestmark = pytest.mark.usefixtures("leases")

MOST_SECONDS = 5  # of lease-break-time that a test waits; it is the whole machine's, and 45 by default


@pytest.fixture
def told(signals):
    """The breaks that this process is told of by SIGIO, which would end it otherwise."""
    caught = signals.catch(SIGIO)
    signals.unblock(SIGIO)
    return caught


@clause("lease.getlease", "F_GETLEASE(2const)", "F_GETLEASE")
def test_the_type_of_a_lease_can_be_asked(file, opened):
    """F_GETLEASE gives the type of the lease that is held by the descriptor, read or write, and F_UNLCK without one."""
    fd = opened(file, O_RDONLY).fd
    types = [fcntl(fd, F_GETLEASE)]
    for type in (F_RDLCK, F_WRLCK, F_UNLCK):
        fcntl(fd, F_SETLEASE, type)
        types.append(fcntl(fd, F_GETLEASE))
    assert types == [F_UNLCK, F_RDLCK, F_WRLCK, F_UNLCK]


@pytest.mark.parametrize("flags", [O_RDWR, O_WRONLY], ids=["rdwr", "wronly"])
@clause("lease.read-needs-rdonly", "F_GETLEASE(2const)", "F_SETLEASE", errno=EAGAIN)
def test_a_read_lease_needs_a_descriptor_for_reading_alone(file, opened, flags):
    """A read lease is refused on a descriptor that is open for writing, and had on one that is open for reading alone."""
    with opened(file, flags) as writer, fails_with(EAGAIN):
        fcntl(writer.fd, F_SETLEASE, F_RDLCK)
    fd = opened(file, O_RDONLY).fd
    fcntl(fd, F_SETLEASE, F_RDLCK)
    assert fcntl(fd, F_GETLEASE) == F_RDLCK


@pytest.mark.parametrize("flags", [O_RDONLY, O_RDWR, O_WRONLY], ids=["rdonly", "rdwr", "wronly"])
@clause("lease.write-needs-sole-open", "F_GETLEASE(2const)", "F_SETLEASE", errno=EAGAIN)
def test_a_write_lease_needs_the_only_opening(file, opened, flags):
    """A write lease is refused while the file is open elsewhere, in whatever way, and had when it is not."""
    fd = opened(file).fd
    with opened(file, flags), fails_with(EAGAIN):
        fcntl(fd, F_SETLEASE, F_WRLCK)
    assert fcntl(fd, F_GETLEASE) == F_UNLCK
    fcntl(fd, F_SETLEASE, F_WRLCK)
    assert fcntl(fd, F_GETLEASE) == F_WRLCK


@pytest.mark.parametrize("how", ["open", "truncate"])
@clause("lease.break-signal-and-proceed", "fcntl(2)", "Leases")
def test_a_breaker_waits_until_the_lease_is_given_up(file, opened, told, fork, how):
    """Who opens or truncates a file under a write lease waits; the holder gets SIGIO, and lets him go by giving it up."""
    fd = opened(file).fd
    fcntl(fd, F_SETLEASE, F_WRLCK)
    breaker = fork(raw_open, file, O_RDWR) if how == "open" else fork(os.truncate, file, 3)
    told.wait()
    breaker.wait_blocked("openat" if how == "open" else None)
    assert file.stat().st_size == 100
    fcntl(fd, F_SETLEASE, F_UNLCK)
    breaker.result()
    assert told.count == 1
    assert fcntl(fd, F_GETLEASE) == F_UNLCK


@clause("lease.read-lease-lets-readers", "fcntl(2)", "Leases")
def test_a_read_lease_is_broken_by_writers_alone(file, opened, told, fork):
    """Under a read lease others open the file for reading, and nobody is told; who opens it for writing waits."""
    fd = opened(file, O_RDONLY).fd
    fcntl(fd, F_SETLEASE, F_RDLCK)
    assert fork(raw_open, file, O_RDONLY).result() >= 0
    assert (told.count, fcntl(fd, F_GETLEASE)) == (0, F_RDLCK)
    writer = fork(raw_open, file, O_WRONLY)
    told.wait()
    writer.wait_blocked("openat")
    fcntl(fd, F_SETLEASE, F_UNLCK)
    assert writer.result() >= 0


@clause("lease.downgrade-lets-readers", "fcntl(2)", "Leases")
def test_a_reader_goes_on_when_a_write_lease_becomes_a_read_lease(file, opened, told, fork):
    """To let go who opens for reading under a write lease, it is enough to make that a read lease, which stays."""
    fd = opened(file, O_RDONLY).fd
    fcntl(fd, F_SETLEASE, F_WRLCK)
    reader = fork(raw_open, file, O_RDONLY)
    told.wait()
    reader.wait_blocked("openat")
    fcntl(fd, F_SETLEASE, F_RDLCK)
    assert reader.result() >= 0
    assert fcntl(fd, F_GETLEASE) == F_RDLCK


@pytest.mark.parametrize(
    ("flags", "target"),
    [pytest.param(O_RDONLY, F_RDLCK, id="reader"), pytest.param(O_WRONLY, F_UNLCK, id="writer")],
)
@clause("lease.getlease-during-break-target", "fcntl(2)", "Leases")
def test_during_a_break_the_type_is_what_it_must_become(file, opened, told, fork, flags, target):
    """While a write lease is being broken F_GETLEASE gives what it must become: read for a reader, none for a writer."""
    fd = opened(file).fd
    fcntl(fd, F_SETLEASE, F_WRLCK)
    breaker = fork(raw_open, file, flags)
    told.wait()
    breaker.wait_blocked("openat")
    assert fcntl(fd, F_GETLEASE) == target
    fcntl(fd, F_SETLEASE, F_UNLCK)
    assert breaker.result() >= 0


@clause("lease.nonblock-open-ewouldblock", "fcntl(2)", "Leases", errno=EWOULDBLOCK)
def test_a_breaker_need_not_wait(file, opened, told, fork):
    """An open with O_NONBLOCK fails at once under a lease in its way, and the break takes its course: the holder is told."""
    fd = opened(file).fd
    fcntl(fd, F_SETLEASE, F_WRLCK)

    def breaker() -> None:
        with fails_with(EWOULDBLOCK):
            raw_open(file, O_RDONLY | O_NONBLOCK)

    fork(breaker).result()
    told.wait()
    assert fcntl(fd, F_GETLEASE) == F_RDLCK


@clause("lease.timeout-forced", "fcntl(2)", "Leases")
def test_a_lease_that_is_not_given_up_is_taken_away(file, opened, told, fork):
    """A holder that does nothing loses the lease after lease-break-time seconds, and the breaker goes on."""
    seconds = limit("fs/lease-break-time")
    if seconds is None or not 0 < seconds <= MOST_SECONDS:
        untested(f"/proc/sys/fs/lease-break-time is {seconds}; at most {MOST_SECONDS} seconds are waited for")
    fd = opened(file).fd
    fcntl(fd, F_SETLEASE, F_WRLCK)
    breaker = fork(raw_open, file, O_WRONLY)
    told.wait()
    breaker.wait_blocked("openat")
    assert breaker.result(seconds + 5) >= 0
    assert fcntl(fd, F_GETLEASE) == F_UNLCK


@clause("lease.breaker-eintr", "fcntl(2)", "Leases", errno=EINTR)
def test_a_handler_interrupts_a_breaker(file, opened, told, fork, signals):
    """An open that waits for a lease fails with EINTR when a handler has run in the breaker; the break goes on all the same."""
    fd = opened(file).fd
    fcntl(fd, F_SETLEASE, F_WRLCK)

    def breaker() -> None:
        signals.catch(SIGUSR1, flags=0)
        signals.unblock(SIGUSR1)
        with fails_with(EINTR):
            raw_open(file, O_WRONLY)

    waiting = fork(breaker)
    told.wait()
    waiting.wait_blocked("openat")
    waiting.signal(SIGUSR1)
    waiting.result()
    assert fcntl(fd, F_GETLEASE) == F_UNLCK


@clause("lease.non-owner-eacces", "fcntl(2)", "Leases", errno=EACCES)
def test_a_lease_is_for_the_owner_of_the_file(file, opened, as_user):
    """A process without CAP_LEASE can have a lease of a file only if the file is its user's."""
    fd = opened(file, O_RDONLY).fd

    def lease() -> None:
        fcntl(fd, F_SETLEASE, F_RDLCK)
        fcntl(fd, F_SETLEASE, F_UNLCK)

    def foreign_lease(foreign: int) -> None:
        with fails_with(EACCES):
            fcntl(foreign, F_SETLEASE, F_RDLCK)

    if capabilities() == 0:
        if os.stat(sys.executable).st_uid == os.geteuid():
            untested("needs a file of another user, or CAP_CHOWN to make one")
        foreign_lease(opened(sys.executable, O_RDONLY).fd)
        lease()
        return
    try:
        os.chown(file, OWNER, GROUP)
    except OSError as error:
        untested(f"needs CAP_CHOWN, and ids that are mapped here, to give the file to another user: {error.strerror}")
    as_user(OWNER, GROUP, lease)
    as_user(STRANGER, GROUP, foreign_lease, fd)


@pytest.mark.parametrize("kind", ["directory", "fifo", "pipe", "socket"])
@clause("lease.regular-only", "fcntl(2)", "Leases", errno=EINVAL)
def test_a_lease_is_of_a_regular_file(tmp_path, opened, pipe, kind):
    """A lease of a directory, a FIFO, a pipe or a socket is refused."""
    with socket.socket(socket.AF_UNIX) as end, fails_with(EINVAL):
        match kind:
            case "directory":
                fcntl(opened(tmp_path, O_RDONLY).fd, F_SETLEASE, F_RDLCK)
            case "fifo":
                os.mkfifo(tmp_path / "fifo")
                fcntl(opened(tmp_path / "fifo", O_RDONLY | O_NONBLOCK).fd, F_SETLEASE, F_RDLCK)
            case "pipe":
                fcntl(pipe().read_fd, F_SETLEASE, F_RDLCK)
            case "socket":
                fcntl(end.fileno(), F_SETLEASE, F_RDLCK)


@clause("lease.fork-shares", "fcntl(2)", "Leases")
def test_a_lease_is_the_descriptions(file, opened, fork):
    """Duplicates of the descriptor, a child's too, have one lease, other openings have none: any gives it up, the last close ends it."""
    end, other = opened(file, O_RDONLY), opened(file, O_RDONLY)
    fcntl(end.fd, F_SETLEASE, F_RDLCK)
    copy = os.dup(end.fd)
    try:
        assert fcntl(copy, F_GETLEASE) == F_RDLCK
        assert fcntl(other.fd, F_GETLEASE) == F_UNLCK
        fork(fcntl, end.fd, F_SETLEASE, F_UNLCK).result()
        assert fcntl(copy, F_GETLEASE) == F_UNLCK
        fcntl(copy, F_SETLEASE, F_RDLCK)
        end.close()
        assert fcntl(copy, F_GETLEASE) == F_RDLCK
    finally:
        os.close(copy)
    assert fork(raw_open, file, O_WRONLY).result() >= 0


@pytest.mark.usefixtures("room_for_signals")
@clause("lease.si_fd-with-setsig", "fcntl(2)", "Leases")
def test_the_chosen_signal_names_the_descriptor(file, fork, pipe):
    """With F_SETSIG the break is told by that signal, whose si_fd is the descriptor that holds the lease."""
    ready = pipe()

    def holder() -> bool:
        signal.pthread_sigmask(signal.SIG_BLOCK, [SIGRTMIN])
        fd = os.open(file, O_RDONLY)
        fcntl(fd, F_SETSIG, SIGRTMIN)
        fcntl(fd, F_SETLEASE, F_RDLCK)
        ready.write(b"x")
        return sigtimedwait([SIGRTMIN], 5).fd == fd

    holding = fork(holder)
    ready.read(1)
    breaker = fork(raw_open, file, O_WRONLY)
    assert holding.result() is True
    assert breaker.result() >= 0
