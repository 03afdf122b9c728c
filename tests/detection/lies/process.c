/* Lies about processes, their groups and sessions, and about waits that a handler ends. */
#include "lie.h"
#include <poll.h>
#include <sys/wait.h>
#include <time.h>

int setpgid(pid_t pid, pid_t group)
{
    if (lie("setpgid_does_nothing"))
        return 0;
    int result = REAL(setpgid)(pid, group);
    if (result == -1 && ((lie("setpgid_any_group") && errno == EPERM) || (lie("setpgid_any_process") && errno == ESRCH) ||
                         (lie("setpgid_also_after_exec") && errno == EACCES) || (lie("setpgid_any_number") && errno == EINVAL)))
        return 0;
    return result;
}

pid_t setsid(void)
{
    if (lie("setsid_does_nothing"))
        return getpid();
    pid_t result = REAL(setsid)();
    return lie("setsid_leaders_may") && result == -1 && errno == EPERM ? getpid() : result;
}

int tcsetpgrp(int fd, pid_t group)
{
    if (lie("tcsetpgrp_does_nothing"))
        return 0;
    int result = REAL(tcsetpgrp)(fd, group);
    return lie("tcsetpgrp_never_fails") ? 0 : result;
}

int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    if (lie("waitid_pidfd_is_anybody") && (int)type == 3)
        type = P_ALL;
    int result = REAL(waitid)(type, id, info, options);
    return lie("waitid_pidfd_never_fails") && (int)type == 3 ? 0 : result;
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    int result;
    do
        result = REAL(poll)(fds, count, timeout);
    while (lie("waits_are_restarted") && timeout < 0 && result == -1 && errno == EINTR);
    return result;
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
    int result;
    do
        result = REAL(nanosleep)(time, left);
    while (lie("waits_are_restarted") && time->tv_sec > 60 && result == -1 && errno == EINTR);
    return result;
}
