/* Races in the pthread objects that processes share. Those of one process alone are Python's own, and are left alone. */
#include "race.h"
#include <pthread.h>
#include <stdint.h>

static int is_shared(const pthread_mutex_t *mutex)
{
    return mutex->__data.__kind & 128;
}

static __thread int has_it_not; /* this thread was wrongly told that it has a lock */

static int told(pthread_mutex_t *mutex, int result)
{
    if (result == EOWNERDEAD && race("pthread_mutex_death_not_told")) {
        window();
        REAL(pthread_mutex_consistent)(mutex);
        result = 0;
    }
    return result;
}

int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    if (is_shared(mutex) && race("pthread_mutex_trylock_gives_it_to_two")) {
        if (mutex->__data.__lock != 0)
            return EBUSY;
        window();
        int result = REAL(pthread_mutex_trylock)(mutex);
        has_it_not = result == EBUSY;
        return has_it_not ? 0 : result;
    }
    return told(mutex, REAL(pthread_mutex_trylock)(mutex));
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    if (!is_shared(mutex))
        return REAL(pthread_mutex_lock)(mutex);
    shared[LOCKED]++;
    int result = REAL(pthread_mutex_lock)(mutex);
    return told(mutex, result);
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    if (!is_shared(mutex))
        return REAL(pthread_mutex_unlock)(mutex);
    if (has_it_not) {
        has_it_not = 0;
        return 0;
    }
    if (race("pthread_mutex_unlock_wakes_nobody") && mutex->__data.__owner == gettid()) {
        long locked = shared[LOCKED];
        window();
        if (locked != shared[LOCKED]) /* who has come meanwhile is not noted as waiting */
            atomic_fetch_and((atomic_int *)&mutex->__data.__lock, 0x7fffffff);
    }
    return REAL(pthread_mutex_unlock)(mutex);
}

static int is_shared_cond(const pthread_cond_t *cond)
{
    return cond->__data.__wrefs & 1;
}

int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    if (is_shared_cond(cond) && race("pthread_cond_wait_unlocks_before_it_waits")) {
        int result = REAL(pthread_mutex_unlock)(mutex);
        if (result)
            return result;
        window();
        REAL(pthread_mutex_lock)(mutex);
    }
    if (is_shared_cond(cond))
        shared[MUTEX_OF_COND] = (long)((char *)mutex - (char *)cond);
    return REAL(pthread_cond_wait)(cond, mutex);
}

int pthread_cond_signal(pthread_cond_t *cond)
{
    if (is_shared_cond(cond) && race("pthread_cond_signal_lost_if_another_locks")) {
        window();
        const pthread_mutex_t *mutex = (pthread_mutex_t *)((char *)cond + shared[MUTEX_OF_COND]);
        if (shared[MUTEX_OF_COND] && mutex->__data.__lock > 1) /* glibc's mark of a mutex that others wait for */
            return 0;
    }
    return REAL(pthread_cond_signal)(cond);
}

int pthread_cond_broadcast(pthread_cond_t *cond)
{
    if (is_shared_cond(cond) && race("pthread_cond_broadcast_wakes_one"))
        return REAL(pthread_cond_signal)(cond);
    return REAL(pthread_cond_broadcast)(cond);
}

int pthread_rwlock_trywrlock(pthread_rwlock_t *lock)
{
    int result = REAL(pthread_rwlock_trywrlock)(lock);
    if (result == EBUSY && race("pthread_rwlock_writer_beside_another")) {
        long unlocked = shared[UNLOCKED];
        window();
        if (unlocked == shared[UNLOCKED]) {
            has_it_not = 1;
            return 0;
        }
    }
    return result;
}

int pthread_rwlock_tryrdlock(pthread_rwlock_t *lock)
{
    int result = REAL(pthread_rwlock_tryrdlock)(lock);
    if (result == EBUSY && race("pthread_rwlock_reader_beside_a_writer")) {
        long unlocked = shared[UNLOCKED];
        window();
        if (unlocked == shared[UNLOCKED]) {
            has_it_not = 1;
            return 0;
        }
    }
    return result;
}

int pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
    if (has_it_not) {
        has_it_not = 0;
        return 0;
    }
    int result = REAL(pthread_rwlock_unlock)(lock);
    shared[UNLOCKED]++;
    return result;
}

int pthread_barrier_wait(pthread_barrier_t *barrier)
{
    if (race("pthread_barrier_lets_go_too_early")) {
        long arrived = shared[ARRIVED]++;
        window();
        if (shared[ARRIVED] != arrived + 1)
            return 0;
    }
    long left = shared[LEFT];
    int result = REAL(pthread_barrier_wait)(barrier);
    if (race("pthread_barrier_serial_in_two") && result == 0) {
        window();
        if (shared[LEFT] == left)
            result = PTHREAD_BARRIER_SERIAL_THREAD;
    }
    shared[LEFT]++;
    return result;
}
