"""fork(2), execve(2): attributes not inherited: memory locks, asynchronous I/O contexts, directory notifications."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable
from ctypes import addressof, c_ulong
from errno import EINVAL
from fcntl import DN_CREATE, F_NOTIFY, fcntl
from pathlib import Path
from signal import SIGIO

import pytest

from pytest_ipc import Child, Need, clause, fails_with, untested
from pytest_ipc.kernel import mlock, number_of, process_status, sigpending, sigtimedwait
from pytest_ipc.kernel.libc import syscall

from ..signal.plain_child import SOON, become_program, printed


@pytest.fixture
def lock_a_page(page) -> Callable[[], mmap.mmap]:
    """Lock a page of memory and return it: lock_a_page(). Report untested if no memory may be locked."""

    def lock() -> mmap.mmap:
        memory = mmap.mmap(-1, page)
        try:
            mlock(ctypes.addressof(ctypes.c_char.from_buffer(memory)), page)
        except OSError as error:
            untested(Need.PROCESS_LIMITS, f"needs to lock a page of memory: {error.strerror}")
        if not locked(os.getpid()):
            untested(Need.PROC_FILES, "/proc/PID/status does not show locked memory")
        return memory

    return lock


def locked(pid: int) -> int | None:
    """Return the locked memory of a process in kilobytes, from /proc/PID/status."""
    value = process_status(pid).get("VmLck")
    return None if value is None else int(value.split()[0])


@clause("fork.mlock-dropped", "fork(2)", "DESCRIPTION")
def test_fork_does_not_inherit_memory_locks(fork, lock_a_page):
    """fork() does not give the child the parent's memory locks; the parent keeps them."""

    def life() -> tuple[int | None, bool]:
        memory = lock_a_page()
        with Child.start(lambda: locked(os.getpid())) as child:
            found: int | None = child.result()
        return found, bool(locked(os.getpid())) and not memory.closed

    assert fork(life).result() == (0, True)


@clause("exec.mlock-dropped", "execve(2)", "Effect on process attributes")
def test_execve_removes_memory_locks(fork, lock_a_page):
    """execve() removes memory locks."""

    def life() -> None:
        memory = lock_a_page()
        assert locked(os.getpid())
        become_program("print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmLck:')))")
        del memory

    assert printed(fork(life)) == "0"


@clause("fork.aio-not-inherited", "fork(2)", "DESCRIPTION")
def test_fork_does_not_inherit_aio_contexts(fork):
    """fork() does not give the child the parent's asynchronous I/O contexts of io_setup()."""

    def life() -> None:
        context = c_ulong()
        syscall(number_of("io_setup"), 1, addressof(context))
        destroy = number_of("io_destroy")

        def child() -> None:
            with fails_with(EINVAL):
                syscall(destroy, context.value)

        with Child.start(child) as other:
            other.result()
        syscall(destroy, context.value)

    fork(life).result()


@clause("fork.dnotify-dropped", "fork(2)", "DESCRIPTION")
def test_fork_does_not_inherit_dnotify(fork, signals, tmp_path):
    """fork() does not give the child the parent's directory change notifications (F_NOTIFY): only the parent gets
    the signal.
    """

    def life() -> int:
        signals.block(SIGIO)
        directory = os.open(tmp_path, os.O_RDONLY)
        try:
            fcntl(directory, F_NOTIFY, DN_CREATE)
        except OSError as error:
            if error.errno != EINVAL:
                raise
            untested(Need.NEWER_KERNEL, "needs a kernel with F_NOTIFY")

        def child() -> frozenset[int]:
            Path(tmp_path, "new").touch()
            return sigpending()

        with Child.start(child, keep={directory}) as other:
            assert other.result() == set()
        return sigtimedwait({SIGIO}, SOON).signo

    assert fork(life).result() == SIGIO
