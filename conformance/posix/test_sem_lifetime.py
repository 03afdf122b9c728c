"""sem_unlink(3), sem_close(3), sem_overview(7): the lifetime of a named semaphore."""

from __future__ import annotations

from errno import EACCES, ENAMETOOLONG, ENOENT
from os import O_CREAT, O_EXCL

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import sem_getvalue, sem_open, sem_post, sem_unlink, sem_wait

from ..conftest import succeeded
from ..credentials import GROUP, STRANGER
from .conftest import may_make_semaphores


@clause("sem_unlink.immediate-name-removal", "sem_unlink(3)", "DESCRIPTION")
def test_unlinked_semaphore_stays_usable(posix_sem, fork):
    """sem_unlink() removes the name at once, and processes that have the semaphore open can still use it."""
    semaphore = posix_sem(0)
    waiter = fork(sem_wait, semaphore.address)
    waiter.wait_blocked("futex")
    sem_unlink(semaphore.name)
    with fails_with(ENOENT):
        sem_open(semaphore.name, 0)
    sem_post(semaphore.address)
    waiter.result()


@clause("sem_unlink.name-is-free-again", "sem_unlink(3)", "DESCRIPTION")
def test_name_can_be_reused_after_unlink(opened_sem, sem_name):
    """sem_open() with O_CREAT after sem_unlink() creates a new semaphore, separate from the unlinked one."""
    first = opened_sem(sem_name, O_CREAT | O_EXCL, 0o600, 5)
    sem_unlink(sem_name)
    second = opened_sem(sem_name, O_CREAT | O_EXCL, 0o600, 7)
    sem_post(first)
    assert (sem_getvalue(first), sem_getvalue(second)) == (6, 7)


@clause("sem_unlink.enoent", "sem_unlink(3)", "ERRORS", errno=ENOENT)
def test_unlink_of_unused_name_fails(posix_sem, sem_name):
    """sem_unlink() fails with ENOENT for a name that no semaphore has or that is already unlinked."""
    with fails_with(ENOENT):
        sem_unlink(sem_name)
    semaphore = posix_sem()
    sem_unlink(semaphore.name)
    with fails_with(ENOENT):
        sem_unlink(semaphore.name)


@clause("sem_unlink.enametoolong", "sem_unlink(3)", "ERRORS", errno=ENAMETOOLONG)
def test_unlink_of_long_name_fails():
    """sem_unlink() fails with ENAMETOOLONG for a name longer than the maximum."""
    with fails_with(ENAMETOOLONG):
        sem_unlink("/".ljust(253, "n"))


@clause("sem_unlink.eacces", "sem_unlink(3)", "ERRORS", errno=EACCES)
def test_unlink_by_another_user_fails(posix_sem, opened_sem, as_user):
    """sem_unlink() fails with EACCES for a user without permission to unlink the semaphore, which stays."""
    semaphore = posix_sem(4)

    def child() -> None:
        with fails_with(EACCES):
            sem_unlink(semaphore.name)

    as_user(STRANGER, GROUP, child)
    assert sem_getvalue(opened_sem(semaphore.name, 0)) == 4


@clause("sem_close.exit-closes", "sem_close(3)", "NOTES")
def test_exit_closes_and_keeps_the_semaphore(fork, opened_sem, sem_name):
    """A process that terminates closes its named semaphores, which keep their names and values."""

    def child() -> None:
        semaphore = sem_open(sem_name, O_CREAT | O_EXCL, 0o600, 3)
        sem_wait(semaphore)

    fork(child).result()
    assert sem_getvalue(opened_sem(sem_name, 0)) == 2


def inode_mapped_at(address: int) -> list[str]:
    """Return device and inode of the mapping at *address*, as in /proc/self/maps."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, _, _, device, inode, *_ = line.split()
            start, end = (int(bound, 16) for bound in span.split("-"))
            if start <= address < end:
                return [device, inode]
    return []


@clause("sem_close.exec-closes", "sem_close(3)", "NOTES")
def test_exec_closes_and_keeps_the_semaphore(posix_sem, fork, program):
    """execve() closes the named semaphores of the process, which keep their values."""
    semaphore = posix_sem(3)
    mapped_file = inode_mapped_at(semaphore.address)
    assert mapped_file, "a named semaphore must be a mapped file"
    source = (
        "import sys\n"
        "found = [line for line in open('/proc/self/maps') if line.split()[3:5] == sys.argv[1:]]\n"
        "sys.exit(f'still mapped: {found}' if found else 0)\n"
    )
    assert fork(inode_mapped_at, semaphore.address).result() == mapped_file, "a forked child must have it mapped"
    succeeded(program(source, *mapped_file))
    assert semaphore.value == 3


@clause("sem.persistence", "sem_overview(7)", "Persistence")
def test_semaphore_persists_while_not_open(program, opened_sem, sem_name):
    """A named semaphore keeps its value while no process has it open."""
    may_make_semaphores()
    source = "import os, sys, pytest_ipc.kernel as ipc\nipc.sem_open(sys.argv[1], os.O_CREAT | os.O_EXCL, 0o600, 9)\n"
    succeeded(program(source, sem_name))
    assert sem_getvalue(opened_sem(sem_name, 0)) == 9
