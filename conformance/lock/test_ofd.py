"""fcntl(2), "Open file description locks": record locks owned by an open file description."""

from __future__ import annotations

import os
import signal
import threading
from errno import EAGAIN, EINTR, EINVAL
from os import O_RDWR, SEEK_SET
from signal import SIGUSR1

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import (
    F_GETLK,
    F_OFD_GETLK,
    F_OFD_SETLK,
    F_OFD_SETLKW,
    F_RDLCK,
    F_SETLK,
    F_UNLCK,
    F_WRLCK,
    RecordLock,
    fcntl_getlk,
    fcntl_setlk,
)

from ..conftest import succeeded
from .holders import take

pytestmark = pytest.mark.usefixtures("ofd_locks")

SECTION = "Open file description locks"


def lock(fd: int, start: int, length: int, type: int = F_WRLCK) -> None:
    """Place a lock of the open file description, or remove it with F_UNLCK."""
    fcntl_setlk(fd, F_OFD_SETLK, RecordLock(type, start, length))


@pytest.mark.parametrize("cmd", [F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW], ids=["getlk", "setlk", "setlkw"])
@clause("ofd.lpid-nonzero-einval", "fcntl(2)", "ERRORS", errno=EINVAL, since="3.15")
def test_l_pid_must_be_0(file, opened, seen_by_others, cmd):
    """F_OFD_GETLK, F_OFD_SETLK and F_OFD_SETLKW fail with EINVAL if l_pid is not 0, and place nothing."""
    with fails_with(EINVAL):
        fcntl_setlk(opened(file).fd, cmd, RecordLock(F_WRLCK, 0, 1, pid=os.getpid()))
    assert seen_by_others(0, 2) == ".."


@clause(
    "ofd.owned-by-description",
    "fcntl_locking(2)",
    "Open file description locks (non-POSIX)",
    errno=EAGAIN,
    since="3.15",
)
def test_descriptions_of_one_process_conflict(file, opened):
    """Locks of two open file descriptions conflict, also in one process; read locks do not."""
    first, second = opened(file).fd, opened(file).fd
    lock(first, 0, 5)
    lock(first, 10, 5, F_RDLCK)
    for start, type in ((4, F_RDLCK), (4, F_WRLCK), (10, F_WRLCK)):
        with fails_with(EAGAIN):
            lock(second, start, 1, type)
    lock(second, 10, 5, F_RDLCK)
    lock(second, 5, 5)


@clause("ofd.fork-shares", "fcntl_locking(2)", "Open file description locks (non-POSIX)", since="3.15")
def test_child_shares_the_lock(file, opened, fork, seen_by_others):
    """A forked child can convert and unlock its parent's lock through
    the inherited descriptor, and keeps it when it terminates.
    """
    fd = opened(file).fd
    lock(fd, 0, 6)

    def child() -> None:
        lock(fd, 0, 2, F_RDLCK)
        lock(fd, 4, 2, F_UNLCK)
        os.close(fd)

    fork(child).result()
    assert seen_by_others(0, 7) == "rrww..."


@pytest.mark.parametrize("how", ["duplicate", "another open"])
@clause("ofd.dup-close-keeps", "fcntl_locking(2)", "Open file description locks (non-POSIX)", since="3.15")
def test_close_of_another_descriptor_keeps_the_lock(file, opened, seen_by_others, how):
    """An open file description lock stays when a duplicate, or a descriptor of another open(), is closed."""
    fd = opened(file).fd
    lock(fd, 1, 1)
    if how == "duplicate":
        os.close(os.dup(fd))
    else:
        opened(file).close()
    assert seen_by_others(0, 3) == ".w."


@clause("ofd.last-close-releases", "fcntl_locking(2)", "Open file description locks (non-POSIX)", since="3.15")
def test_last_close_releases_the_lock(file, opened, seen_by_others):
    """An open file description lock is released when the last descriptor of the description is closed."""
    end = opened(file)
    lock(end.fd, 1, 1)
    copy = os.dup(end.fd)
    end.close()
    try:
        assert seen_by_others(0, 3) == ".w."
    finally:
        os.close(copy)
    assert seen_by_others(0, 3) == "..."


@clause("ofd.exec-keeps", "fcntl_locking(2)", "Open file description locks (non-POSIX)", since="3.15")
def test_lock_is_preserved_by_execve(file, as_another_program, seen_by_others):
    """An open file description lock is preserved across execve(), and released when the program terminates."""

    def lock_and_inherit() -> None:
        fd = os.open(file, O_RDWR)
        lock(fd, 1, 2)
        os.set_inheritable(fd, True)
        os.close(os.open(file, O_RDWR))

    running, end = as_another_program(lock_and_inherit)
    assert seen_by_others(0, 4) == ".ww."
    end()
    succeeded(running)
    assert seen_by_others(0, 4) == "...."


@clause("ofd.convert-same-description", "fcntl_locking(2)", "Open file description locks (non-POSIX)", since="3.15")
def test_locks_of_one_description_are_converted_split_and_merged(file, opened, seen_by_others):
    """A lock replaces overlapping locks of its open file description,
    also through a duplicate, and merges with those of its type.
    """
    fd = opened(file).fd
    lock(fd, 10, 10)
    copy = os.dup(fd)
    try:
        lock(copy, 13, 3, F_RDLCK)
        assert seen_by_others(9, 12) == ".wwwrrrwwww."
        lock(copy, 17, 1, F_UNLCK)
    finally:
        os.close(copy)
    assert seen_by_others(9, 12) == ".wwwrrrw.ww."
    lock(fd, 13, 5)
    assert seen_by_others(9, 12) == ".wwwwwwwwww."
    found = fcntl_getlk(opened(file).fd, F_OFD_GETLK, RecordLock(F_WRLCK))
    assert (found.start, found.len) == (10, 10)


@clause(
    "ofd.conflicts-with-posix-same-fd",
    "fcntl_locking(2)",
    "Open file description locks (non-POSIX)",
    errno=EAGAIN,
    since="3.15",
)
def test_conflict_with_record_locks_of_the_same_descriptor(file, opened):
    """Open file description locks and record locks conflict with each other, even on one descriptor of one process."""
    fd = opened(file).fd
    lock(fd, 0, 1)
    with fails_with(EAGAIN):
        fcntl_setlk(fd, F_SETLK, RecordLock(F_RDLCK, 0, 1))
    fcntl_setlk(fd, F_SETLK, RecordLock(F_WRLCK, 1, 1))
    with fails_with(EAGAIN):
        lock(fd, 1, 1, F_RDLCK)


@clause("ofd.getlk-pid-minus1", "fcntl_locking(2)", "F_GETLK", since="3.15")
def test_getlk_returns_pid_minus_1_for_a_description(file, opened):
    """F_GETLK and F_OFD_GETLK return a conflicting open file description lock with its range and l_pid -1."""
    holder, other = opened(file).fd, opened(file).fd
    lock(holder, 3, 4)
    for cmd in (F_GETLK, F_OFD_GETLK):
        assert fcntl_getlk(other, cmd, RecordLock(F_RDLCK)) == RecordLock(F_WRLCK, 3, 4, SEEK_SET, -1)


@clause("ofd.getlk-posix-holder-pid", "fcntl_locking(2)", "F_OFD_GETLK", since="3.15")
def test_getlk_returns_the_pid_of_a_record_lock(file, opened):
    """F_OFD_GETLK returns the PID that holds a conflicting record lock, also if it is the caller's."""
    fd = opened(file).fd
    fcntl_setlk(fd, F_SETLK, RecordLock(F_WRLCK, 3, 4))
    assert fcntl_getlk(fd, F_OFD_GETLK, RecordLock(F_RDLCK)) == RecordLock(F_WRLCK, 3, 4, SEEK_SET, os.getpid())


@clause("ofd.getlk-free-unlck", "fcntl_locking(2)", "F_OFD_GETLK", since="3.15")
def test_without_conflict_only_the_type_changes(file, opened):
    """F_OFD_GETLK sets l_type to F_UNLCK if only locks of the same description overlap, and keeps the other members."""
    fd = opened(file).fd
    lock(fd, 3, 4)
    assert fcntl_getlk(fd, F_OFD_GETLK, RecordLock(F_WRLCK, 2, 9)) == RecordLock(F_UNLCK, 2, 9)


@clause("ofd.getlk-f_unlck-query", "fcntl_locking(2)", "F_OFD_GETLK", since="6.6")
def test_getlk_with_f_unlck_returns_own_locks(file, opened):
    """F_OFD_GETLK with l_type F_UNLCK returns the first lock in the range that the description itself holds."""
    fd, other = opened(file).fd, opened(file).fd
    lock(fd, 3, 4)
    lock(fd, 10, 5, F_RDLCK)
    first = fcntl_getlk(fd, F_OFD_GETLK, RecordLock(F_UNLCK))
    assert (first.type, first.start, first.len) == (F_WRLCK, 3, 4)
    second = fcntl_getlk(fd, F_OFD_GETLK, RecordLock(F_UNLCK, 7))
    assert (second.type, second.start, second.len) == (F_RDLCK, 10, 5)
    assert fcntl_getlk(fd, F_OFD_GETLK, RecordLock(F_UNLCK, 15)).type == F_UNLCK
    assert fcntl_getlk(other, F_OFD_GETLK, RecordLock(F_UNLCK)).type == F_UNLCK


@clause("ofd.setlkw-waits", "fcntl_locking(2)", "F_OFD_SETLKW", since="3.15")
def test_setlkw_blocks_until_the_range_is_free(file, opened, fork):
    """F_OFD_SETLKW blocks while a conflicting lock exists, and places the lock when that is released."""
    fd = opened(file).fd
    lock(fd, 0, 10)
    waiter = fork(take, file, RecordLock(F_RDLCK, 5, 10), F_OFD_SETLKW)
    waiter.wait_blocked("fcntl")
    lock(fd, 0, 10, F_UNLCK)
    assert waiter.result() >= 0


@clause("ofd.setlkw-eintr", "fcntl(2)", "ERRORS", errno=EINTR, since="3.15")
def test_handler_interrupts_setlkw(file, opened, fork, signals, seen_by_others):
    """A blocked F_OFD_SETLKW fails with EINTR when a signal handler without SA_RESTART runs, and places nothing."""
    fd = opened(file).fd
    lock(fd, 0, 1)

    def child() -> None:
        signals.catch(SIGUSR1, flags=0)
        signals.unblock(SIGUSR1)
        with fails_with(EINTR):
            take(file, RecordLock(F_WRLCK, 0, 1), F_OFD_SETLKW)
        signal.pause()

    waiter = fork(child)
    waiter.wait_blocked("fcntl")
    waiter.signal(SIGUSR1)
    waiter.wait_blocked("pause")
    lock(fd, 0, 1, F_UNLCK)
    assert seen_by_others(0, 2) == ".."


@clause("ofd.no-edeadlk", "fcntl_locking(2)", "Open file description locks (non-POSIX)", since="3.15")
def test_deadlock_is_not_detected(circle):
    """F_OFD_SETLKW does not detect deadlocks: two descriptions that wait for each other block until one is closed."""
    last, (other,) = circle(2, F_OFD_SETLKW)
    last.wait_blocked("fcntl")
    other.wait_blocked("fcntl")
    last.close()
    assert other.result() is None


@clause("ofd.threads-separate-opens", "fcntl_locking(2)", "Open file description locks (non-POSIX)", since="3.15")
def test_threads_with_separate_descriptions_exclude_each_other(file, fork):
    """Threads with their own open file descriptions exclude each other by open file description locks."""

    def child() -> list[str]:
        story = []
        fd = take(file, RecordLock(F_WRLCK, 0, 10), F_OFD_SETLK)
        own = os.open(file, O_RDWR)

        def other_thread() -> None:
            fcntl_setlk(own, F_OFD_SETLKW, RecordLock(F_WRLCK, 5, 10))
            story.append("other")

        with fails_with(EAGAIN):
            fcntl_setlk(own, F_OFD_SETLK, RecordLock(F_WRLCK, 5, 10))
        thread = threading.Thread(target=other_thread)
        thread.start()
        story.append("first")
        lock(fd, 0, 10, F_UNLCK)
        thread.join()
        return story

    assert fork(child).result() == ["first", "other"]
