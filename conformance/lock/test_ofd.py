"""fcntl(2), "Open file description locks": record locks that belong to an opening of the file and not to a process."""

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
    """Place a lock of the open file description, or with F_UNLCK take it away."""
    fcntl_setlk(fd, F_OFD_SETLK, RecordLock(type, start, length))


@pytest.mark.parametrize("cmd", [F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW], ids=["getlk", "setlk", "setlkw"])
@clause("ofd.lpid-nonzero-einval", "fcntl(2)", "ERRORS", errno=EINVAL, since="3.15")
def test_l_pid_must_be_0(file, opened, seen_by_others, cmd):
    """The commands on open file description locks fail unless l_pid is 0, and place nothing."""
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
def test_two_openings_compete_in_one_process(file, opened):
    """Locks that are placed by two opens of a file conflict as those of two processes do; read locks go together."""
    first, second = opened(file).fd, opened(file).fd
    lock(first, 0, 5)
    lock(first, 10, 5, F_RDLCK)
    for start, type in ((4, F_RDLCK), (4, F_WRLCK), (10, F_WRLCK)):
        with fails_with(EAGAIN):
            lock(second, start, 1, type)
    lock(second, 10, 5, F_RDLCK)
    lock(second, 5, 5)


@clause("ofd.fork-shares", "fcntl_locking(2)", "Open file description locks (non-POSIX)", since="3.15")
def test_a_child_shares_the_lock(file, opened, fork, seen_by_others):
    """A forked child has its parent's lock by the descriptor it inherits: it converts it, unlocks it, and does not drop it by ending."""
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
def test_to_close_another_descriptor_drops_nothing(file, opened, seen_by_others, how):
    """The lock stays when a duplicate of the descriptor is closed, or one from another open of the file."""
    fd = opened(file).fd
    lock(fd, 1, 1)
    if how == "duplicate":
        os.close(os.dup(fd))
    else:
        opened(file).close()
    assert seen_by_others(0, 3) == ".w."


@clause("ofd.last-close-releases", "fcntl_locking(2)", "Open file description locks (non-POSIX)", since="3.15")
def test_the_last_close_releases_it(file, opened, seen_by_others):
    """The lock is gone when the last descriptor of the open file description is closed."""
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
def test_another_program_keeps_it(file, as_another_program, seen_by_others):
    """The lock is kept through execve by the program that has the descriptor, and gone with the program."""

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
def test_locks_of_one_description_are_converted_split_and_joined(file, opened, seen_by_others):
    """By the same open file description, duplicates included, a lock replaces the old one where they overlap, and joins its like."""
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
def test_they_conflict_with_record_locks_even_of_the_same_descriptor(file, opened):
    """An open file description lock and a record lock are in each other's way also on one descriptor of one process."""
    fd = opened(file).fd
    lock(fd, 0, 1)
    with fails_with(EAGAIN):
        fcntl_setlk(fd, F_SETLK, RecordLock(F_RDLCK, 0, 1))
    fcntl_setlk(fd, F_SETLK, RecordLock(F_WRLCK, 1, 1))
    with fails_with(EAGAIN):
        lock(fd, 1, 1, F_RDLCK)


@clause("ofd.getlk-pid-minus1", "fcntl_locking(2)", "F_GETLK", since="3.15")
def test_a_holder_that_is_a_description_is_told_as_minus_1(file, opened):
    """F_GETLK and F_OFD_GETLK give the range of an open file description lock in the way, and -1 for the process."""
    holder, asking = opened(file).fd, opened(file).fd
    lock(holder, 3, 4)
    for cmd in (F_GETLK, F_OFD_GETLK):
        assert fcntl_getlk(asking, cmd, RecordLock(F_RDLCK)) == RecordLock(F_WRLCK, 3, 4, SEEK_SET, -1)


@clause("ofd.getlk-posix-holder-pid", "fcntl_locking(2)", "F_OFD_GETLK", since="3.15")
def test_a_holder_that_is_a_process_is_told_by_its_id(file, opened):
    """F_OFD_GETLK gives the process that holds a record lock in the way, also if it is the one that asks."""
    fd = opened(file).fd
    fcntl_setlk(fd, F_SETLK, RecordLock(F_WRLCK, 3, 4))
    assert fcntl_getlk(fd, F_OFD_GETLK, RecordLock(F_RDLCK)) == RecordLock(F_WRLCK, 3, 4, SEEK_SET, os.getpid())


@clause("ofd.getlk-free-unlck", "fcntl_locking(2)", "F_OFD_GETLK", since="3.15")
def test_where_nothing_is_in_the_way_only_the_type_changes(file, opened):
    """For a lock that could be placed F_OFD_GETLK sets l_type to F_UNLCK and leaves the rest; the description's own are not in the way."""
    fd = opened(file).fd
    lock(fd, 3, 4)
    assert fcntl_getlk(fd, F_OFD_GETLK, RecordLock(F_WRLCK, 2, 9)) == RecordLock(F_UNLCK, 2, 9)


@clause("ofd.getlk-f_unlck-query", "fcntl_locking(2)", "F_OFD_GETLK", since="6.6")
def test_the_descriptions_own_locks_are_listed(file, opened):
    """F_OFD_GETLK with the type F_UNLCK gives the first lock in the range that the open file description itself holds."""
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
def test_it_waits_until_the_range_is_free(file, opened, fork):
    """F_OFD_SETLKW waits while another open file description or process has a lock in its way, and then has its own."""
    fd = opened(file).fd
    lock(fd, 0, 10)
    waiter = fork(take, file, RecordLock(F_RDLCK, 5, 10), F_OFD_SETLKW)
    waiter.wait_blocked("fcntl")
    lock(fd, 0, 10, F_UNLCK)
    assert waiter.result() >= 0


@clause("ofd.setlkw-eintr", "fcntl(2)", "ERRORS", errno=EINTR, since="3.15")
def test_a_handler_interrupts_the_wait(file, opened, fork, signals, seen_by_others):
    """F_OFD_SETLKW fails with EINTR when a handler without SA_RESTART has run, and has placed nothing."""
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
def test_a_deadlock_is_not_found(circle):
    """Two open file descriptions that wait for each other's locks wait on: no deadlock is looked for. One goes on when the other ends."""
    last, (other,) = circle(2, F_OFD_SETLKW)
    last.wait_blocked("fcntl")
    other.wait_blocked("fcntl")
    last.end()
    assert other.result() is None


@clause("ofd.threads-separate-opens", "fcntl_locking(2)", "Open file description locks (non-POSIX)", since="3.15")
def test_threads_that_open_the_file_keep_each_other_out(file, fork):
    """Threads that each open the file exclude each other by these locks: what one holds the other waits for."""

    def child() -> list[str]:
        story = []
        fd = take(file, RecordLock(F_WRLCK, 0, 10), F_OFD_SETLK)
        mine = os.open(file, O_RDWR)

        def other_thread() -> None:
            fcntl_setlk(mine, F_OFD_SETLKW, RecordLock(F_WRLCK, 5, 10))
            story.append("other")

        with fails_with(EAGAIN):
            fcntl_setlk(mine, F_OFD_SETLK, RecordLock(F_WRLCK, 5, 10))
        thread = threading.Thread(target=other_thread)
        thread.start()
        story.append("first")
        lock(fd, 0, 10, F_UNLCK)
        thread.join()
        return story

    assert fork(child).result() == ["first", "other"]
