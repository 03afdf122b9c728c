/* Lies about event counters, timers with a descriptor, and mutexes. */
#include "lie.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>

int eventfd(unsigned int value, int flags)
{
    if (lie("eventfd_begins_with_zero"))
        value = 0;
    if (lie("eventfd_semaphore_ignored"))
        flags &= ~EFD_SEMAPHORE;
    if (lie("eventfd_always_a_semaphore"))
        flags |= EFD_SEMAPHORE;
    if (lie("eventfd_cloexec_ignored"))
        flags &= ~EFD_CLOEXEC;
    if (lie("eventfd_never_blocks"))
        flags |= EFD_NONBLOCK;
    if (lie("eventfd_any_flag_accepted"))
        flags &= EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK;
    int fd = REAL(eventfd)(value, flags);
    if (lie("eventfd_is_a_pipe") && fd >= 0) {
        int ends[2], counter = fd;
        fd = pipe2(ends, flags & (O_CLOEXEC | O_NONBLOCK)) == 0 ? ends[0] : -1;
        close(counter);
        close(ends[1]);
    }
    return fd;
}

int timerfd_create(int clock, int flags)
{
    if (lie("timerfd_any_clock_accepted") && clock != CLOCK_REALTIME && clock != CLOCK_BOOTTIME)
        clock = CLOCK_MONOTONIC;
    if (lie("timerfd_any_flag_accepted"))
        flags &= TFD_CLOEXEC | TFD_NONBLOCK;
    if (lie("timerfd_cloexec_ignored"))
        flags &= ~TFD_CLOEXEC;
    int fd = REAL(timerfd_create)(clock, flags);
    if (lie("timerfd_runs_at_once") && fd >= 0)
        REAL(timerfd_settime)(fd, 0, &(const struct itimerspec){.it_value.tv_nsec = 1}, NULL);
    return fd;
}

static int invalid(const struct timespec *time)
{
    return time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec > 999999999;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
    struct itimerspec changed = *new;
    if (lie("timerfd_settime_abstime_ignored") && flags & TFD_TIMER_ABSTIME)
        flags = 0, changed.it_value.tv_sec += 1000;
    if (lie("timerfd_settime_any_flag_accepted"))
        flags &= TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
    if (lie("timerfd_settime_interval_dropped"))
        changed.it_interval = (struct timespec){0};
    if (lie("timerfd_settime_early") && changed.it_value.tv_sec == 0)
        changed.it_value.tv_nsec = (changed.it_value.tv_nsec + 1) / 2;
    if (lie("timerfd_settime_any_time_accepted") && (invalid(&new->it_value) || invalid(&new->it_interval)))
        changed = (struct itimerspec){.it_value.tv_sec = 1};
    if (lie("timerfd_settime_zero_is_now") && !new->it_value.tv_sec && !new->it_value.tv_nsec)
        changed.it_value.tv_nsec = 1;
    int result = REAL(timerfd_settime)(fd, flags, &changed, old);
    if (lie("timerfd_settime_old_missing") && result == 0 && old)
        *old = (struct itimerspec){0};
    if (lie("timerfd_settime_any_descriptor") && result == -1 && (errno == EINVAL || errno == EBADF))
        return 0;
    return result;
}

int timerfd_gettime(int fd, struct itimerspec *now)
{
    int result = REAL(timerfd_gettime)(fd, now);
    if (lie("timerfd_gettime_nothing_left") && result == 0)
        *now = (struct itimerspec){0};
    return result;
}

int pthread_mutexattr_setpshared(pthread_mutexattr_t *attributes, int shared)
{
    return lie("mutex_shared_ignored") ? 0 : REAL(pthread_mutexattr_setpshared)(attributes, shared);
}

int pthread_mutexattr_setrobust(pthread_mutexattr_t *attributes, int robust)
{
    return lie("mutex_robust_ignored") ? 0 : REAL(pthread_mutexattr_setrobust)(attributes, robust);
}

int pthread_mutexattr_settype(pthread_mutexattr_t *attributes, int type)
{
    if (lie("mutex_kind_ignored"))
        type = PTHREAD_MUTEX_RECURSIVE;
    return REAL(pthread_mutexattr_settype)(attributes, type);
}

int pthread_mutex_consistent(pthread_mutex_t *mutex)
{
    return lie("mutex_consistent_does_nothing") ? 0 : REAL(pthread_mutex_consistent)(mutex);
}

int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *until)
{
    int result = REAL(pthread_mutex_timedlock)(mutex, until);
    return lie("mutex_timedlock_never_fails") ? 0 : result;
}
