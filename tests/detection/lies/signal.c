/* Lies about signals. */
#include "lie.h"
#include <signal.h>

int sigaction(int signo, const struct sigaction *act, struct sigaction *old)
{
    struct sigaction changed;
    if (act) {
        changed = *act;
        if (lie("sigaction_restart_dropped"))
            changed.sa_flags &= ~SA_RESTART;
        if (lie("sigaction_restart_always"))
            changed.sa_flags |= SA_RESTART;
        if (lie("sigaction_resethand_dropped"))
            changed.sa_flags &= ~SA_RESETHAND;
        if (lie("sigaction_nocldwait_dropped"))
            changed.sa_flags &= ~SA_NOCLDWAIT;
        if (lie("sigaction_nocldstop_dropped"))
            changed.sa_flags &= ~SA_NOCLDSTOP;
        if (lie("sigaction_mask_dropped"))
            sigemptyset(&changed.sa_mask);
        act = &changed;
    }
    int result = REAL(sigaction)(signo, act, old);
    if (lie("sigaction_kill_accepted") && result == -1 && (signo == SIGKILL || signo == SIGSTOP))
        return 0;
    return result;
}

int sigqueue(pid_t pid, int signo, const union sigval value)
{
    union sigval changed = value;
    if (lie("sigqueue_value_lost"))
        changed.sival_int = 0;
    if (lie("sigqueue_is_kill"))
        return kill(pid, signo);
    return REAL(sigqueue)(pid, signo, changed);
}

int sigpending(sigset_t *set)
{
    int result = REAL(sigpending)(set);
    if (lie("sigpending_empty"))
        sigemptyset(set);
    return result;
}

int kill(pid_t pid, int signo)
{
    if (lie("kill_zero_sends_nothing_and_never_fails") && signo == 0)
        return 0;
    if (lie("kill_stop_does_nothing") && signo == SIGSTOP)
        return 0;
    if (lie("kill_any_signal_number") && (signo < 0 || signo > 64))
        return 0;
    return REAL(kill)(pid, signo);
}
