"""fcntl(2), "Leases": notification and delay of other processes that open the file."""

from __future__ import annotations

import os
import signal
import socket
import sys
from errno import EACCES, EAGAIN, EINTR, EINVAL, EWOULDBLOCK
from os import O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY
from signal import SIGIO, SIGRTMIN, SIGUSR1

import pytest

from pytest_ipc import Need, clause, fails_with, untested
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

MOST_SECONDS = 5  # the longest lease-break-time that a test waits for; it is a global limit, 45 by default


@pytest.fixture
def breaks(signals):
    """Catch SIGIO, which reports a lease break and by default terminates the process."""
    caught = signals.catch(SIGIO)
    signals.unblock(SIGIO)
    return caught


@clause("lease.getlease", "F_GETLEASE(2const)", "F_GETLEASE")
def test_getlease_returns_the_type(file, opened):
    """F_GETLEASE returns the type of the lease of the descriptor, and F_UNLCK without one."""
    fd = opened(file, O_RDONLY).fd
    types = [fcntl(fd, F_GETLEASE)]
    for type in (F_RDLCK, F_WRLCK, F_UNLCK):
        fcntl(fd, F_SETLEASE, type)
        types.append(fcntl(fd, F_GETLEASE))
    assert types == [F_UNLCK, F_RDLCK, F_WRLCK, F_UNLCK]


@pytest.mark.parametrize("flags", [O_RDWR, O_WRONLY], ids=["rdwr", "wronly"])
@clause("lease.read-needs-rdonly", "F_GETLEASE(2const)", "F_SETLEASE", errno=EAGAIN)
def test_read_lease_needs_a_read_only_descriptor(file, opened, flags):
    """F_SETLEASE with F_RDLCK fails with EAGAIN on a descriptor open for writing, and succeeds on a read-only one."""
    with opened(file, flags) as writer, fails_with(EAGAIN):
        fcntl(writer.fd, F_SETLEASE, F_RDLCK)
    fd = opened(file, O_RDONLY).fd
    fcntl(fd, F_SETLEASE, F_RDLCK)
    assert fcntl(fd, F_GETLEASE) == F_RDLCK


@pytest.mark.parametrize("flags", [O_RDONLY, O_RDWR, O_WRONLY], ids=["rdonly", "rdwr", "wronly"])
@clause("lease.write-needs-sole-open", "F_GETLEASE(2const)", "F_SETLEASE", errno=EAGAIN)
def test_write_lease_needs_the_only_open_description(file, opened, flags):
    """F_SETLEASE with F_WRLCK fails with EAGAIN while the file is also open elsewhere, and otherwise succeeds."""
    fd = opened(file).fd
    with opened(file, flags), fails_with(EAGAIN):
        fcntl(fd, F_SETLEASE, F_WRLCK)
    assert fcntl(fd, F_GETLEASE) == F_UNLCK
    fcntl(fd, F_SETLEASE, F_WRLCK)
    assert fcntl(fd, F_GETLEASE) == F_WRLCK


@pytest.mark.parametrize("how", ["open", "truncate"])
@clause("lease.break-signal-and-proceed", "fcntl(2)", "Leases")
def test_break_of_a_write_lease(file, opened, breaks, fork, how):
    """open() and truncate() of a file with a write lease block, the
    holder gets SIGIO, and they succeed when it removes the lease.
    """
    fd = opened(file).fd
    fcntl(fd, F_SETLEASE, F_WRLCK)
    breaker = fork(raw_open, file, O_RDWR) if how == "open" else fork(os.truncate, file, 3)
    breaks.wait()
    breaker.wait_blocked("openat" if how == "open" else None)
    assert file.stat().st_size == 100
    fcntl(fd, F_SETLEASE, F_UNLCK)
    breaker.result()
    assert breaks.count == 1
    assert fcntl(fd, F_GETLEASE) == F_UNLCK


@clause("lease.read-lease-lets-readers", "fcntl(2)", "Leases")
def test_read_lease_is_broken_by_writers_only(file, opened, breaks, fork):
    """A read lease permits open() for reading; open() for writing blocks, and the holder gets SIGIO."""
    fd = opened(file, O_RDONLY).fd
    fcntl(fd, F_SETLEASE, F_RDLCK)
    assert fork(raw_open, file, O_RDONLY).result() >= 0
    assert (breaks.count, fcntl(fd, F_GETLEASE)) == (0, F_RDLCK)
    writer = fork(raw_open, file, O_WRONLY)
    breaks.wait()
    writer.wait_blocked("openat")
    fcntl(fd, F_SETLEASE, F_UNLCK)
    assert writer.result() >= 0


@clause("lease.downgrade-lets-readers", "fcntl(2)", "Leases")
def test_downgrade_to_a_read_lease_admits_readers(file, opened, breaks, fork):
    """open() for reading blocked by a write lease succeeds when the holder downgrades it to a read lease."""
    fd = opened(file, O_RDONLY).fd
    fcntl(fd, F_SETLEASE, F_WRLCK)
    reader = fork(raw_open, file, O_RDONLY)
    breaks.wait()
    reader.wait_blocked("openat")
    fcntl(fd, F_SETLEASE, F_RDLCK)
    assert reader.result() >= 0
    assert fcntl(fd, F_GETLEASE) == F_RDLCK


@pytest.mark.parametrize(
    ("flags", "target"),
    [pytest.param(O_RDONLY, F_RDLCK, id="reader"), pytest.param(O_WRONLY, F_UNLCK, id="writer")],
)
@clause("lease.getlease-during-break-target", "fcntl(2)", "Leases")
def test_getlease_returns_the_target_during_a_break(file, opened, breaks, fork, flags, target):
    """F_GETLEASE returns during the break of a write lease its target: F_RDLCK for a reader, F_UNLCK for a writer."""
    fd = opened(file).fd
    fcntl(fd, F_SETLEASE, F_WRLCK)
    breaker = fork(raw_open, file, flags)
    breaks.wait()
    breaker.wait_blocked("openat")
    assert fcntl(fd, F_GETLEASE) == target
    fcntl(fd, F_SETLEASE, F_UNLCK)
    assert breaker.result() >= 0


@clause("lease.nonblock-open-ewouldblock", "fcntl(2)", "Leases", errno=EWOULDBLOCK)
def test_nonblocking_open_fails_and_breaks_the_lease(file, opened, breaks, fork):
    """open() with O_NONBLOCK fails with EWOULDBLOCK under a
    conflicting lease, and the break proceeds: the holder gets SIGIO.
    """
    fd = opened(file).fd
    fcntl(fd, F_SETLEASE, F_WRLCK)

    def breaker() -> None:
        with fails_with(EWOULDBLOCK):
            raw_open(file, O_RDONLY | O_NONBLOCK)

    fork(breaker).result()
    breaks.wait()
    assert fcntl(fd, F_GETLEASE) == F_RDLCK


@clause("lease.timeout-forced", "fcntl(2)", "Leases")
def test_lease_is_removed_after_the_timeout(file, opened, breaks, fork):
    """The kernel removes a lease that its holder keeps beyond lease-break-time, and the blocked open() succeeds."""
    seconds = limit("fs/lease-break-time")
    if seconds is None or not 0 < seconds <= MOST_SECONDS:
        untested(
            Need.MACHINE_LIMITS,
            f"/proc/sys/fs/lease-break-time is {seconds}; at most {MOST_SECONDS} seconds are waited for",
        )
    fd = opened(file).fd
    fcntl(fd, F_SETLEASE, F_WRLCK)
    breaker = fork(raw_open, file, O_WRONLY)
    breaks.wait()
    breaker.wait_blocked("openat")
    assert breaker.result(timeout=seconds + 5) >= 0
    assert fcntl(fd, F_GETLEASE) == F_UNLCK


@clause("lease.breaker-eintr", "fcntl(2)", "Leases", errno=EINTR)
def test_handler_interrupts_a_blocked_open(file, opened, breaks, fork, signals):
    """open() blocked by a lease fails with EINTR when a signal handler runs, and the break proceeds."""
    fd = opened(file).fd
    fcntl(fd, F_SETLEASE, F_WRLCK)

    def breaker() -> None:
        signals.catch(SIGUSR1, flags=0)
        signals.unblock(SIGUSR1)
        with fails_with(EINTR):
            raw_open(file, O_WRONLY)

    blocked = fork(breaker)
    breaks.wait()
    blocked.wait_blocked("openat")
    blocked.signal(SIGUSR1)
    blocked.result()
    assert fcntl(fd, F_GETLEASE) == F_UNLCK


@clause("lease.non-owner-eacces", "fcntl(2)", "Leases", errno=EACCES)
def test_lease_of_another_users_file_fails(file, opened, as_user):
    """F_SETLEASE without CAP_LEASE fails with EACCES for a file of another user."""
    fd = opened(file, O_RDONLY).fd

    def lease() -> None:
        fcntl(fd, F_SETLEASE, F_RDLCK)
        fcntl(fd, F_SETLEASE, F_UNLCK)

    def foreign_lease(foreign: int) -> None:
        with fails_with(EACCES):
            fcntl(foreign, F_SETLEASE, F_RDLCK)

    if capabilities() == 0:
        if os.stat(sys.executable).st_uid == os.geteuid():
            untested(Need.FILES_OF_OTHERS, "needs a file of another user, or CAP_CHOWN to make one")
        foreign_lease(opened(sys.executable, O_RDONLY).fd)
        lease()
        return
    try:
        os.chown(file, OWNER, GROUP)
    except OSError as error:
        untested(
            Need.FILES_OF_OTHERS,
            f"needs CAP_CHOWN, and ids that are mapped here, to give the file to another user: {error.strerror}",
        )
    as_user(OWNER, GROUP, lease)
    as_user(STRANGER, GROUP, foreign_lease, fd)


@pytest.mark.parametrize("kind", ["directory", "fifo", "pipe", "socket"])
@clause("lease.regular-only", "fcntl(2)", "Leases", errno=EINVAL)
def test_lease_needs_a_regular_file(tmp_path, opened, pipe, kind):
    """F_SETLEASE fails with EINVAL for a directory, a FIFO, a pipe and a socket."""
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
def test_lease_belongs_to_the_open_description(file, opened, fork):
    """A lease belongs to the open file description: duplicates and inherited
    descriptors can remove it, and the last close() releases it.
    """
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


@pytest.mark.usefixtures("sigpending_limit")
@clause("lease.si_fd-with-setsig", "fcntl(2)", "Leases")
def test_chosen_signal_carries_the_descriptor(file, fork, pipe):
    """With F_SETSIG a lease break sends that signal, whose si_fd is the descriptor that holds the lease."""
    ready = pipe()

    def holder() -> bool:
        signal.pthread_sigmask(signal.SIG_BLOCK, [SIGRTMIN])
        fd = os.open(file, O_RDONLY)
        fcntl(fd, F_SETSIG, SIGRTMIN)
        fcntl(fd, F_SETLEASE, F_RDLCK)
        ready.write(b"x")
        return sigtimedwait([SIGRTMIN], 5).fd == fd

    child = fork(holder)
    ready.read(1)
    breaker = fork(raw_open, file, O_WRONLY)
    assert child.result() is True
    assert breaker.result() >= 0
