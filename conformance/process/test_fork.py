"""fork(2): attributes that a child shares with its parent, copies, and does not inherit."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from signal import SIGKILL, SIGTERM, SIGUSR1

from pytest_ipc import Child, clause
from pytest_ipc.kernel import PR_GET_PDEATHSIG, PR_SET_PDEATHSIG, fcntl, kill, prctl, sigtimedwait

from ..memory import peek, poke
from ..signal.plain_child import SOON, add_thread, adopt_orphans, bare_child

F_GETFD, F_SETFD, F_GETFL, F_SETFL = 1, 2, 3, 4


@clause("fork.child-has-a-pid-of-its-own", "fork(2)", "DESCRIPTION")
def test_child_has_own_pid_and_parent(fork):
    """fork() returns to the parent the child's own process ID, and the child's parent is the caller."""

    def life() -> None:
        with Child.start(lambda: (os.getpid(), os.getppid())) as child:
            assert child.result() == (child.pid, os.getpid())
            assert child.pid != os.getpid()

    fork(life).result()


@clause("fork.memory-is-copied", "fork(2)", "DESCRIPTION")
def test_memory_is_copied(fork, pipe, mapped_file):
    """After fork() the child has a copy of the parent's memory: stores by either are not visible to the other."""
    buffer, mapping, go = ctypes.create_string_buffer(b"before"), mapped_file(shared=False), pipe()
    mapping.buf[:6] = b"before"
    places = ctypes.addressof(buffer), mapping.address

    def look_and_change() -> list[bytes]:
        go.read(1, timeout=None)
        found = [peek(place, 6) for place in places]
        for place in places:
            poke(place, ord("c"))
        return found

    child = fork(look_and_change)
    child.wait_blocked("read")
    for place in places:
        poke(place, ord("p"))
    go.write(b"!")
    assert child.result() == [b"before"] * 2
    assert [peek(place, 6) for place in places] == [b"pefore"] * 2


@clause("fork.descriptors-are-copied", "fork(2)", "DESCRIPTION")
def test_descriptors_are_copied(fork, pipe):
    """After fork() the child has copies of the parent's descriptors: closing one or changing its flags does not
    affect the other.
    """
    channel = pipe()

    def change() -> None:
        os.write(channel.write_fd, b"from the child")
        fcntl(channel.read_fd, F_SETFD, 0)
        os.close(channel.write_fd)

    fork(change).result()
    assert channel.read() == b"from the child"
    assert channel.write(b"still open") == 10
    assert fcntl(channel.read_fd, F_GETFD) == 1


@clause("fork.offset-flags-shared", "fork(2)", "DESCRIPTION")
def test_offset_and_status_flags_are_shared(fork, tmp_path):
    """After fork() parent and child share the open file descriptions, with file offset and status flags."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:

        def change(fd: int) -> bytes:
            data = os.read(fd, 4)
            fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | os.O_APPEND | os.O_NONBLOCK)
            return data

        assert fork(change, fd).result() == b"0123"
        assert os.lseek(fd, 0, os.SEEK_CUR) == 4
        assert fcntl(fd, F_GETFL) & (os.O_APPEND | os.O_NONBLOCK) == os.O_APPEND | os.O_NONBLOCK
        os.lseek(fd, 7, os.SEEK_SET)
        assert fork(os.read, fd, 10).result() == b"789"
    finally:
        os.close(fd)


@clause("fork.pdeathsig-cleared", "fork(2)", "DESCRIPTION")
def test_parent_death_signal_is_cleared(fork):
    """fork() clears the parent death signal of the child."""

    def deathsig() -> int:
        signo = ctypes.c_int(255)
        prctl(PR_GET_PDEATHSIG, ctypes.addressof(signo))
        return signo.value

    def life() -> None:
        prctl(PR_SET_PDEATHSIG, SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(bare_child(deathsig), 0)[1]) == 0
        assert deathsig() == SIGTERM

    fork(life).result()


@clause("prctl.pdeathsig-sent", "prctl(2)", "PR_SET_PDEATHSIG")
def test_parent_death_signal_is_sent(fork, pipe, signals):
    """A process that has set PR_SET_PDEATHSIG gets that signal when its parent has died."""
    ready, received = pipe(), pipe()

    def child() -> int:
        signals.block(SIGUSR1)
        prctl(PR_SET_PDEATHSIG, SIGUSR1)
        ready.write(b"!")
        received.write(bytes([sigtimedwait({SIGUSR1}, SOON).signo]))
        return 0

    def parent() -> None:
        bare_child(child)
        ready.read(1)

    def life() -> None:
        adopt_orphans()
        with Child.start(parent, keep={*ready.descriptors(), *received.descriptors()}) as middle:
            middle.result()
            received.close_write()
            assert received.read() == bytes([SIGUSR1])
            with suppress(ChildProcessError):
                os.wait()

    fork(life).result()


@clause("fork.single-thread", "fork(2)", "DESCRIPTION")
def test_only_calling_thread_is_copied(fork):
    """After fork() the child has one thread, a copy of the calling one."""

    def life() -> None:
        add_thread()
        assert len(os.listdir("/proc/self/task")) == 2
        with Child.start(os.listdir, ("/proc/self/task",)) as child:
            assert child.result() == [str(child.pid)]

    fork(life).result()


@clause("fork.group-and-session-inherited", "fork(2)", "DESCRIPTION")
def test_group_and_session_are_inherited(fork):
    """After fork() the child is in the parent's process group and session."""

    def life() -> None:
        group, session = os.getpgrp(), os.getsid(0)
        same = bare_child(lambda: int((os.getpgrp(), os.getsid(0)) == (group, session)))
        assert os.waitstatus_to_exitcode(os.waitpid(same, 0)[1]) == 1

    fork(life).result()


@clause("fork.both-go-on", "fork(2)", "DESCRIPTION")
def test_parent_and_child_continue_independently(fork):
    """Parent and child continue after fork() independently: the death of the child does not end the parent."""

    def die() -> int:
        kill(os.getpid(), SIGKILL)
        return 0

    def life() -> str:
        pid = bare_child(die)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -SIGKILL
        return "went on"

    assert fork(life).result() == "went on"
