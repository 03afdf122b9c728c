"""fcntl(2), "Advisory record locking": record locks are owned by processes; their release."""

from __future__ import annotations

import os
import threading
from errno import EACCES, EAGAIN

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import F_GETLK, F_SETLK, F_UNLCK, F_WRLCK, RecordLock, fcntl_getlk, fcntl_setlk

from ..conftest import succeeded
from .holders import take


@pytest.mark.parametrize("how", ["another open", "duplicate", "read-only", "itself"])
@clause("fcntl.close-any-fd-releases-all", "fcntl_locking(2)", "Advisory record locking")
def test_close_of_any_descriptor_releases_all_locks(file, opened, seen_by_others, how):
    """close() of any descriptor of a file releases all record locks of the process on the file."""
    first, second = opened(file), opened(file)
    fcntl_setlk(first.fd, F_SETLK, RecordLock(F_WRLCK, 0, 2))
    fcntl_setlk(second.fd, F_SETLK, RecordLock(F_WRLCK, 3, 2))
    assert seen_by_others(0, 6) == "ww.ww."
    match how:
        case "another open":
            opened(file).close()
        case "duplicate":
            os.close(os.dup(first.fd))
        case "read-only":
            opened(file, os.O_RDONLY).close()
        case "itself":
            first.close()
    assert seen_by_others(0, 6) == "......"


@clause("fcntl.close-other-file-keeps", "fcntl_locking(2)", "Advisory record locking")
def test_close_of_another_file_keeps_the_locks(file, tmp_path, opened, seen_by_others):
    """Record locks stay when the process closes another file, and when another process closes this one."""
    fcntl_setlk(opened(file).fd, F_SETLK, RecordLock(F_WRLCK, 1, 1))
    (tmp_path / "other").touch()
    opened(tmp_path / "other").close()
    assert seen_by_others(0, 3) == ".w."  # another process opens and closes the file
    assert seen_by_others(0, 3) == ".w."


@clause("fcntl.fork-not-inherited", "fcntl_locking(2)", "Advisory record locking")
def test_child_does_not_inherit_the_locks(file, opened, fork, seen_by_others):
    """A child created with fork() does not inherit record locks: they
    conflict with its own, and its close() releases none.
    """
    fd = opened(file).fd
    fcntl_setlk(fd, F_SETLK, RecordLock(F_WRLCK, 1, 1))

    def child() -> RecordLock:
        with fails_with(EAGAIN, EACCES):
            fcntl_setlk(fd, F_SETLK, RecordLock(F_WRLCK, 1, 1))
        fcntl_setlk(fd, F_SETLK, RecordLock(F_UNLCK))
        found = fcntl_getlk(fd, F_GETLK, RecordLock(F_WRLCK))
        os.close(fd)
        return found

    assert fork(child).result() == RecordLock(F_WRLCK, 1, 1, os.SEEK_SET, os.getpid())
    assert seen_by_others(0, 3) == ".w."


def inheritable(path: os.PathLike[str]) -> int:
    """Open the file with a descriptor that execve() keeps; return it."""
    fd = os.open(path, os.O_RDWR)
    os.set_inheritable(fd, True)
    return fd


@clause("fcntl.exec-preserved", "fcntl_locking(2)", "Advisory record locking")
def test_locks_are_preserved_by_execve(file, opened, as_another_program):
    """Record locks are preserved across execve(), and released when the program terminates."""
    running, end = as_another_program(lambda: fcntl_setlk(inheritable(file), F_SETLK, RecordLock(F_WRLCK, 1, 2)))
    fd = opened(file).fd  # opened last, as a child that inherits it would close it at execve()
    assert fcntl_getlk(fd, F_GETLK, RecordLock(F_WRLCK)) == RecordLock(F_WRLCK, 1, 2, os.SEEK_SET, running.pid)
    end()
    succeeded(running)
    assert fcntl_getlk(fd, F_GETLK, RecordLock(F_WRLCK)).type == F_UNLCK


@clause("fcntl.exec-cloexec-fd-releases", "execve(2)", "DESCRIPTION")
def test_close_on_exec_releases_the_locks(file, opened, as_another_program):
    """execve() that closes a close-on-exec descriptor of the file releases the process's record locks on it."""

    def lock_and_open_again() -> None:
        fcntl_setlk(inheritable(file), F_SETLK, RecordLock(F_WRLCK, 1, 2))
        os.open(file, os.O_RDONLY | os.O_CLOEXEC)

    running, end = as_another_program(lock_and_open_again)
    fd = opened(file).fd
    assert fcntl_getlk(fd, F_GETLK, RecordLock(F_WRLCK)).type == F_UNLCK
    end()
    succeeded(running)


@clause("fcntl.threads-share", "fcntl_locking(2)", "Advisory record locking")
def test_threads_share_the_locks(file, fork):
    """All threads of a process share its record locks: they do not conflict, and one can unlock those of another."""

    def child() -> str:
        take(file, RecordLock(F_WRLCK, 0, 10), F_SETLK)
        outcome = []

        def other_thread() -> None:
            fd = take(file, RecordLock(F_WRLCK, 5, 10), F_SETLK)
            fcntl_setlk(fd, F_SETLK, RecordLock(F_UNLCK, 0, 5))
            outcome.append("done")

        thread = threading.Thread(target=other_thread)
        thread.start()
        thread.join()
        return "".join(outcome)

    assert fork(child).result() == "done"
