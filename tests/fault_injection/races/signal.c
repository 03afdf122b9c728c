/* Races in signals that are queued and taken, and in waiting for children. */
#include "race.h"
#include <signal.h>
#include <sys/wait.h>

int sigqueue(pid_t pid, int signo, const union sigval value)
{
    if (race("sigqueue_dropped_if_two_queue")) {
        long queued = shared[QUEUED]++;
        window();
        if (shared[QUEUED] != queued + 1)
            return 0;
    }
    int result = REAL(sigqueue)(pid, signo, value);
    shared[QUEUED]++;
    return result;
}

static void again(const siginfo_t *info)
{
    REAL(sigqueue)(getpid(), info->si_signo, info->si_value);
}

int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
    long taken = shared[TAKEN]++;
    int result = REAL(sigtimedwait)(set, info, timeout);
    if (result > 0 && race("sigtimedwait_gives_a_signal_twice")) {
        window();
        if (shared[TAKEN] != taken + 1)
            again(info);
    }
    return result;
}

int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
    if (race("sigwaitinfo_misses_a_signal_sent_meanwhile")) {
        const struct timespec now = {0, 0};
        long queued = shared[QUEUED];
        int result = REAL(sigtimedwait)(set, info, &now);
        if (result != -1)
            return result;
        window();
        if (queued != shared[QUEUED]) {
            sigset_t other;
            sigemptyset(&other);
            sigaddset(&other, SIGRTMAX - 1);
            return REAL(sigwaitinfo)(&other, info);
        }
    }
    return REAL(sigwaitinfo)(set, info);
}

int kill(pid_t pid, int signo)
{
    int result = REAL(kill)(pid, signo);
    if (signo == SIGKILL)
        shared[KILLED]++;
    return result;
}

int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    if (type == P_ALL && race("waitid_gives_a_child_twice")) {
        int result = REAL(waitid)(type, id, info, options | WNOWAIT);
        if (result == 0 && info->si_pid) {
            siginfo_t own;
            window();
            REAL(waitid)(P_PID, (id_t)info->si_pid, &own, WEXITED | WNOHANG);
        }
        return result;
    }
    if (type == P_ALL && !(options & WNOHANG) && race("waitid_misses_a_child_that_ends_meanwhile")) {
        long killed = shared[KILLED];
        int result = REAL(waitid)(type, id, info, options | WNOHANG);
        if (result == -1 || info->si_pid)
            return result;
        window();
        if (killed != shared[KILLED]) {
            sigset_t other;
            sigemptyset(&other);
            sigaddset(&other, SIGRTMAX - 1);
            return REAL(sigwaitinfo)(&other, info);
        }
    }
    if (type == P_ALL && race("waitid_reaps_without_telling")) {
        int result = REAL(waitid)(type, id, info, options);
        if (result == 0 && info->si_pid) {
            siginfo_t own = {0};
            window();
            REAL(waitid)(type, id, &own, WEXITED | WNOHANG);
        }
        return result;
    }
    return REAL(waitid)(type, id, info, options);
}
