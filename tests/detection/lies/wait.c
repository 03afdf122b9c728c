/* Lies about waiting: for children, for descriptors, for time. */
#include "lie.h"
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
    if (lie("wait_takes_anybody"))
        child = -1;
    if (lie("wait_never_waits"))
        options |= WNOHANG;
    if (lie("wait_tells_everything"))
        options |= WUNTRACED | WCONTINUED;
    pid_t result = REAL(waitpid)(child, status, options);
    if (result == -1 && lie("wait_never_fails"))
        return 0;
    if (result == 0 && asked == -1 && lie("wait_for_nobody_fails")) {
        errno = ECHILD;
        return -1;
    }
    if (result <= 0 || !status)
        return result;
    if (lie("wait_restarts_a_tracee") && WIFSTOPPED(*status))
        REAL(ptrace)(PTRACE_CONT, result, 0L, 0L);
    if (lie("wait_tells_no_status"))
        *status = 0;
    if (lie("wait_tells_another_signal") && WIFSIGNALED(*status))
        *status ^= 1;
    if (lie("wait_tells_another_signal") && WIFSTOPPED(*status))
        *status ^= 0x100;
    if (lie("wait_tells_a_core") && WIFSIGNALED(*status))
        *status |= 0x80;
    if (lie("wait_tells_no_core") && WIFSIGNALED(*status))
        *status &= ~0x80;
    if (lie("wait_for_a_killed_child_kills") && WIFSIGNALED(*status) && forked)
        REAL(kill)(getpid(), SIGKILL);
    return result;
}

pid_t wait(int *status)
{
    return waitpid(-1, status, 0);
}

int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    if (lie("waitid_pidfd_is_anybody") && (int)type == 3)
        type = P_ALL;
    if (lie("waitid_takes_it_away"))
        options &= ~WNOWAIT;
    int result = REAL(waitid)(type, id, info, options);
    if (result == -1 && lie("wait_never_fails"))
        return 0;
    if (result == 0 && info && lie("waitid_tells_no_status"))
        info->si_status = 0;
    return lie("waitid_pidfd_never_fails") && (int)type == 3 ? 0 : result;
}

/* What a wait that a handler may have interrupted has come to. */
static int interrupted(int result)
{
    return result == -1 && errno == EINTR && lie("wait_interruption_unnoticed") ? 0 : result;
}

int pipe_poll(struct pollfd *fds, nfds_t count, int timeout); /* pipe.c */

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    return interrupted(pipe_poll(fds, count, timeout));
}

int select(int count, fd_set *input, fd_set *output, fd_set *other, struct timeval *time)
{
    if (lie("select_is_always_ready") && time && time->tv_sec == 0 && time->tv_usec == 0)
        return 1; /* every descriptor is left in its set */
    return REAL(select)(count, input, output, other, time);
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
    return interrupted(REAL(nanosleep)(time, left));
}
