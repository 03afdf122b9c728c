"""_exit(2): exit status, closing of descriptors, orphaned children and threads."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from errno import ECHILD, ESRCH
from signal import SIGCHLD, SIGKILL, SIGPIPE
from threading import Event, Thread

import pytest

from pytest_ipc import Child, clause, fails_with
from pytest_ipc.kernel import PR_SET_CHILD_SUBREAPER, kill, prctl, sigpending, sigtimedwait, write

from ..signal.plain_child import SOON, add_thread, adopt_orphans, bare_child


@clause("exit.status-masked", "_exit(3)", "DESCRIPTION")
@pytest.mark.parametrize("status", [0, 1, 127, 128, 255, 256, 257, 0x1234, -1])
def test_status_is_low_eight_bits(fork, status):
    """The parent of a process that calls _exit() gets the low eight bits of its status."""
    assert fork(os._exit, status).wait() == status & 0xFF


@clause("exit.fds-closed-eof-seen", "_exit(3)", "DESCRIPTION")
def test_exit_closes_descriptors(fork, pipe):
    """_exit() closes the descriptors of the process: the reader of a pipe gets the written data and then end-of-
    file.
    """
    channel = pipe()
    writer = fork(channel.write, b"last words")
    channel.close_write()
    assert channel.read() == b"last words"
    assert channel.read() == b""
    writer.result()


@clause("exit.killed-fds-closed", "_exit(3)", "DESCRIPTION")
def test_kill_closes_descriptors(fork, pipe):
    """When a process is killed its descriptors are closed: a writer to its pipe gets SIGPIPE."""
    channel = pipe()
    reader = fork(channel.read, timeout=None)
    reader.wait_blocked("read")
    channel.close_read()
    reader.signal(SIGKILL)
    assert reader.wait() == -SIGKILL

    assert fork(write, channel.write_fd, b"x").wait() == -SIGPIPE


@clause("exit.sigchld-to-parent", "_exit(3)", "DESCRIPTION")
def test_exit_sends_sigchld_to_parent(fork, signals):
    """When a process terminates, its parent gets SIGCHLD."""

    def life() -> None:
        signals.catch(SIGCHLD)
        signals.block(SIGCHLD)
        assert sigpending() == set()
        with Child.start(os._exit, (0,)) as child:
            assert sigtimedwait({SIGCHLD}, SOON).pid == child.pid

    fork(life).result()


@clause("exit.zombie-until-waited-for", "_exit(3)", "DESCRIPTION")
def test_terminated_process_is_zombie_until_waited_for(fork):
    """A terminated process stays a zombie, in state Z, until its parent waits for it."""

    def life() -> None:
        with Child.start(os._exit, (5,)) as child:
            assert child.wait_state("ZX") == "Z"
            assert child.wait() == 5
            with fails_with(ESRCH):
                kill(child.pid, 0)

    fork(life).result()


@clause("exit.children-reparented-subreaper", "_exit(3)", "DESCRIPTION")
def test_orphans_are_reparented_to_subreaper(fork, pipe):
    """When a process terminates, its children become children of its nearest ancestor that is a subreaper."""
    go = pipe()

    def wait_for_go() -> int:
        go.close_write()  # then the end of the subreaper is an end-of-file
        go.read(1, timeout=None)
        return 3

    def life() -> None:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        with Child.start(bare_child, (wait_for_go,), keep=set(go.descriptors())) as middle:
            orphan = middle.result()
            assert os.waitpid(orphan, os.WNOHANG) == (0, 0)
            go.write(b"!")
            assert os.waitstatus_to_exitcode(os.waitpid(orphan, 0)[1]) == 3

    subreaper = fork(life)
    go.close_write()
    subreaper.result()


@clause("exit.children-leave-the-grandparent-alone", "_exit(3)", "DESCRIPTION", errno=ECHILD)
def test_orphans_are_not_reparented_to_grandparent(fork, pipe):
    """A process that is not a subreaper does not become the parent of its grandchildren when their parent
    terminates.
    """
    go, orphan = pipe(), pipe()

    def wait_for_go() -> int:
        go.close_write()
        go.read(1, timeout=None)
        return 0

    def leave_an_orphan() -> int:
        orphan.write(b"%d" % bare_child(wait_for_go))
        return 0

    def grandparent() -> None:
        os.waitpid(bare_child(leave_an_orphan), 0)
        with fails_with(ECHILD):
            os.waitpid(int(orphan.read()), os.WNOHANG)

    def life() -> None:
        adopt_orphans()
        with Child.start(grandparent, keep={*go.descriptors(), *orphan.descriptors()}) as child:
            child.result()
        go.close_write()
        with suppress(ChildProcessError):
            os.wait()

    subreaper = fork(life)
    go.close_write()
    subreaper.result()


@clause("exit.no-stdio-flush", "_exit(3)", "DESCRIPTION")
def test_stdio_buffers_are_not_flushed(fork, pipe):
    """_exit() does not flush stdio buffers."""
    channel = pipe()
    libc = ctypes.CDLL(None)
    libc.fdopen.restype = ctypes.c_void_p
    libc.fputs.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    libc.fflush.argtypes = [ctypes.c_void_p]

    def life() -> None:
        stream = libc.fdopen(channel.write_fd, b"w")
        libc.fputs(b"flushed", stream)
        libc.fflush(stream)
        libc.fputs(b"held", stream)
        os._exit(0)

    writer = fork(life)
    channel.close_write()
    assert writer.wait() == 0
    assert channel.read() == b"flushed"


@pytest.mark.usefixtures("nproc_limit")
@clause("exit.exit_group-all-threads", "_exit(3)", "HISTORY")
def test_exit_ends_all_threads(fork):
    """When any thread of a process calls _exit(), all threads end, and the exit status is that thread's."""

    def life() -> None:
        Thread(target=os._exit, args=(6,)).start()
        Event().wait()

    assert fork(life).wait() == 6

    def main() -> None:
        add_thread()
        os._exit(7)

    assert fork(main).wait() == 7
