"""_exit(2): what a process leaves to its parent, its children and those it spoke with."""

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
def test_the_parent_sees_the_low_eight_bits(fork, status):
    """The parent of a process that has left sees the lowest eight bits of its status, and no signal."""
    assert fork(os._exit, status).wait() == status & 0xFF


@clause("exit.fds-closed-eof-seen", "_exit(3)", "DESCRIPTION")
def test_a_reader_sees_the_end(fork, pipe):
    """The descriptors of a process that ends are closed: who reads what it wrote finds that, and then the end of file."""
    channel = pipe()
    writer = fork(channel.write, b"last words")
    channel.close_write()
    assert channel.read() == b"last words"
    assert channel.read() == b""
    writer.result()


@clause("exit.killed-fds-closed", "_exit(3)", "DESCRIPTION")
def test_a_writer_sees_the_end_of_a_killed_reader(fork, pipe):
    """The descriptors of a process that is killed are closed too: who writes to it gets SIGPIPE."""
    channel = pipe()
    reader = fork(channel.read)
    reader.wait_blocked("read")
    channel.close_read()
    reader.signal(SIGKILL)
    assert reader.wait() == -SIGKILL

    assert fork(write, channel.write_fd, b"x").wait() == -SIGPIPE


@clause("exit.sigchld-to-parent", "_exit(3)", "DESCRIPTION")
def test_the_parent_gets_sigchld(fork, signals):
    """When a process ends, its parent gets SIGCHLD."""

    def life() -> None:
        signals.catch(SIGCHLD)
        signals.block(SIGCHLD)
        assert sigpending() == set()
        with Child.start(os._exit, (0,)) as child:
            assert sigtimedwait({SIGCHLD}, SOON).pid == child.pid

    fork(life).result()


@clause("exit.zombie-until-waited-for", "_exit(3)", "DESCRIPTION")
def test_what_has_ended_stays_until_it_is_waited_for(fork):
    """A process that has ended stays as a zombie, in state Z, until its parent has taken its status; then it is gone."""

    def life() -> None:
        with Child.start(os._exit, (5,)) as child:
            assert child.wait_state("ZX") == "Z"
            assert child.wait() == 5
            with fails_with(ESRCH):
                kill(child.pid, 0)

    fork(life).result()


@clause("exit.children-reparented-subreaper", "_exit(3)", "DESCRIPTION")
def test_orphans_go_to_the_subreaper(fork, pipe):
    """The children of a process that ends become children of its nearest living ancestor that is a subreaper."""
    go = pipe()

    def wait_for_go() -> int:
        go.close_write()  # the end of the subreaper is an end of file then
        go.read(1)
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
def test_orphans_do_not_become_the_grandparent_s(fork, pipe):
    """A process that is no subreaper does not get the children of its children when those end."""
    go, told = pipe(), pipe()

    def wait_for_go() -> int:
        go.close_write()
        go.read(1)
        return 0

    def leave_an_orphan() -> int:
        told.write(b"%d" % bare_child(wait_for_go))
        return 0

    def grandparent() -> None:
        os.waitpid(bare_child(leave_an_orphan), 0)
        with fails_with(ECHILD):
            os.waitpid(int(told.read()), os.WNOHANG)

    def life() -> None:
        adopt_orphans()
        with Child.start(grandparent, keep={*go.descriptors(), *told.descriptors()}) as child:
            child.result()
        go.close_write()
        with suppress(ChildProcessError):
            os.wait()

    subreaper = fork(life)
    go.close_write()
    subreaper.result()


@clause("exit.no-stdio-flush", "_exit(3)", "DESCRIPTION")
def test_buffers_are_not_written(fork, pipe):
    """_exit(2) does not write what the C library's streams hold; fflush(3) before it does."""
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


@pytest.mark.usefixtures("room_for_processes")
@clause("exit.exit_group-all-threads", "_exit(3)", "HISTORY")
def test_all_threads_end(fork):
    """When any thread of a process calls _exit(2), all of them end and the status is that thread's."""

    def life() -> None:
        Thread(target=os._exit, args=(6,)).start()
        Event().wait()

    assert fork(life).wait() == 6

    def main() -> None:
        add_thread()
        os._exit(7)

    assert fork(main).wait() == 7
