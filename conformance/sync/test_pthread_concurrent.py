"""Clauses: the workloads of pthread_concurrent.py, in histories of several processes and threads."""

from __future__ import annotations

from errno import EBUSY, ENOTRECOVERABLE, EOWNERDEAD

from pytest_ipc import Deviation, clause, disputed, fails_with
from pytest_ipc.kernel import mutex_init, mutex_lock, mutex_trylock, mutex_unlock


@clause("pthread_mutex.concurrent", "pthread_mutexattr_setrobust(3)", "DESCRIPTION")
def test_concurrent_robust_mutex(linearizable, machines):
    """Of the threads of several processes only one at a time holds a robust mutex; after its owner is killed, and only
    then, the next lock fails with EOWNERDEAD."""
    linearizable(machines.Mutex())


@clause("pthread_cond.concurrent", "pthread_cond_wait(3)", "DESCRIPTION")
def test_concurrent_condition_variable(linearizable, machines):
    """pthread_cond_signal() after a thread has begun to wait wakes it or another waiter, and each waiter returns
    with the mutex locked.
    """
    linearizable(machines.Condition())


@clause("pthread_rwlock.concurrent", "pthread_rwlock_rdlock(3p)", "DESCRIPTION")
def test_concurrent_rwlock(linearizable, machines):
    """Threads of several processes hold a read-write lock together for reading, or one thread holds it alone for
    writing.
    """
    linearizable(machines.Rwlock())


@clause("pthread_barrier.concurrent", "pthread_barrier_wait(3p)", "DESCRIPTION")
def test_concurrent_barrier(linearizable, machines):
    """No thread returns from pthread_barrier_wait() before all have called it; in each round one gets
    PTHREAD_BARRIER_SERIAL_THREAD.
    """
    linearizable(machines.Barrier())


@clause("pthread_mutex_trylock.enotrecoverable-each-time", "pthread_mutexattr_setrobust(3)", "DESCRIPTION")
def test_every_lock_of_unrecoverable_mutex_fails(mapped_file, fork):
    """Every attempt to lock an unrecoverable robust mutex fails with ENOTRECOVERABLE, also after
    pthread_mutex_trylock() has failed.
    """
    mutex = mapped_file().address
    mutex_init(mutex, robust=True)
    assert fork(mutex_lock, mutex).wait() == 0  # the owner exits with the mutex locked
    with fails_with(EOWNERDEAD):
        mutex_lock(mutex)
    mutex_unlock(mutex)  # without pthread_mutex_consistent()
    with fails_with(ENOTRECOVERABLE):
        mutex_trylock(mutex)
    try:
        with fails_with(ENOTRECOVERABLE):
            fork(mutex_trylock, mutex).result()
    except Deviation as deviation:
        if isinstance(deviation.__cause__, OSError) and deviation.__cause__.errno == EBUSY:
            disputed(
                manual="any attempt to lock such a mutex fails with ENOTRECOVERABLE",
                linux="fails with EBUSY after the first: glibc's trylock keeps its internal lock when it fails",
            )
        raise
