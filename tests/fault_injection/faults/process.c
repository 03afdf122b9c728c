/* Faults of processes: their groups, sessions and terminals, and execve(2). */
#include "fault.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>

int setpgid(pid_t pid, pid_t group)
{
    if (fault("setpgid_does_nothing"))
        return 0;
    int result = REAL(setpgid)(pid, group);
    if (result == -1 && ((fault("setpgid_any_group") && errno == EPERM) || (fault("setpgid_any_process") && errno == ESRCH) ||
                         (fault("setpgid_also_after_exec") && errno == EACCES) || (fault("setpgid_any_number") && errno == EINVAL)))
        return 0;
    return result;
}

pid_t setsid(void)
{
    if (fault("setsid_does_nothing"))
        return getpid();
    pid_t result = REAL(setsid)();
    return fault("setsid_leaders_may") && result == -1 && errno == EPERM ? getpid() : result;
}

int tcsetpgrp(int fd, pid_t group)
{
    if (fault("tcsetpgrp_does_nothing"))
        return 0;
    int result = REAL(tcsetpgrp)(fd, group);
    return fault("tcsetpgrp_never_fails") ? 0 : result;
}

pid_t tcgetpgrp(int fd)
{
    pid_t result = REAL(tcgetpgrp)(fd);
    return fault("tcgetpgrp_tells_nobody") ? 0 : result;
}

pid_t getpgid(pid_t pid)
{
    pid_t result = REAL(getpgid)(pid);
    return fault("getpgid_of_nobody") && result == -1 ? 0 : result;
}

/* What an open(2), in descriptor.c, of a terminal has come to. */
int tty_opened(int fd, const char *path)
{
    if (fd == -1 && errno == ENXIO && strcmp(path, "/dev/tty") == 0 && fault("dev_tty_is_always_there"))
        return REAL(open)("/dev/null", O_RDWR);
    return fd;
}

extern char **environ;

/* What should pass from the old program to the new one is lost. */
static void lose_what_exec_keeps(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int signo = 1; signo <= SIGRTMAX; signo++)
        signal(signo, SIG_IGN), signal(signo, SIG_DFL); /* nor does anything pend */
    REAL(alarm)(0);
    REAL(setitimer)(0, &(const struct itimerval){0}, NULL);
    REAL(prctl)(PR_SET_PDEATHSIG, 0);
    umask(0);
    if (chdir("/") == 0)
        pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static void ignore_what_is_caught(void)
{
    struct sigaction action;
    for (int signo = 1; signo < 32; signo++)
        if (sigaction(signo, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
            signal(signo, SIG_IGN);
}

static int failed(int result)
{
    if (result == -1 && fault("execve_errors_are_eio"))
        errno = EIO;
    return result;
}

int execve(const char *path, char *const arguments[], char *const environment[])
{
    if (fault("execve_does_nothing"))
        return 0;
    if (fault("execve_begins_anew"))
        lose_what_exec_keeps();
    if (fault("execve_ignores_what_was_caught"))
        ignore_what_is_caught();
    if (fault("execve_closes_nothing"))
        for (int fd = 3; fd < 64; fd++)
            REAL(fcntl)(fd, F_SETFD, 0);
    if (fault("execve_closes_everything"))
        for (int fd = 3; fd < 64; fd++)
            REAL(fcntl)(fd, F_SETFD, FD_CLOEXEC);
    if (fault("execve_in_another_process")) {
        int status;
        pid_t child = REAL(fork)();
        if (child > 0 && REAL(waitpid)(child, &status, 0) == child)
            _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 255);
    }
    if (fault("execve_drops_empty_arguments")) {
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
