"""flock(2): locks are owned by open file descriptions; their lifetime across dup(), fork(), execve() and SCM_RIGHTS."""

from __future__ import annotations

import os
import socket
from errno import EWOULDBLOCK

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock

from ..conftest import succeeded

# Writes a byte when it runs, and terminates after reading one.
RUN = "import os, sys; os.write(int(sys.argv[1]), b'x'); os.read(int(sys.argv[2]), 1)"


@clause("flock.per-open-file-description", "flock(2)", "DESCRIPTION", errno=EWOULDBLOCK)
def test_descriptions_of_one_process_conflict(file, opened):
    """flock() locks of two open file descriptions conflict, also in one process."""
    first, second = opened(file).fd, opened(file).fd
    flock(first, LOCK_EX)
    with fails_with(EWOULDBLOCK):
        flock(second, LOCK_EX | LOCK_NB)
    flock(second, LOCK_UN)
    with fails_with(EWOULDBLOCK):
        flock(second, LOCK_SH | LOCK_NB)


@clause("flock.dup-shares", "flock(2)", "DESCRIPTION")
def test_duplicate_refers_to_the_same_lock(file, opened):
    """A duplicated descriptor refers to the same flock() lock, which can be released through it."""
    own, other = opened(file).fd, opened(file).fd
    flock(own, LOCK_EX)
    copy = os.dup(own)
    try:
        flock(copy, LOCK_EX | LOCK_NB)
        flock(copy, LOCK_UN)
    finally:
        os.close(copy)
    flock(other, LOCK_EX | LOCK_NB)


@clause("flock.release-on-last-close", "flock(2)", "DESCRIPTION")
def test_last_close_releases_the_lock(file, opened):
    """A flock() lock is held until the last descriptor of its open file description is closed."""
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
def test_child_can_unlock(file, opened, fork):
    """A forked child can release the flock() lock of its parent through the inherited descriptor."""
    own, other = opened(file).fd, opened(file).fd
    flock(own, LOCK_EX)
    fork(flock, own, LOCK_UN).result()
    flock(other, LOCK_EX | LOCK_NB)


@clause("flock.fork-child-exit-keeps", "flock(2)", "DESCRIPTION")
def test_close_in_a_child_keeps_the_lock(file, opened, fork):
    """A flock() lock stays when a forked child closes the inherited descriptor or terminates."""
    own, other = opened(file).fd, opened(file).fd
    flock(own, LOCK_EX)
    fork(os.close, own).result()
    with fails_with(EWOULDBLOCK):
        flock(other, LOCK_SH | LOCK_NB)


@clause("flock.fork-parent-closes-child-holds", "flock(2)", "DESCRIPTION")
def test_child_keeps_the_lock_after_the_parent_closes(file, opened, fork, pipe):
    """A flock() lock stays while a forked child has the descriptor open, after its parent has closed it."""
    own, other, hold = opened(file), opened(file).fd, pipe()
    flock(own.fd, LOCK_EX)
    child = fork(hold.read, 1, timeout=None)
    own.close()
    with fails_with(EWOULDBLOCK):
        flock(other, LOCK_SH | LOCK_NB)
    hold.write(b"x")
    child.result()
    flock(other, LOCK_EX | LOCK_NB)


@clause("flock.exec-preserved", "flock(2)", "DESCRIPTION")
def test_lock_is_preserved_by_execve(file, opened, program, pipe):
    """A flock() lock is preserved across execve(), by the program that has the descriptor."""
    own, other, ready, hold = opened(file), opened(file).fd, pipe(), pipe()
    flock(own.fd, LOCK_EX)
    running = program(RUN, ready.write_fd, hold.read_fd, keep=(own.fd, ready.write_fd, hold.read_fd))
    own.close()
    ready.close_write()
    assert ready.read() == b"x", running.output
    with fails_with(EWOULDBLOCK):
        flock(other, LOCK_SH | LOCK_NB)
    hold.write(b"x")
    succeeded(running)
    flock(other, LOCK_EX | LOCK_NB)


@clause("flock.scm_rights-carries", "unix(7)", "SCM_RIGHTS")
def test_descriptor_in_a_message_keeps_the_lock(file, opened):
    """A flock() lock is held while its descriptor is in transit in an SCM_RIGHTS message, and after it is received."""
    own, other = opened(file), opened(file).fd
    flock(own.fd, LOCK_EX)
    sender, receiver = socket.socketpair(socket.AF_UNIX)
    with sender, receiver:
        socket.send_fds(sender, [b"x"], [own.fd])
        own.close()
        with fails_with(EWOULDBLOCK):
            flock(other, LOCK_SH | LOCK_NB)
        _, fds, _, _ = socket.recv_fds(receiver, 1, 1)
        with fails_with(EWOULDBLOCK):
            flock(other, LOCK_SH | LOCK_NB)
        os.close(fds[0])
    flock(other, LOCK_EX | LOCK_NB)
