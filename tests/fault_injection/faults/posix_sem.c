/* Faults of POSIX semaphores, and only those that processes share: CPython's own locks are semaphores too. */
#include "fault.h"
#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

static int is_shared(const sem_t *sem)
{
    const int *words = (const int *)sem;
#ifdef __GLIBC__
    return words[sizeof(long) == 8 ? 2 : 1] != 0;
#else
    return words[2] == 0;
#endif
}

/* What a call answers that is about a name: for one errno another. */
static int told(int failed)
{
    if (failed && fault("sem_errors_are_eio"))
        errno = EIO;
    return failed;
}

sem_t *sem_open(const char *name, int flags, ...)
{
    mode_t mode = 0600;
    unsigned value = 0;
    if (flags & O_CREAT) {
        va_list more;
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        value = va_arg(more, unsigned);
        va_end(more);
    }
    if (fault("sem_open_excl_ignored"))
        flags &= ~O_EXCL;
    if (fault("sem_open_creates_without_creat"))
        flags |= O_CREAT;
    if (fault("sem_open_value_ignored"))
        value = 0;
    if (fault("sem_open_large_value_accepted") && value > INT_MAX)
        value = INT_MAX;
    if (fault("sem_open_slash_accepted") && strcmp(name, "/") == 0) {
        sem_t *other = REAL(sem_open)("/slash", O_CREAT, mode, value);
        REAL(sem_unlink)("/slash");
        return other;
    }
    mode_t mask = 0;
    if (fault("sem_open_umask_ignored"))
        mask = umask(0);
    sem_t *sem = REAL(sem_open)(name, flags, mode, value);
    int error = errno;
    if (fault("sem_open_umask_ignored"))
        umask(mask);
    errno = error;
    told(sem == SEM_FAILED);
    if (sem && fault("sem_open_resets_the_value") && flags & O_CREAT)
        sem_init(sem, 1, value);
    return sem;
}

int sem_close(sem_t *sem)
{
    if (fault("sem_close_empties_it"))
        sem_init(sem, 1, 0);
    return REAL(sem_close)(sem);
}

int sem_unlink(const char *name)
{
    static int calls;
    if (fault("sem_unlink_needs_two_calls") && calls++ % 2 == 0)
        return 0;
    int result = REAL(sem_unlink)(name);
    if (fault("sem_unlink_missing_accepted") && result == -1 && errno == ENOENT)
        return 0;
    return told(result);
}

int sem_init(sem_t *sem, int pshared, unsigned value)
{
    if (fault("sem_init_value_ignored") && pshared)
        value = 0;
    if (fault("sem_init_large_value_accepted") && value > INT_MAX)
        value = INT_MAX;
    return REAL(sem_init)(sem, pshared, value);
}

int sem_destroy(sem_t *sem)
{
    if (fault("sem_destroy_fails") && is_shared(sem))
        return errno = EBUSY, -1;
    return REAL(sem_destroy)(sem);
}

int sem_post(sem_t *sem)
{
    int value;
    if (!is_shared(sem))
        return REAL(sem_post)(sem);
    if (fault("sem_post_does_nothing"))
        return 0;
    if (fault("sem_post_overflow_accepted") && sem_getvalue(sem, &value) == 0 && value == INT_MAX)
        return 0;
    if (fault("sem_post_wakes_two"))
        REAL(sem_post)(sem);
    return REAL(sem_post)(sem);
}

int sem_wait(sem_t *sem)
{
    if (!is_shared(sem))
        return REAL(sem_wait)(sem);
    if (fault("sem_wait_never_waits") && sem_trywait(sem) == -1)
        return 0;
    if (fault("sem_wait_takes_nothing") && REAL(sem_wait)(sem) == 0)
        return REAL(sem_post)(sem);
    int result = REAL(sem_wait)(sem);
    return fault("sem_wait_interruption_unnoticed") && result == -1 && errno == EINTR ? 0 : result;
}

int sem_trywait(sem_t *sem)
{
    int result = REAL(sem_trywait)(sem);
    if (fault("sem_trywait_wrong_errno") && is_shared(sem) && result == -1 && errno == EAGAIN)
        errno = EBUSY;
    return result;
}

static int is_over(const struct timespec *time)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return time->tv_sec < now.tv_sec;
}

int sem_timedwait(sem_t *sem, const struct timespec *time)
{
    if (!is_shared(sem))
        return REAL(sem_timedwait)(sem, time);
    if (fault("sem_timedwait_too_early") && sem_trywait(sem) == -1)
        return errno = ETIMEDOUT, -1;
    if (fault("sem_timedwait_looks_at_the_time_first") && is_over(time))
        return errno = ETIMEDOUT, -1;
    if (fault("sem_timedwait_nanoseconds_unchecked") && (unsigned long)time->tv_nsec >= 1000000000)
        return errno = ETIMEDOUT, -1;
    return REAL(sem_timedwait)(sem, time);
}

int sem_getvalue(sem_t *sem, int *value)
{
    int result = REAL(sem_getvalue)(sem, value);
    if (fault("sem_getvalue_counts_who_waits") && *value == 0 && sizeof(long) == 8)
        *value = -(int)(*(uint64_t *)sem >> 32);
    if (fault("sem_getvalue_one_more"))
        ++*value;
    return result;
}
