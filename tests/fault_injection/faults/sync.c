/* Faults of event counters, timers with a descriptor, and mutexes. */
#include "fault.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>

int eventfd(unsigned int value, int flags)
{
    if (fault("eventfd_semaphore_ignored"))
        flags &= ~EFD_SEMAPHORE;
    if (fault("eventfd_always_a_semaphore"))
        flags |= EFD_SEMAPHORE;
    if (fault("eventfd_cloexec_ignored"))
        flags &= ~EFD_CLOEXEC;
    if (fault("eventfd_never_blocks"))
        flags |= EFD_NONBLOCK;
    if (fault("eventfd_any_flag_accepted"))
        flags &= EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK;
    int fd = REAL(eventfd)(value, flags);
    if (fault("eventfd_begins_with_one_more") && fd >= 0 && REAL(write)(fd, &(const uint64_t){1}, 8) == -1)
        return -1;
    if (fault("eventfd_wrong_errno") && fd == -1 && errno == EMFILE)
        errno = ENFILE;
    if (fault("eventfd_is_a_pipe") && fd >= 0) {
        int ends[2], counter = fd;
        fd = pipe2(ends, flags & (O_CLOEXEC | O_NONBLOCK)) == 0 ? ends[0] : -1;
        close(counter);
        close(ends[1]);
    }
    return fd;
}

static pid_t maker; /* of the last timer */

int timerfd_create(int clock, int flags)
{
    maker = getpid();
    if (fault("timerfd_any_clock_accepted") && clock != CLOCK_REALTIME && clock != CLOCK_BOOTTIME)
        clock = CLOCK_MONOTONIC;
    if (fault("timerfd_any_flag_accepted"))
        flags &= TFD_CLOEXEC | TFD_NONBLOCK;
    if (fault("timerfd_cloexec_means_the_contrary"))
        flags ^= TFD_CLOEXEC;
    if (fault("timerfd_never_blocks"))
        flags |= TFD_NONBLOCK;
    int fd = REAL(timerfd_create)(clock, flags);
    if (fault("timerfd_is_a_pipe") && fd >= 0) {
        int ends[2];
        close(fd);
        fd = pipe2(ends, flags & (O_CLOEXEC | O_NONBLOCK)) == 0 && REAL(write)(ends[1], "expired", 8) == 8 ? ends[0] : -1;
        close(ends[1]);
    }
    if (fault("timerfd_runs_at_once") && fd >= 0)
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
    if (fault("timerfd_settime_abstime_ignored") && flags & TFD_TIMER_ABSTIME)
        flags = 0, changed.it_value.tv_sec += 1000;
    if (fault("timerfd_settime_any_flag_accepted"))
        flags &= TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
    if (fault("timerfd_settime_interval_dropped"))
        changed.it_interval = (struct timespec){0};
    if (fault("timerfd_settime_runs_out_at_once"))
        flags = 0, changed.it_value = (struct timespec){.tv_nsec = 1};
    if (fault("timerfd_settime_always_repeats") && !new->it_interval.tv_sec && !new->it_interval.tv_nsec)
        changed.it_interval.tv_sec = 1;
    if (fault("timerfd_is_a_processs_own") && getpid() != maker)
        dup2(REAL(timerfd_create)(CLOCK_MONOTONIC, TFD_CLOEXEC), fd);
    if (fault("timerfd_settime_any_time_accepted") && (invalid(&new->it_value) || invalid(&new->it_interval)))
        changed = (struct itimerspec){.it_value.tv_sec = 1};
    int result = REAL(timerfd_settime)(fd, flags, &changed, old);
    if (fault("timerfd_settime_old_missing") && result == 0 && old)
        *old = (struct itimerspec){0};
    if (fault("timerfd_is_a_pipe"))
        return 0;
    if (fault("timerfd_settime_any_descriptor") && result == -1 && (errno == EINVAL || errno == EBADF))
        return 0;
    return result;
}

int timerfd_gettime(int fd, struct itimerspec *now)
{
    int result = REAL(timerfd_gettime)(fd, now);
    if (fault("timerfd_gettime_nothing_left") && result == 0)
        *now = (struct itimerspec){0};
    return result;
}

int pthread_mutexattr_settype(pthread_mutexattr_t *attributes, int type)
{
    if (fault("mutex_kind_ignored"))
        type = PTHREAD_MUTEX_RECURSIVE;
    return REAL(pthread_mutexattr_settype)(attributes, type);
}

int pthread_mutex_consistent(pthread_mutex_t *mutex)
{
    return fault("mutex_consistent_does_nothing") ? 0 : REAL(pthread_mutex_consistent)(mutex);
}

/* The mutexes of the interpreter report none of these. */
int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    int result = REAL(pthread_mutex_lock)(mutex);
    return result && fault("mutex_lock_never_fails") ? 0 : result;
}

int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    int result = REAL(pthread_mutex_trylock)(mutex);
    return result && fault("mutex_trylock_never_fails") ? 0 : result;
}

int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *until)
{
    int result = REAL(pthread_mutex_timedlock)(mutex, until);
    return fault("mutex_timedlock_never_fails") ? 0 : result;
}
