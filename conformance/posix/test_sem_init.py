"""sem_init(3), sem_destroy(3): semaphores without a name, in memory of the caller's."""

from __future__ import annotations

from errno import EINVAL

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import SEM_VALUE_MAX, sem_destroy, sem_getvalue, sem_init, sem_post, sem_trywait, sem_wait

# An unrelated program that says that it is there and waits for the answer, through two semaphores one after the other.
ANSWER = (
    "import sys, pytest_ipc.kernel as ipc\n"
    "ipc.sem_post(address)\n"
    "ipc.sem_wait(address + ipc.SEM_BYTES)\n"
    "sys.exit(ipc.sem_getvalue(address + ipc.SEM_BYTES))\n"
)


@clause("sem_init.initial-value", "sem_init(3)", "DESCRIPTION")
def test_it_has_the_value_given(sysv_shm):
    """A semaphore that sem_init makes has the value that was given."""
    address = sysv_shm().attach().address
    sem_init(address, 1, 5)
    assert sem_getvalue(address) == 5


@clause("sem_init.process-private", "sem_init(3)", "DESCRIPTION")
def test_a_semaphore_of_one_process(sysv_shm):
    """With pshared 0 the semaphore works within its process."""
    address = sysv_shm().attach().address
    sem_init(address, 0, 1)
    sem_wait(address)
    sem_post(address)
    sem_trywait(address)
    assert sem_getvalue(address) == 0


@clause("sem_init.pshared-across-fork", "sem_init(3)", "DESCRIPTION")
def test_parent_and_child_share_it(posix_sem, fork):
    """A process-shared semaphore in memory that a child inherits works between the two, in both directions."""
    there, back = posix_sem(shared=True), posix_sem(shared=True)

    def child() -> None:
        sem_wait(there.address)
        sem_post(back.address)

    answering = fork(child)
    answering.wait_blocked("futex")
    sem_post(there.address)
    back.wait(timeout=5)
    answering.result()


@clause("sem_init.pshared-in-sysv-shm", "sem_overview(7)", "DESCRIPTION")
def test_it_works_in_a_segment(sysv_shm, program, pshared):
    """Unrelated programs that attach one System V segment can use a process-shared semaphore in it."""
    segment = sysv_shm()
    attach = "import sys, pytest_ipc.kernel as ipc\naddress = ipc.shmat(ipc.shmget(int(sys.argv[1]), 0, 0))\n"
    pshared(segment.attach().address, program, attach + ANSWER, segment.key)


@clause("sem_init.pshared-in-posix-shm", "sem_overview(7)", "DESCRIPTION")
def test_it_works_in_shared_memory(posix_shm, program, pshared):
    """Unrelated programs that map one POSIX shared memory object can use a process-shared semaphore in it."""
    shared = posix_shm()
    attach = (
        "import os, sys, pytest_ipc.kernel as ipc\n"
        "fd = ipc.shm_open(sys.argv[1], os.O_RDWR)\n"
        "address = ipc.mmap(None, 4096, ipc.PROT_READ | ipc.PROT_WRITE, ipc.MAP_SHARED, fd)\n"
    )
    pshared(shared.map().address, program, attach + ANSWER, shared.name)


@clause("sem_init.einval", "sem_init(3)", "ERRORS", errno=EINVAL)
def test_a_value_above_the_greatest_is_refused(sysv_shm):
    """A value above SEM_VALUE_MAX is refused; SEM_VALUE_MAX itself is taken."""
    address = sysv_shm().attach().address
    with fails_with(EINVAL):
        sem_init(address, 1, SEM_VALUE_MAX + 1)
    sem_init(address, 1, SEM_VALUE_MAX)
    assert sem_getvalue(address) == SEM_VALUE_MAX


@clause("sem_destroy.made-anew", "sem_destroy(3)", "DESCRIPTION")
def test_a_destroyed_semaphore_can_be_made_anew(sysv_shm):
    """A semaphore that was destroyed can be initialised again in the same place, with another value."""
    address = sysv_shm().attach().address
    sem_init(address, 1, 1)
    sem_destroy(address)
    sem_init(address, 1, 4)
    assert sem_getvalue(address) == 4
