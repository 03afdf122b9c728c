/* Faults of timers that send signals. */
#include "fault.h"
#include <signal.h>
#include <sys/time.h>
#include <time.h>

int timer_create(clockid_t clock, struct sigevent *event, timer_t *timer)
{
    struct sigevent changed = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM, .sigev_value.sival_int = 4711};
    if (event) {
        changed = *event;
        if (fault("timer_create_value_lost"))
            changed.sigev_value.sival_int = 0;
        if (fault("timer_create_thread_ignored") && changed.sigev_notify == SIGEV_THREAD_ID)
            changed.sigev_notify = SIGEV_SIGNAL;
        if (fault("timer_create_none_sends") && changed.sigev_notify == SIGEV_NONE)
            changed.sigev_notify = SIGEV_SIGNAL;
        event = &changed;
    }
    if (!event && fault("timer_create_default_has_another_value"))
        event = &changed;
    if (fault("timer_create_any_clock_accepted") && clock > 11)
        clock = CLOCK_MONOTONIC;
    int result = REAL(timer_create)(clock, event, timer);
    if (fault("timer_create_any_notification_accepted") && result == -1 && errno == EINVAL)
        return 0;
    if (fault("timer_create_is_not_limited") && result == -1 && errno == EAGAIN)
        return 0;
    if (fault("timer_create_begins_at_once") && result == 0)
        REAL(timer_settime)(*timer, 0, &(const struct itimerspec){.it_value.tv_sec = 1000}, NULL);
    return result;
}

static int invalid(const struct timespec *time)
{
    return time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec > 999999999;
}

int timer_settime(timer_t timer, int flags, const struct itimerspec *new, struct itimerspec *old)
{
    struct itimerspec changed = *new;
    if (fault("timer_settime_abstime_unknown") && flags & TIMER_ABSTIME) {
        errno = EINVAL;
        return -1;
    }
    if (fault("timer_settime_early") && changed.it_value.tv_sec == 0)
        changed.it_value.tv_nsec = changed.it_value.tv_nsec != 0;
    if (fault("timer_settime_any_time_accepted") && invalid(&new->it_value))
        changed = (struct itimerspec){.it_value.tv_sec = 1};
    if (fault("timer_settime_zero_keeps_running") && !new->it_value.tv_sec && !new->it_value.tv_nsec)
        changed.it_value.tv_sec = 100;
    int result = REAL(timer_settime)(timer, flags, &changed, old);
    if (fault("timer_settime_old_missing") && result == 0 && old)
        *old = (struct itimerspec){0};
    return result;
}

int timer_getoverrun(timer_t timer)
{
    int result = REAL(timer_getoverrun)(timer);
    return fault("timer_getoverrun_none") && result > 0 ? 0 : result;
}

int timer_delete(timer_t timer)
{
    return fault("timer_delete_does_nothing") ? 0 : REAL(timer_delete)(timer);
}

static int lying_setitimer(int which, const struct itimerval *new, struct itimerval *old)
{
    struct itimerval changed = *new;
    if (fault("setitimer_interval_dropped"))
        changed.it_interval = (struct timeval){0};
    if (fault("setitimer_early") && changed.it_value.tv_sec == 0)
        changed.it_value.tv_usec = changed.it_value.tv_usec != 0;
    if (fault("setitimer_always_real"))
        which = ITIMER_REAL;
    int result = REAL(setitimer)(which, &changed, old);
    if (fault("setitimer_old_missing") && result == 0 && old)
        *old = (struct itimerval){0};
    if (fault("setitimer_never_fails") && result == -1)
        return 0;
    return result;
}

#ifdef __GLIBC__
typedef __itimer_which_t which_timer; /* in C glibc declares an enumeration */
#else
typedef int which_timer;
#endif

int setitimer(which_timer which, const struct itimerval *new, struct itimerval *old)
{
    return lying_setitimer((int)which, new, old);
}

int getitimer(which_timer which, struct itimerval *now)
{
    int result = REAL(getitimer)(which, now);
    if (fault("getitimer_nothing_left") && result == 0)
        *now = (struct itimerval){0};
    return result;
}

unsigned int alarm(unsigned int seconds)
{
    if (fault("alarm_sends_sigvtalrm") && seconds == 1)
        return REAL(kill)(getpid(), SIGVTALRM), 0;
    unsigned int left = REAL(alarm)(seconds);
    return fault("alarm_nothing_left") ? 0 : left;
}
