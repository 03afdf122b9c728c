"""getrlimit(2): what a process may set its limits to, who has them after it, and that they hold; on both sides of each."""

from __future__ import annotations

import os
import signal
from errno import EAGAIN, EINVAL, EMFILE, EPERM, ESRCH

from pytest_ipc import clause, fails_with, untested
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


def give_up_the_privilege() -> None:
    """Without CAP_SYS_RESOURCE from here on; a child's."""
    held = capget()
    capset(CapabilitySets(*(mask & ~SYS_RESOURCE for mask in (held.effective, held.permitted, held.inheritable))))


@clause("setrlimit.soft-within-hard", "getrlimit(2)", "DESCRIPTION")
def test_the_soft_limit_may_be_anything_up_to_the_hard_one(fork):
    """A process without privilege may set its soft limit to anything from 0 to the hard limit, and back."""

    def life() -> list[tuple[int, int]]:
        give_up_the_privilege()
        limit_process("MEMLOCK", 0, 4096)
        seen = []
        for soft in (4096, 0, 17, 4096):
            setrlimit(RLIMIT_MEMLOCK, soft, 4096)
            seen.append(getrlimit(RLIMIT_MEMLOCK))
        return seen

    assert fork(life).result() == [(soft, 4096) for soft in (4096, 0, 17, 4096)]


@clause("setrlimit.soft-above-hard-einval", "getrlimit(2)", "ERRORS", errno=EINVAL)
def test_a_soft_limit_above_the_hard_one(fork):
    """A soft limit that is greater than the hard limit is refused, and both stay."""

    def life() -> bool:
        limit_process("MEMLOCK", 100, 200)
        with fails_with(EINVAL):
            setrlimit(RLIMIT_MEMLOCK, 101, 100)
        return getrlimit(RLIMIT_MEMLOCK) == (100, 200)

    assert fork(life).result()


@clause("setrlimit.raise-hard-eperm", "getrlimit(2)", "ERRORS", errno=EPERM)
def test_a_hard_limit_once_lowered_stays_low(fork):
    """Without CAP_SYS_RESOURCE a process may lower its hard limit and never raise it again."""

    def life() -> bool:
        give_up_the_privilege()
        limit_process("MEMLOCK", 100, 200)
        setrlimit(RLIMIT_MEMLOCK, 100, 150)
        with fails_with(EPERM):
            setrlimit(RLIMIT_MEMLOCK, 100, 151)
        return getrlimit(RLIMIT_MEMLOCK) == (100, 150)

    assert fork(life).result()


@clause("setrlimit.invalid-resource-einval", "getrlimit(2)", "ERRORS", errno=EINVAL)
def test_a_resource_that_there_is_not():
    """A number that stands for no resource is refused by both calls."""
    with fails_with(EINVAL):
        getrlimit(1000)
    with fails_with(EINVAL):
        setrlimit(1000, 0, 0)


@clause("setrlimit.nofile-emfile", "getrlimit(2)", "RLIMIT_NOFILE", errno=EMFILE)
def test_descriptors_are_below_the_limit(fork):
    """With RLIMIT_NOFILE n the descriptor n - 1 can be had and n cannot; a call that wants two and gets one gives back that."""

    def life() -> tuple[int, int]:
        most = open_descriptors()[-1] + 4
        limit_process("NOFILE", most)
        highest = -1
        while highest < most - 2:  # until there is room for one
            highest = os.dup(0)
        with fails_with(EMFILE):
            pipe2()
        highest = os.dup(0)
        with fails_with(EMFILE):
            os.dup(0)
        return highest, most - 1

    highest, wanted = fork(life).result()
    assert highest == wanted


@clause("setrlimit.nofile-existing-stay", "getrlimit(2)", "RLIMIT_NOFILE")
def test_descriptors_above_a_lowered_limit_stay(fork):
    """A descriptor that is open stays so, and can be used, when RLIMIT_NOFILE is lowered below its number; no new one is had."""

    def life() -> bytes:
        read, write = os.pipe()
        setrlimit(RLIMIT_NOFILE, 1, getrlimit(RLIMIT_NOFILE)[1])
        os.write(write, b"x")
        with fails_with(EMFILE):
            os.dup(0)
        return os.read(read, 1)

    assert fork(life).result() == b"x"


@clause("setrlimit.nofile-above-nr_open-eperm", "getrlimit(2)", "ERRORS", errno=EPERM)
def test_nobody_has_more_descriptors_than_nr_open(fork):
    """A hard RLIMIT_NOFILE above /proc/sys/fs/nr_open is refused, whatever privilege the process has."""
    most = limit("fs/nr_open")
    if most is None:
        untested("needs /proc/sys/fs/nr_open")

    def life() -> bool:
        before = getrlimit(RLIMIT_NOFILE)
        with fails_with(EPERM):
            setrlimit(RLIMIT_NOFILE, 10, most + 1)
        return getrlimit(RLIMIT_NOFILE) == before

    assert fork(life).result()


@clause("setrlimit.fork-inherits", "getrlimit(2)", "NOTES")
def test_a_child_has_the_limits_of_its_parent(fork):
    """A child has its parent's limits; what it changes then is its own."""

    def life() -> list[tuple[int, int]]:
        limit_process("MEMLOCK", 300, 400)

        def child() -> tuple[int, int]:
            inherited = getrlimit(RLIMIT_MEMLOCK)
            setrlimit(RLIMIT_MEMLOCK, 1, 400)
            return inherited

        return [fork(child).result(), getrlimit(RLIMIT_MEMLOCK)]

    assert fork(life).result() == [(300, 400), (300, 400)]


@clause("setrlimit.exec-preserves", "getrlimit(2)", "NOTES")
def test_limits_stay_through_execve(fork, program):
    """The limits of a process stay when it executes another program."""
    source = "import resource, sys; sys.exit(resource.getrlimit(resource.RLIMIT_CORE) != (0, 0))"

    def life() -> None:
        setrlimit(RLIMIT_CORE, 0, 0)
        succeeded(program(source))

    fork(life).result(60)


@clause("setrlimit.nproc-eagain", "getrlimit(2)", "RLIMIT_NPROC", errno=EAGAIN)
def test_a_user_has_no_more_processes_than_the_limit(as_user):
    """With RLIMIT_NPROC n a user may have n processes; the fork of another fails, and succeeds when one has ended."""

    def life() -> tuple[bool, bool]:
        limit_process("NPROC", 2, 2)
        first = _idle()
        with fails_with(EAGAIN):
            _idle()
        os.kill(first, signal.SIGKILL)
        os.waitpid(first, 0)
        second = _idle()
        os.kill(second, signal.SIGKILL)
        return os.waitpid(second, 0)[0] == second, first > 0

    # The account must be nobody else's, or there are more of its processes than these.
    assert as_user(62000 + os.getpid() % 3000, 62000, life) == (True, True)


def _idle() -> int:
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    return child


@clause("prlimit.sets-anothers", "getrlimit(2)", "prlimit()", since="2.6.36")
def test_the_limits_of_another_process_can_be_set(fork):
    """prlimit() gives the limits of another process as they were and sets new ones, which are that one's at once."""

    def life() -> None:
        limit_process("MEMLOCK", 0)
        signal.pause()

    mine = getrlimit(RLIMIT_MEMLOCK)
    child = fork(life)
    child.wait_blocked("pause")
    before = prlimit(child.pid, RLIMIT_MEMLOCK)
    assert before == (0, getrlimit(RLIMIT_MEMLOCK)[1])
    if before[1] < 5000:
        untested(f"RLIMIT_MEMLOCK is at most {before[1]}, and the clause needs 5000")
    assert prlimit(child.pid, RLIMIT_MEMLOCK, (5000, before[1])) == before
    assert prlimit(child.pid, RLIMIT_MEMLOCK) == (5000, before[1])
    assert getrlimit(RLIMIT_MEMLOCK) == mine


@clause("prlimit.esrch", "getrlimit(2)", "ERRORS", errno=ESRCH, since="2.6.36")
def test_the_limits_of_nobody():
    """prlimit() of a process that there is not fails."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with fails_with(ESRCH):
        prlimit(child, RLIMIT_MEMLOCK)


@clause("prlimit.eperm", "getrlimit(2)", "ERRORS", errno=EPERM, since="2.6.36")
def test_the_limits_of_somebody_else(as_user, fork):
    """prlimit() of another user's process fails without CAP_SYS_RESOURCE, and that one's limits stay."""
    child = fork(signal.pause)
    child.wait_blocked("pause")
    before = prlimit(child.pid, RLIMIT_MEMLOCK)

    def life() -> None:
        with fails_with(EPERM):
            prlimit(child.pid, RLIMIT_MEMLOCK, (5000, before[1]))

    as_user(STRANGER, OTHER_GROUP, life)
    assert prlimit(child.pid, RLIMIT_MEMLOCK) == before
