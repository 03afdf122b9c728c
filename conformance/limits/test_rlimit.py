"""getrlimit(2): setting, inheriting and enforcing resource limits."""

from __future__ import annotations

import os
import signal
from errno import EAGAIN, EINVAL, EMFILE, EPERM, ESRCH

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import (
    CAPABILITIES,
    RLIMIT_CORE,
    RLIMIT_MEMLOCK,
    RLIMIT_NOFILE,
    CapabilitySets,
    capget,
    capset,
    getrlimit,
    limit,
    open_descriptors,
    pipe2,
    prlimit,
    setrlimit,
)

from ..conftest import succeeded
from ..credentials import OTHER_GROUP, STRANGER, limit_process

SYS_RESOURCE = 1 << CAPABILITIES.index("SYS_RESOURCE")


def drop_sys_resource() -> None:
    """Drop CAP_SYS_RESOURCE from this child."""
    held = capget()
    capset(CapabilitySets(*(mask & ~SYS_RESOURCE for mask in (held.effective, held.permitted, held.inheritable))))


@clause("setrlimit.soft-within-hard", "getrlimit(2)", "DESCRIPTION")
def test_soft_limit_can_be_set_up_to_the_hard_limit(fork):
    """setrlimit() without privilege sets the soft limit to any value from 0 to the hard limit."""

    def child() -> list[tuple[int, int]]:
        drop_sys_resource()
        limit_process("MEMLOCK", 0, 4096)
        seen = []
        for soft in (4096, 0, 17, 4096):
            setrlimit(RLIMIT_MEMLOCK, soft, 4096)
            seen.append(getrlimit(RLIMIT_MEMLOCK))
        return seen

    assert fork(child).result() == [(soft, 4096) for soft in (4096, 0, 17, 4096)]


@clause("setrlimit.soft-above-hard-einval", "getrlimit(2)", "ERRORS", errno=EINVAL)
def test_soft_limit_above_the_hard_limit_fails(fork):
    """setrlimit() fails with EINVAL if the soft limit exceeds the hard limit, and changes neither."""

    def child() -> bool:
        limit_process("MEMLOCK", 100, 200)
        with fails_with(EINVAL):
            setrlimit(RLIMIT_MEMLOCK, 101, 100)
        return getrlimit(RLIMIT_MEMLOCK) == (100, 200)

    assert fork(child).result()


@clause("setrlimit.raise-hard-eperm", "getrlimit(2)", "ERRORS", errno=EPERM)
def test_hard_limit_cannot_be_raised_without_privilege(fork):
    """setrlimit() without CAP_SYS_RESOURCE lowers the hard limit, and fails with EPERM to raise it again."""

    def child() -> bool:
        drop_sys_resource()
        limit_process("MEMLOCK", 100, 200)
        setrlimit(RLIMIT_MEMLOCK, 100, 150)
        with fails_with(EPERM):
            setrlimit(RLIMIT_MEMLOCK, 100, 151)
        return getrlimit(RLIMIT_MEMLOCK) == (100, 150)

    assert fork(child).result()


@clause("setrlimit.invalid-resource-einval", "getrlimit(2)", "ERRORS", errno=EINVAL)
def test_invalid_resource_fails():
    """getrlimit() and setrlimit() fail with EINVAL for an invalid resource."""
    with fails_with(EINVAL):
        getrlimit(1000)
    with fails_with(EINVAL):
        setrlimit(1000, 0, 0)


@clause("setrlimit.nofile-emfile", "getrlimit(2)", "RLIMIT_NOFILE", errno=EMFILE)
def test_rlimit_nofile_limits_descriptors(fork):
    """With RLIMIT_NOFILE n, dup() returns descriptors up to n - 1 and then fails
    with EMFILE; pipe() with one free descriptor fails and keeps it free.
    """

    def child() -> tuple[int, int]:
        most = open_descriptors()[-1] + 4
        limit_process("NOFILE", most)
        highest = -1
        while highest < most - 2:  # leaves one free
            highest = os.dup(0)
        with fails_with(EMFILE):
            pipe2()
        highest = os.dup(0)
        with fails_with(EMFILE):
            os.dup(0)
        return highest, most - 1

    highest, wanted = fork(child).result()
    assert highest == wanted


@clause("setrlimit.nofile-existing-stay", "getrlimit(2)", "RLIMIT_NOFILE")
def test_descriptors_above_a_lowered_limit_stay_open(fork):
    """Descriptors at or above a lowered RLIMIT_NOFILE stay usable, and dup() fails with EMFILE."""

    def child() -> bytes:
        read, write = os.pipe()
        setrlimit(RLIMIT_NOFILE, 1, getrlimit(RLIMIT_NOFILE)[1])
        os.write(write, b"x")
        with fails_with(EMFILE):
            os.dup(0)
        return os.read(read, 1)

    assert fork(child).result() == b"x"


@clause("setrlimit.nofile-above-nr_open-eperm", "getrlimit(2)", "ERRORS", errno=EPERM)
def test_hard_nofile_above_nr_open_fails(fork):
    """setrlimit() fails with EPERM for a hard RLIMIT_NOFILE above /proc/sys/fs/nr_open, even with privilege."""
    most = limit("fs/nr_open")
    if most is None:
        untested(Need.PROC_FILES, "needs /proc/sys/fs/nr_open")

    def child() -> bool:
        before = getrlimit(RLIMIT_NOFILE)
        with fails_with(EPERM):
            setrlimit(RLIMIT_NOFILE, 10, most + 1)
        return getrlimit(RLIMIT_NOFILE) == before

    assert fork(child).result()


@clause("setrlimit.fork-inherits", "getrlimit(2)", "NOTES")
def test_child_inherits_the_limits(fork):
    """A child inherits the resource limits of its parent, and changes only its own."""

    def in_child() -> list[tuple[int, int]]:
        limit_process("MEMLOCK", 300, 400)

        def child() -> tuple[int, int]:
            inherited = getrlimit(RLIMIT_MEMLOCK)
            setrlimit(RLIMIT_MEMLOCK, 1, 400)
            return inherited

        return [fork(child).result(), getrlimit(RLIMIT_MEMLOCK)]

    assert fork(in_child).result() == [(300, 400), (300, 400)]


@clause("setrlimit.exec-preserves", "getrlimit(2)", "NOTES")
def test_execve_preserves_the_limits(fork, program):
    """execve() preserves the resource limits of the process."""
    source = "import resource, sys; sys.exit(resource.getrlimit(resource.RLIMIT_CORE) != (0, 0))"

    def child() -> None:
        setrlimit(RLIMIT_CORE, 0, 0)
        succeeded(program(source))

    fork(child).result(timeout=60)


@clause("setrlimit.nproc-eagain", "getrlimit(2)", "RLIMIT_NPROC", errno=EAGAIN)
def test_rlimit_nproc_limits_processes(as_user):
    """fork() fails with EAGAIN if the user has RLIMIT_NPROC processes, and succeeds after one terminates."""

    def child() -> tuple[bool, bool]:
        limit_process("NPROC", 2, 2)
        first = _idle()
        with fails_with(EAGAIN):
            _idle()
        os.kill(first, signal.SIGKILL)
        os.waitpid(first, 0)
        second = _idle()
        os.kill(second, signal.SIGKILL)
        return os.waitpid(second, 0)[0] == second, first > 0

    # An unused uid, which has no other processes.
    assert as_user(62000 + os.getpid() % 3000, 62000, child) == (True, True)


def _idle() -> int:
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    return child


@clause("prlimit.sets-anothers", "getrlimit(2)", "prlimit()", since="2.6.36")
def test_prlimit_sets_the_limits_of_another_process(fork):
    """prlimit() returns the previous limits of another process and sets new ones, and does not change the caller's."""

    def in_child() -> None:
        limit_process("MEMLOCK", 0)
        signal.pause()

    own = getrlimit(RLIMIT_MEMLOCK)
    child = fork(in_child)
    child.wait_blocked("pause")
    before = prlimit(child.pid, RLIMIT_MEMLOCK)
    assert before == (0, getrlimit(RLIMIT_MEMLOCK)[1])
    if before[1] < 5000:
        untested(Need.PROCESS_LIMITS, f"RLIMIT_MEMLOCK is at most {before[1]}, and the clause needs 5000")
    assert prlimit(child.pid, RLIMIT_MEMLOCK, (5000, before[1])) == before
    assert prlimit(child.pid, RLIMIT_MEMLOCK) == (5000, before[1])
    assert getrlimit(RLIMIT_MEMLOCK) == own


@clause("prlimit.esrch", "getrlimit(2)", "ERRORS", errno=ESRCH, since="2.6.36")
def test_prlimit_of_missing_process_fails():
    """prlimit() fails with ESRCH for a process that does not exist."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with fails_with(ESRCH):
        prlimit(child, RLIMIT_MEMLOCK)


@clause("prlimit.eperm", "getrlimit(2)", "ERRORS", errno=EPERM, since="2.6.36")
def test_prlimit_of_another_user_fails(as_user, fork):
    """prlimit() for a process of another user without CAP_SYS_RESOURCE fails with EPERM, and changes nothing."""
    child = fork(signal.pause)
    child.wait_blocked("pause")
    before = prlimit(child.pid, RLIMIT_MEMLOCK)

    def in_child() -> None:
        with fails_with(EPERM):
            prlimit(child.pid, RLIMIT_MEMLOCK, (5000, before[1]))

    as_user(STRANGER, OTHER_GROUP, in_child)
    assert prlimit(child.pid, RLIMIT_MEMLOCK) == before
