"""sem_init(3), sem_destroy(3): unnamed semaphores, in memory of the caller."""

from __future__ import annotations

from errno import EINVAL

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import SEM_VALUE_MAX, sem_destroy, sem_getvalue, sem_init, sem_post, sem_trywait, sem_wait

# An unrelated program that posts the first of two adjacent semaphores and waits for the second.
REPLY = (
    "import sys, pytest_ipc.kernel as ipc\n"
    "ipc.sem_post(address)\n"
    "ipc.sem_wait(address + ipc.SEM_BYTES)\n"
    "sys.exit(ipc.sem_getvalue(address + ipc.SEM_BYTES))\n"
)


@clause("sem_init.initial-value", "sem_init(3)", "DESCRIPTION")
def test_initial_value(sysv_shm):
    """sem_init() sets the value of the semaphore to the value given."""
    address = sysv_shm().attach().address
    sem_init(address, 1, 5)
    assert sem_getvalue(address) == 5


@clause("sem_init.process-private", "sem_init(3)", "DESCRIPTION")
def test_process_private_semaphore(sysv_shm):
    """sem_init() with pshared 0 makes a semaphore that works within its process."""
    address = sysv_shm().attach().address
    sem_init(address, 0, 1)
    sem_wait(address)
    sem_post(address)
    sem_trywait(address)
    assert sem_getvalue(address) == 0


@clause("sem_init.pshared-across-fork", "sem_init(3)", "DESCRIPTION")
def test_process_shared_semaphore_across_fork(posix_sem, fork):
    """A process-shared semaphore in memory inherited by a child works between parent and child in both directions."""
    request, reply = posix_sem(shared=True), posix_sem(shared=True)

    def respond() -> None:
        sem_wait(request.address)
        sem_post(reply.address)

    child = fork(respond)
    child.wait_blocked("futex")
    sem_post(request.address)
    reply.wait(timeout=5)
    child.result()


@clause("sem_init.pshared-in-sysv-shm", "sem_overview(7)", "DESCRIPTION")
def test_process_shared_semaphore_in_a_sysv_segment(sysv_shm, program, pshared):
    """A process-shared semaphore in a System V segment works between unrelated programs that attach it."""
    segment = sysv_shm()
    attach = "import sys, pytest_ipc.kernel as ipc\naddress = ipc.shmat(ipc.shmget(int(sys.argv[1]), 0, 0))\n"
    pshared(segment.attach().address, program, attach + REPLY, segment.key)


@clause("sem_init.pshared-in-posix-shm", "sem_overview(7)", "DESCRIPTION")
def test_process_shared_semaphore_in_posix_shared_memory(posix_shm, program, pshared):
    """A process-shared semaphore in POSIX shared memory works between unrelated programs that map it."""
    shared = posix_shm()
    attach = (
        "import os, sys, pytest_ipc.kernel as ipc\n"
        "fd = ipc.shm_open(sys.argv[1], os.O_RDWR)\n"
        "address = ipc.mmap(None, 4096, ipc.PROT_READ | ipc.PROT_WRITE, ipc.MAP_SHARED, fd)\n"
    )
    pshared(shared.map().address, program, attach + REPLY, shared.name)


@clause("sem_init.einval", "sem_init(3)", "ERRORS", errno=EINVAL)
def test_value_above_the_maximum_fails(sysv_shm):
    """sem_init() succeeds with SEM_VALUE_MAX and fails with EINVAL for a higher value."""
    address = sysv_shm().attach().address
    with fails_with(EINVAL):
        sem_init(address, 1, SEM_VALUE_MAX + 1)
    sem_init(address, 1, SEM_VALUE_MAX)
    assert sem_getvalue(address) == SEM_VALUE_MAX


@clause("sem_destroy.made-anew", "sem_destroy(3)", "DESCRIPTION")
def test_destroyed_semaphore_can_be_initialised_again(sysv_shm):
    """sem_init() initialises a destroyed semaphore again at the same address, with another value."""
    address = sysv_shm().attach().address
    sem_init(address, 1, 1)
    sem_destroy(address)
    sem_init(address, 1, 4)
    assert sem_getvalue(address) == 4
