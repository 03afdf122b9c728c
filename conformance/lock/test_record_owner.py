"""fcntl(2), "Advisory record locking": to whom a record lock belongs, a process, and what takes it away."""

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
def test_to_close_any_descriptor_of_the_file_drops_all_locks(file, opened, seen_by_others, how):
    """When a process closes any descriptor of a file, all its locks of the file are gone, by whichever they were taken."""
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
def test_to_close_another_file_drops_nothing(file, tmp_path, opened, seen_by_others):
    """Locks stay when the process closes a descriptor of another file, or when another process closes this one."""
    fcntl_setlk(opened(file).fd, F_SETLK, RecordLock(F_WRLCK, 1, 1))
    (tmp_path / "other").touch()
    opened(tmp_path / "other").close()
    assert seen_by_others(0, 3) == ".w."  # by a process that opened the file and has closed it
    assert seen_by_others(0, 3) == ".w."


@clause("fcntl.fork-not-inherited", "fcntl_locking(2)", "Advisory record locking")
def test_a_child_has_none_of_its_parents_locks(file, opened, fork, seen_by_others):
    """A forked child does not have its parent's locks: they are in its way, and to close the file drops none of them."""
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
    """A descriptor of the file that another program gets."""
    fd = os.open(path, os.O_RDWR)
    os.set_inheritable(fd, True)
    return fd


@clause("fcntl.exec-preserved", "fcntl_locking(2)", "Advisory record locking")
def test_another_program_keeps_them(file, opened, as_another_program):
    """A process keeps its locks through execve: the new program holds them, under the same process id, until it ends."""
    running, end = as_another_program(lambda: fcntl_setlk(inheritable(file), F_SETLK, RecordLock(F_WRLCK, 1, 2)))
    fd = opened(file).fd  # not before: the child would have it too, and close it at its execve
    assert fcntl_getlk(fd, F_GETLK, RecordLock(F_WRLCK)) == RecordLock(F_WRLCK, 1, 2, os.SEEK_SET, running.pid)
    end()
    succeeded(running)
    assert fcntl_getlk(fd, F_GETLK, RecordLock(F_WRLCK)).type == F_UNLCK


@clause("fcntl.exec-cloexec-fd-releases", "execve(2)", "DESCRIPTION")
def test_a_descriptor_that_exec_closes_drops_them(file, opened, as_another_program):
    """A descriptor that execve closes is one that the process closes: all its locks of the file are gone."""

    def lock_and_open_again() -> None:
        fcntl_setlk(inheritable(file), F_SETLK, RecordLock(F_WRLCK, 1, 2))
        os.open(file, os.O_RDONLY | os.O_CLOEXEC)

    running, end = as_another_program(lock_and_open_again)
    fd = opened(file).fd
    assert fcntl_getlk(fd, F_GETLK, RecordLock(F_WRLCK)).type == F_UNLCK
    end()
    succeeded(running)


@clause("fcntl.threads-share", "fcntl_locking(2)", "Advisory record locking")
def test_threads_are_not_kept_out(file, fork):
    """All threads of a process have its locks: one is never refused what another has locked, and can unlock it."""

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
