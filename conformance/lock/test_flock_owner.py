"""flock(2): to whom a lock belongs, an open file description, and how long it is held: through dup, fork, exec and sockets."""

from __future__ import annotations

import os
import socket
from errno import EWOULDBLOCK

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock

from ..conftest import succeeded

# Says that it runs, and ends when it is told to.
LIVE_ON = "import os, sys; os.write(int(sys.argv[1]), b'x'); os.read(int(sys.argv[2]), 1)"


@clause("flock.per-open-file-description", "flock(2)", "DESCRIPTION", errno=EWOULDBLOCK)
def test_two_openings_compete_in_one_process(file, opened):
    """Descriptors from two opens of a file are apart: one can be refused what the other holds, in one process too."""
    first, second = opened(file).fd, opened(file).fd
    flock(first, LOCK_EX)
    with fails_with(EWOULDBLOCK):
        flock(second, LOCK_EX | LOCK_NB)
    flock(second, LOCK_UN)
    with fails_with(EWOULDBLOCK):
        flock(second, LOCK_SH | LOCK_NB)


@clause("flock.dup-shares", "flock(2)", "DESCRIPTION")
def test_a_duplicate_has_the_same_lock(file, opened):
    """A duplicated descriptor refers to the same lock: it takes it again, converts it, and to unlock it unlocks both."""
    mine, other = opened(file).fd, opened(file).fd
    flock(mine, LOCK_EX)
    copy = os.dup(mine)
    try:
        flock(copy, LOCK_EX | LOCK_NB)
        flock(copy, LOCK_UN)
    finally:
        os.close(copy)
    flock(other, LOCK_EX | LOCK_NB)


@clause("flock.release-on-last-close", "flock(2)", "DESCRIPTION")
def test_the_last_close_releases_it(file, opened):
    """A lock is held until the last of its duplicated descriptors is closed, and no longer."""
    first, other = opened(file), opened(file).fd
    flock(first.fd, LOCK_EX)
    copy = os.dup(first.fd)
    first.close()
    try:
        with fails_with(EWOULDBLOCK):
            flock(other, LOCK_SH | LOCK_NB)
    finally:
        os.close(copy)
    flock(other, LOCK_EX | LOCK_NB)


@clause("flock.fork-shares-child-unlocks", "flock(2)", "DESCRIPTION")
def test_a_child_can_unlock_its_parents_lock(file, opened, fork):
    """A forked child's descriptor refers to its parent's lock: when the child unlocks it, it is free for anybody."""
    mine, other = opened(file).fd, opened(file).fd
    flock(mine, LOCK_EX)
    fork(flock, mine, LOCK_UN).result()
    flock(other, LOCK_EX | LOCK_NB)


@clause("flock.fork-child-exit-keeps", "flock(2)", "DESCRIPTION")
def test_a_childs_end_does_not_release_it(file, opened, fork):
    """When a forked child closes its copy of the descriptor, or ends, the parent's lock stays."""
    mine, other = opened(file).fd, opened(file).fd
    flock(mine, LOCK_EX)
    fork(os.close, mine).result()
    with fails_with(EWOULDBLOCK):
        flock(other, LOCK_SH | LOCK_NB)


@clause("flock.fork-parent-closes-child-holds", "flock(2)", "DESCRIPTION")
def test_a_child_keeps_it_when_its_parent_closes(file, opened, fork, pipe):
    """A lock lives on in a forked child when the process that took it has closed the file."""
    mine, other, hold = opened(file), opened(file).fd, pipe()
    flock(mine.fd, LOCK_EX)
    child = fork(hold.read, 1)
    mine.close()
    with fails_with(EWOULDBLOCK):
        flock(other, LOCK_SH | LOCK_NB)
    hold.write(b"x")
    child.result()
    flock(other, LOCK_EX | LOCK_NB)


@clause("flock.exec-preserved", "flock(2)", "DESCRIPTION")
def test_another_program_keeps_it(file, opened, program, pipe):
    """A lock is kept through execve, by the program that has the descriptor now."""
    mine, other, ready, hold = opened(file), opened(file).fd, pipe(), pipe()
    flock(mine.fd, LOCK_EX)
    running = program(LIVE_ON, ready.write_fd, hold.read_fd, keep=(mine.fd, ready.write_fd, hold.read_fd))
    mine.close()
    ready.close_write()
    assert ready.read() == b"x", running.output
    with fails_with(EWOULDBLOCK):
        flock(other, LOCK_SH | LOCK_NB)
    hold.write(b"x")
    succeeded(running)
    flock(other, LOCK_EX | LOCK_NB)


@clause("flock.scm_rights-carries", "unix(7)", "SCM_RIGHTS")
def test_a_descriptor_on_its_way_keeps_it(file, opened):
    """A lock is held while its only descriptor is in a socket, sent and not yet received, and goes with it."""
    mine, other = opened(file), opened(file).fd
    flock(mine.fd, LOCK_EX)
    sender, receiver = socket.socketpair(socket.AF_UNIX)
    with sender, receiver:
        socket.send_fds(sender, [b"x"], [mine.fd])
        mine.close()
        with fails_with(EWOULDBLOCK):
            flock(other, LOCK_SH | LOCK_NB)
        _, fds, _, _ = socket.recv_fds(receiver, 1, 1)
        with fails_with(EWOULDBLOCK):
            flock(other, LOCK_SH | LOCK_NB)
        os.close(fds[0])
    flock(other, LOCK_EX | LOCK_NB)
