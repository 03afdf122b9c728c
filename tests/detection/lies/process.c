/* Lies about processes, their groups and sessions, and about waits that a handler ends. */
#include "lie.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
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

extern char **environ;

/* What should pass from the old program to the new one is lost. */
static void lose_what_exec_keeps(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int signo = 1; signo < 32; signo++)
        signal(signo, SIG_DFL);
    REAL(alarm)(0);
    REAL(setitimer)(0, &(const struct itimerval){0}, NULL);
    prctl(PR_SET_PDEATHSIG, 0);
    umask(0);
    if (chdir("/") == 0)
        pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static int failed(int result)
{
    if (result == -1 && lie("execve_errors_are_eio"))
        errno = EIO;
    return result;
}

int execve(const char *path, char *const arguments[], char *const environment[])
{
    if (lie("execve_does_nothing"))
        return 0;
    if (lie("execve_begins_anew"))
        lose_what_exec_keeps();
    if (lie("execve_closes_nothing"))
        for (int fd = 3; fd < 64; fd++)
            REAL(fcntl)(fd, F_SETFD, 0);
    if (lie("execve_closes_everything"))
        for (int fd = 3; fd < 64; fd++)
            REAL(fcntl)(fd, F_SETFD, FD_CLOEXEC);
    if (lie("execve_in_another_process")) {
        int status;
        pid_t child = REAL(fork)();
        if (child > 0 && REAL(waitpid)(child, &status, 0) == child)
            _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 255);
    }
    if (lie("execve_drops_empty_arguments")) {
        int kept = 0;
        char *changed[64];
        for (int i = 0; arguments[i] && kept < 63; i++)
            if (*arguments[i])
                changed[kept++] = arguments[i];
        changed[kept] = NULL;
        return failed(REAL(execve)(path, changed, environment));
    }
    return failed(REAL(execve)(path, arguments, environment));
}

int execv(const char *path, char *const arguments[])
{
    return execve(path, arguments, environ);
}

pid_t waitpid(pid_t child, int *status, int options)
{
    if (lie("wait_takes_anybody"))
        child = -1;
    pid_t result = REAL(waitpid)(child, status, options);
    if (result == -1 && lie("wait_never_fails"))
        return 0;
    return result;
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
    return lie("waitid_pidfd_never_fails") && (int)type == 3 ? 0 : result;
}

int pipe_poll(struct pollfd *fds, nfds_t count, int timeout); /* pipe.c */

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    int result;
    do
        result = pipe_poll(fds, count, timeout);
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
