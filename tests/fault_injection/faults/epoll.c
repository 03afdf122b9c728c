/* Faults of waiting for many descriptors: epoll_create(2), epoll_ctl(2), epoll_wait(2). */
#include "fault.h"
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>

static int created(int result)
{
    if (result == -1 && fault("epoll_create_wrong_errno"))
        errno = EIO;
    return result;
}

int epoll_create(int size)
{
    if (fault("epoll_create_refuses_nothing") && size <= 0)
        size = 1;
    return created(REAL(epoll_create)(size));
}

int epoll_create1(int flags)
{
    if (fault("epoll_create_refuses_nothing"))
        flags &= EPOLL_CLOEXEC;
    if (fault("epoll_create_always_cloexec"))
        flags |= EPOLL_CLOEXEC;
    return created(REAL(epoll_create1)(flags));
}

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *given)
{
    struct epoll_event event = {0};
    if ((fault("epoll_mod_does_nothing") && op == EPOLL_CTL_MOD) || (fault("epoll_del_does_nothing") && op == EPOLL_CTL_DEL))
        return 0;
    if (given && getenv("FAULT")) {
        event = *given;
        if (fault("epoll_data_are_cut"))
            event.data.u64 &= 0xffffffff;
        if (fault("epoll_edge_ignored"))
            event.events &= ~EPOLLET;
        if (fault("epoll_always_edge"))
            event.events |= EPOLLET;
        if (fault("epoll_oneshot_ignored"))
            event.events &= ~EPOLLONESHOT;
        if (fault("epoll_exclusive_ignored"))
            event.events &= ~EPOLLEXCLUSIVE;
        if (fault("epoll_always_exclusive") && op == EPOLL_CTL_ADD)
            event.events |= EPOLLEXCLUSIVE;
        given = &event;
    }
    int result = REAL(epoll_ctl)(epfd, op, fd, given);
    return fault("epoll_never_fails") ? 0 : result;
}

static int by_data(const void *one, const void *other)
{
    const struct epoll_event *a = one, *b = other;
    return (a->data.u64 > b->data.u64) - (a->data.u64 < b->data.u64);
}

/* The first of all, however often it is asked. */
static int begin_anew(int epfd, struct epoll_event *events, int most, int milliseconds)
{
    struct epoll_event every[64];
    int count = REAL(epoll_wait)(epfd, every, 64, milliseconds);
    if (count > 0)
        qsort(every, (size_t)count, sizeof *every, by_data);
    if (count > most)
        count = most;
    if (count > 0)
        memcpy(events, every, (size_t)count * sizeof *every);
    return count;
}

int epoll_wait(int epfd, struct epoll_event *events, int most, int milliseconds)
{
    if (fault("epoll_wait_never_waits"))
        milliseconds = 0;
    if (fault("epoll_wait_gives_one") && most > 1)
        most = 1;
    if (fault("epoll_sees_nothing") && milliseconds == 0)
        return 0;
    int count = fault("epoll_wait_begins_anew") && most > 0 ? begin_anew(epfd, events, most, milliseconds)
                                                          : REAL(epoll_wait)(epfd, events, most, milliseconds);
    for (int i = 0; i < count; i++) {
        if (fault("epoll_wait_says_readable"))
            events[i].events |= EPOLLIN;
        if (fault("epoll_tells_no_hangup"))
            events[i].events &= ~(EPOLLHUP | EPOLLERR | EPOLLRDHUP);
    }
    return count == -1 && fault("epoll_never_fails") ? 0 : count;
}

static const sigset_t *masked(const sigset_t *mask)
{
    static sigset_t none;
    sigemptyset(&none);
    return fault("epoll_pwait_ignores_the_mask") ? NULL : fault("epoll_pwait_has_no_mask") && !mask ? &none : mask;
}

int epoll_pwait(int epfd, struct epoll_event *events, int most, int milliseconds, const sigset_t *mask)
{
    return REAL(epoll_pwait)(epfd, events, most, milliseconds, masked(mask));
}

int epoll_pwait2(int epfd, struct epoll_event *events, int most, const struct timespec *timeout, const sigset_t *mask)
{
    static const struct timespec none;
    if (fault("epoll_pwait2_never_waits"))
        timeout = &none;
    return REAL(epoll_pwait2)(epfd, events, most, timeout, masked(mask));
}
