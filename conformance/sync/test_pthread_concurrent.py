"""Clauses: the workloads of pthread_concurrent.py, in histories of several processes and threads."""

from __future__ import annotations

from errno import EBUSY, ENOTRECOVERABLE, EOWNERDEAD

from pytest_ipc import Deviation, clause, disputed, fails_with
from pytest_ipc.kernel import mutex_init, mutex_lock, mutex_trylock, mutex_unlock


@clause("pthread_mutex.concurrent", "pthread_mutexattr_setrobust(3)", "DESCRIPTION")
def test_concurrent_mutex(linearizable, machines):
    """One thread of several processes holds a robust mutex; if it is killed the next one is told, and nobody else's is let go."""
    linearizable(machines.Mutex())


@clause("pthread_cond.concurrent", "pthread_cond_wait(3)", "DESCRIPTION")
def test_concurrent_condition(linearizable, machines):
    """A signal after a thread has begun to wait wakes it or another that waits, and each returns with the mutex locked."""
    linearizable(machines.Condition())


@clause("pthread_rwlock.concurrent", "pthread_rwlock_rdlock(3p)", "DESCRIPTION")
def test_concurrent_rwlock(linearizable, machines):
    """Threads of several processes hold a read-write lock together for reading, or one alone for writing."""
    linearizable(machines.Rwlock())


@clause("pthread_barrier.concurrent", "pthread_barrier_wait(3p)", "DESCRIPTION")
def test_concurrent_barrier(linearizable, machines):
    """No thread leaves a barrier before all have come, and one of each round is the serial thread."""
    linearizable(machines.Barrier())


@clause("pthread_mutex_trylock.enotrecoverable-each-time", "pthread_mutexattr_setrobust(3)", "DESCRIPTION")
def test_a_lost_mutex_refuses_everybody(mapped_file, fork):
    """Every attempt to lock a mutex that is not recoverable fails with ENOTRECOVERABLE, also after one that did not wait."""
    mutex = mapped_file().address
    mutex_init(mutex, robust=True)
    assert fork(mutex_lock, mutex).wait() == 0  # it dies with the lock
    with fails_with(EOWNERDEAD):
        mutex_lock(mutex)
    mutex_unlock(mutex)  # and nobody says that it is consistent
    with fails_with(ENOTRECOVERABLE):
        mutex_trylock(mutex)
    try:
        with fails_with(ENOTRECOVERABLE):
            fork(mutex_trylock, mutex).result()
    except Deviation as deviation:
        if isinstance(deviation.__cause__, OSError) and deviation.__cause__.errno == EBUSY:
            disputed(
                manual="that any attempt to lock such a mutex fails with ENOTRECOVERABLE",
                linux="fails with EBUSY after the first: glibc's trylock keeps the lock that it has refused to give",
            )
        raise
