"""sem_unlink(3), sem_close(3), sem_overview(7): how long a named semaphore lives, and who has it open."""

from __future__ import annotations

from errno import EACCES, ENAMETOOLONG, ENOENT
from os import O_CREAT, O_EXCL

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import sem_getvalue, sem_open, sem_post, sem_unlink, sem_wait

from ..conftest import succeeded
from ..credentials import GROUP, STRANGER
from .conftest import may_make_semaphores


@clause("sem_unlink.immediate-name-removal", "sem_unlink(3)", "DESCRIPTION")
def test_an_unlinked_semaphore_is_still_its_users(posix_sem, fork):
    """The name is gone at once; who has the semaphore open goes on with it, also between processes."""
    semaphore = posix_sem(0)
    waiter = fork(sem_wait, semaphore.address)
    waiter.wait_blocked("futex")
    sem_unlink(semaphore.name)
    with fails_with(ENOENT):
        sem_open(semaphore.name, 0)
    sem_post(semaphore.address)
    waiter.result()


@clause("sem_unlink.name-is-free-again", "sem_unlink(3)", "DESCRIPTION")
def test_the_name_can_be_given_to_another(opened_sem, sem_name):
    """After unlinking, a semaphore made with the same name is another one."""
    first = opened_sem(sem_name, O_CREAT | O_EXCL, 0o600, 5)
    sem_unlink(sem_name)
    second = opened_sem(sem_name, O_CREAT | O_EXCL, 0o600, 7)
    sem_post(first)
    assert (sem_getvalue(first), sem_getvalue(second)) == (6, 7)


@clause("sem_unlink.enoent", "sem_unlink(3)", "ERRORS", errno=ENOENT)
def test_what_is_not_there_cannot_be_unlinked(posix_sem, sem_name):
    """Unlinking a name that no semaphore has, or has any more, fails."""
    with fails_with(ENOENT):
        sem_unlink(sem_name)
    semaphore = posix_sem()
    sem_unlink(semaphore.name)
    with fails_with(ENOENT):
        sem_unlink(semaphore.name)


@clause("sem_unlink.enametoolong", "sem_unlink(3)", "ERRORS", errno=ENAMETOOLONG)
def test_a_name_that_is_too_long_cannot_be_unlinked():
    """Unlinking a name longer than any semaphore's fails."""
    with fails_with(ENAMETOOLONG):
        sem_unlink("/".ljust(253, "n"))


@clause("sem_unlink.eacces", "sem_unlink(3)", "ERRORS", errno=EACCES)
def test_a_stranger_cannot_unlink(posix_sem, opened_sem, as_user):
    """A user who may not unlink a semaphore is refused, and it stays."""
    semaphore = posix_sem(4)

    def child() -> None:
        with fails_with(EACCES):
            sem_unlink(semaphore.name)

    as_user(STRANGER, GROUP, child)
    assert sem_getvalue(opened_sem(semaphore.name, 0)) == 4


@clause("sem_close.exit-closes", "sem_close(3)", "NOTES")
def test_exit_closes_and_the_semaphore_stays(fork, opened_sem, sem_name):
    """A process that ends has closed its semaphores, and those keep their name and their value."""

    def child() -> None:
        semaphore = sem_open(sem_name, O_CREAT | O_EXCL, 0o600, 3)
        sem_wait(semaphore)

    fork(child).result()
    assert sem_getvalue(opened_sem(sem_name, 0)) == 2


def inode_mapped_at(address: int) -> list[str]:
    """Device and inode of what this process has mapped at *address*, as /proc/self/maps writes them."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, _, _, device, inode, *_ = line.split()
            start, end = (int(bound, 16) for bound in span.split("-"))
            if start <= address < end:
                return [device, inode]
    return []


@clause("sem_close.exec-closes", "sem_close(3)", "NOTES")
def test_exec_closes_and_the_semaphore_stays(posix_sem, fork, program):
    """A process that executes another program has closed its semaphores, and those keep their value."""
    semaphore = posix_sem(3)
    there = inode_mapped_at(semaphore.address)
    assert there, "a semaphore with a name is a file that is mapped"
    source = (
        "import sys\n"
        "left = [line for line in open('/proc/self/maps') if line.split()[3:5] == sys.argv[1:]]\n"
        "sys.exit(f'still there: {left}' if left else 0)\n"
    )
    assert fork(inode_mapped_at, semaphore.address).result() == there, "a forked child has it mapped"
    succeeded(program(source, *there))
    assert semaphore.value == 3


@clause("sem.persistence", "sem_overview(7)", "Persistence")
def test_a_semaphore_lives_while_nobody_has_it_open(program, opened_sem, sem_name):
    """A semaphore with a name lives on, with its value, when no process has it open."""
    may_make_semaphores()
    source = "import os, sys, pytest_ipc.kernel as ipc\nipc.sem_open(sys.argv[1], os.O_CREAT | os.O_EXCL, 0o600, 9)\n"
    succeeded(program(source, sem_name))
    assert sem_getvalue(opened_sem(sem_name, 0)) == 9
