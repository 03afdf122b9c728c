/* Races in POSIX semaphores, and in the names of POSIX objects. */
#include "race.h"
#include <fcntl.h>
#include <semaphore.h>
#include <sys/mman.h>

/* Python's own locks are semaphores too, of one process. In glibc the flag stands behind the value. */
static int is_shared(const sem_t *sem)
{
    return ((const int *)sem)[2] != 0;
}

static int sleep_for_ever(void)
{
    sem_t own;
    sem_init(&own, 0, 0);
    return REAL(sem_wait)(&own);
}

int sem_post(sem_t *sem)
{
    if (is_shared(sem) && race("sem_post_lost_if_two_post")) {
        long posted = shared[POSTED]++;
        window();
        if (shared[POSTED] != posted + 1)
            return 0;
    }
    int result = REAL(sem_post)(sem);
    if (is_shared(sem))
        shared[POSTED]++;
    return result;
}

int sem_trywait(sem_t *sem)
{
    int value;
    if (is_shared(sem) && race("sem_trywait_gives_a_token_twice") && sem_getvalue(sem, &value) == 0 && value > 0) {
        window();
        REAL(sem_trywait)(sem);
        return 0;
    }
    return REAL(sem_trywait)(sem);
}

int sem_wait(sem_t *sem)
{
    if (is_shared(sem) && race("sem_wait_misses_a_post_meanwhile")) {
        long posted = shared[POSTED];
        if (REAL(sem_trywait)(sem) == 0)
            return 0;
        window();
        if (posted != shared[POSTED])
            return sleep_for_ever();
    }
    return REAL(sem_wait)(sem);
}

int shm_open(const char *name, int flags, mode_t mode)
{
    if (race("shm_open_excl_won_by_two") && flags & O_EXCL) {
        int there = REAL(shm_open)(name, O_RDONLY, 0);
        if (there != -1) {
            close(there);
            errno = EEXIST;
            return -1;
        }
        window();
        flags &= ~O_EXCL;
    }
    return REAL(shm_open)(name, flags, mode);
}

int shm_unlink(const char *name)
{
    if (race("shm_unlink_succeeds_for_two")) {
        int there = REAL(shm_open)(name, O_RDONLY, 0);
        if (there == -1)
            return -1;
        close(there);
        window();
        REAL(shm_unlink)(name);
        return 0;
    }
    return REAL(shm_unlink)(name);
}
