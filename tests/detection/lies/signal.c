/* Lies about signals. */
#include "lie.h"
#include <signal.h>
#include <sys/signalfd.h>

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
        if (lie("sigaction_onstack_dropped"))
            changed.sa_flags &= ~SA_ONSTACK;
        if (lie("sigaction_siginfo_dropped"))
            changed.sa_flags &= ~SA_SIGINFO;
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

int sigaltstack(const stack_t *new, stack_t *old)
{
    stack_t changed;
    if (new && lie("sigaltstack_does_nothing"))
        new = NULL;
    if (new && lie("sigaltstack_any_flag_accepted")) {
        changed = *new;
        changed.ss_flags &= SS_ONSTACK | SS_DISABLE;
        new = &changed;
    }
    int result = REAL(sigaltstack)(new, old);
    if (lie("sigaltstack_any_size_accepted") && result == -1 && errno == ENOMEM)
        return 0;
    if (lie("sigaltstack_old_missing") && result == 0 && old)
        *old = (stack_t){.ss_flags = SS_DISABLE};
    return result;
}

int signalfd(int fd, const sigset_t *mask, int flags)
{
    sigset_t changed = *mask;
    if (lie("signalfd_always_new") && fd != -1)
        fd = -1;
    if (lie("signalfd_every_signal"))
        sigfillset(&changed);
    if (lie("signalfd_cloexec_ignored"))
        flags &= ~SFD_CLOEXEC;
    if (lie("signalfd_never_blocks"))
        flags |= SFD_NONBLOCK;
    if (lie("signalfd_any_flag_accepted"))
        flags &= SFD_CLOEXEC | SFD_NONBLOCK;
    return REAL(signalfd)(fd, &changed, flags);
}
