/* Faults of waiting: for children, for descriptors, for time. */
#include "fault.h"
#include <poll.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <time.h>

extern int forked; /* fork.c */

pid_t waitpid(pid_t child, int *status, int options)
{
    pid_t asked = child;
    if (fault("wait_takes_anybody"))
        child = -1;
    if (fault("wait_never_waits"))
        options |= WNOHANG;
    if (fault("wait_tells_everything"))
        options |= WUNTRACED | WCONTINUED;
    pid_t result = REAL(waitpid)(child, status, options);
    if (result == -1 && fault("wait_never_fails"))
        return 0;
    if (result == 0 && asked == -1 && fault("wait_for_nobody_fails")) {
        errno = ECHILD;
        return -1;
    }
    if (result <= 0 || !status)
        return result;
    if (fault("wait_restarts_a_tracee") && WIFSTOPPED(*status))
        REAL(ptrace)(PTRACE_CONT, result, 0L, 0L);
    if (fault("wait_tells_no_status"))
        *status = 0;
    if (fault("wait_tells_another_signal") && WIFSIGNALED(*status))
        *status ^= 1;
    if (fault("wait_tells_another_signal") && WIFSTOPPED(*status))
        *status ^= 0x100;
    if (fault("wait_tells_a_core") && WIFSIGNALED(*status))
        *status |= 0x80;
    if (fault("wait_tells_no_core") && WIFSIGNALED(*status))
        *status &= ~0x80;
    if (fault("wait_for_a_killed_child_kills") && WIFSIGNALED(*status) && forked)
        REAL(kill)(getpid(), SIGKILL);
    return result;
}

pid_t wait(int *status)
{
    return waitpid(-1, status, 0);
}

int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    if (fault("waitid_pidfd_is_anybody") && (int)type == 3)
        type = P_ALL;
    if (fault("waitid_takes_it_away"))
        options &= ~WNOWAIT;
    int result = REAL(waitid)(type, id, info, options);
    if (result == -1 && fault("wait_never_fails"))
        return 0;
    if (result == 0 && info && fault("waitid_tells_no_status"))
        info->si_status = 0;
    return fault("waitid_pidfd_never_fails") && (int)type == 3 ? 0 : result;
}

/* What a wait that a handler may have interrupted has come to. */
static int interrupted(int result)
{
    return result == -1 && errno == EINTR && fault("wait_interruption_unnoticed") ? 0 : result;
}

int pipe_poll(struct pollfd *fds, nfds_t count, int timeout); /* pipe.c */

static int is_socket(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int is_file(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* The number of descriptors that are reported. */
static int recount(const struct pollfd *fds, nfds_t count)
{
    int found = 0;
    for (nfds_t i = 0; i < count; i++)
        found += fds[i].revents != 0;
    return found;
}

static int lying_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    if (fault("poll_never_waits"))
        timeout = 0;
    int result = pipe_poll(fds, count, timeout), events = 0;
    if (result == -1 && errno == EINVAL && fault("poll_any_number"))
        return 0;
    if (result == -1 || !getenv("FAULT"))
        return result;
    for (nfds_t i = 0; i < count; i++) {
        if (fault("poll_tells_unasked") && is_socket(fds[i].fd))
            fds[i].revents |= POLLIN | POLLOUT;
        if (fault("poll_tells_of_no_peer") && is_socket(fds[i].fd))
            fds[i].revents &= ~(POLLHUP | POLLRDHUP);
        if (fault("poll_of_a_file_waits") && is_file(fds[i].fd))
            fds[i].revents = 0;
        events += __builtin_popcount((unsigned short)fds[i].revents);
    }
    return fault("poll_counts_events") ? events : recount(fds, count);
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    int result = interrupted(lying_poll(fds, count, timeout));
    for (nfds_t i = 0; result >= 0 && i < count; i++) {
        if (fds[i].fd < 0 && fault("poll_says_negative_is_invalid"))
            fds[i].revents = POLLNVAL, result++;
        if (fds[i].revents & POLLNVAL && fault("poll_says_nothing_of_closed"))
            fds[i].revents = 0, result--;
    }
    return result;
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    static const struct timespec at_once;
    sigset_t none;
    sigemptyset(&none);
    if (fault("ppoll_ignores_the_mask"))
        mask = NULL;
    else if (fault("ppoll_has_no_mask") && !mask)
        mask = &none;
    if (fault("ppoll_never_waits"))
        timeout = &at_once;
    int result = REAL(ppoll)(fds, count, timeout, mask);
    return result == -1 && errno == EINVAL && fault("ppoll_any_time") ? 0 : result;
}

int select(int count, fd_set *input, fd_set *output, fd_set *other, struct timeval *time)
{
    struct timeval none = {0};
    if (fault("select_is_always_ready") && time && time->tv_sec == 0 && time->tv_usec == 0)
        return 1; /* every descriptor is left in its set */
    if (fault("select_never_waits"))
        time = &none;
    int result = REAL(select)(count, input, output, other, time);
    if (result == -1 && errno == EBADF && fault("select_any_descriptor"))
        return 0;
    if (fault("select_sees_nothing")) {
        for (fd_set **set = (fd_set *[]){input, output, other, NULL}, **end = set + 3; set < end; set++)
            if (*set)
                FD_ZERO(*set);
        return 0;
    }
    return result;
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
    return interrupted(REAL(nanosleep)(time, left));
}
