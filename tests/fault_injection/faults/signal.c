/* Faults of signals: their actions, sending them, alternate stacks, descriptors of them. How they are awaited is in sigwait.c. */
#include "fault.h"
#include <signal.h>
#include <sys/signalfd.h>

int sigaction(int signo, const struct sigaction *act, struct sigaction *old)
{
    struct sigaction changed;
    stack_t stack;
    if (act) {
        changed = *act;
        if (fault("sigaction_restart_dropped"))
            changed.sa_flags &= ~SA_RESTART;
        if (fault("sigaction_resethand_dropped"))
            changed.sa_flags &= ~SA_RESETHAND;
        if (fault("sigaction_nocldwait_dropped"))
            changed.sa_flags &= ~SA_NOCLDWAIT;
        if (fault("sigaction_nocldstop_dropped"))
            changed.sa_flags &= ~SA_NOCLDSTOP;
        if (fault("sigaction_onstack_dropped"))
            changed.sa_flags &= ~SA_ONSTACK;
        if (fault("sigaction_siginfo_dropped"))
            changed.sa_flags &= ~SA_SIGINFO;
        if (fault("sigaction_mask_dropped"))
            sigemptyset(&changed.sa_mask);
        if (fault("sigaction_mask_is_everything"))
            sigfillset(&changed.sa_mask);
        if (fault("sigaction_nodefer_dropped"))
            changed.sa_flags &= ~SA_NODEFER;
        if (fault("sigaction_nodefer_always"))
            changed.sa_flags |= SA_NODEFER;
        if (fault("sigaction_ignore_is_default") && changed.sa_handler == SIG_IGN)
            changed.sa_handler = SIG_DFL;
        if (fault("sigaction_handler_is_default") && changed.sa_handler != SIG_IGN)
            changed.sa_handler = SIG_DFL;
        if (fault("sigaction_onstack_needs_a_stack") && changed.sa_flags & SA_ONSTACK && REAL(sigaltstack)(NULL, &stack) == 0 &&
            stack.ss_flags & SS_DISABLE) {
            errno = EINVAL;
            return -1;
        }
        act = fault("sigaction_of_a_thread_is_lost") && gettid() != getpid() ? NULL : &changed;
    }
    int result = REAL(sigaction)(signo, act, old);
    if (old && fault("sigaction_tells_unknown_flags"))
        old->sa_flags |= 0x2000;
    if (fault("sigaction_kill_accepted") && result == -1 && (signo == SIGKILL || signo == SIGSTOP))
        return 0;
    if (fault("sigaction_any_number") && result == -1 && (signo < 1 || signo > SIGRTMAX))
        return 0;
    return result;
}

/* What SIGRTMIN stands for. */
int __libc_current_sigrtmin(void)
{
    return fault("sigrtmin_is_the_kernel_s") ? 32 : REAL(__libc_current_sigrtmin)();
}

int sigqueue(pid_t pid, int signo, const union sigval value)
{
    union sigval changed = value;
    if (fault("sigqueue_value_lost"))
        changed.sival_int = 0;
    if (fault("sigqueue_is_kill"))
        return kill(pid, signo);
    int result = REAL(sigqueue)(pid, signo, changed);
    return fault("sigqueue_never_fails") ? 0 : result;
}

int pthread_sigqueue(pthread_t thread, int signo, const union sigval value)
{
    union sigval changed = value;
    if (fault("pthread_sigqueue_value_lost"))
        changed.sival_int = 0;
    int error = REAL(pthread_sigqueue)(thread, signo, changed);
    return fault("pthread_sigqueue_never_fails") ? 0 : error;
}

int pends_for_the_first; /* the last signal that was directed at the first thread */

static int stops(int signo)
{
    return signo == SIGSTOP || signo == SIGTSTP || signo == SIGTTIN || signo == SIGTTOU;
}

static int ends(int signo)
{
    int ignored = signo == SIGCHLD || signo == SIGURG || signo == SIGWINCH || signo == SIGCONT;
    return signo > 0 && signo <= SIGRTMAX && !ignored && !stops(signo);
}

/* Which signal is really sent; syscall.c, where pidfd_send_signal(2) stands, asks too. */
int signal_sent(int signo)
{
    return stops(signo) && fault("stop_signals_kill") ? SIGKILL : signo;
}

int kill(pid_t pid, int signo)
{
    sigset_t pending;
    if (fault("kill_is_for_the_first_thread") && pid == getpid() && signo > 0)
        return tgkill(pid, pid, signo);
    if (fault("kill_zero_sends_nothing_and_never_fails") && signo == 0)
        return 0;
    if (fault("kill_any_signal_number") && (signo < 0 || signo > 64))
        return 0;
    if (fault("kill_of_oneself_does_nothing") && pid == getpid())
        return 0;
    if (fault("kill_never_queues") && pid == getpid() && REAL(sigpending)(&pending) == 0 && sigismember(&pending, signo) == 1)
        return 0;
    if ((fault("kill_needs_privilege") && geteuid() != 0) || (fault("kill_of_init_is_refused") && pid == 1)) {
        errno = EPERM;
        return -1;
    }
    if (fault("kill_is_sigkill") && ends(signo))
        signo = SIGKILL;
    if (fault("kill_reaches_the_group") && pid > 0 && signo && getpgid(pid) > 1)
        pid = -getpgid(pid);
    int result = REAL(kill)(pid, signal_sent(signo));
    if (fault("kill_everybody_is_the_caller_too") && pid == -1)
        return REAL(kill)(getpid(), signo);
    if (result == -1 && ((fault("kill_of_nobody") && errno == ESRCH) || (fault("kill_of_anybody") && errno == EPERM)))
        return 0;
    return result;
}

int sigaltstack(const stack_t *new, stack_t *old)
{
    stack_t changed;
    if (new && fault("sigaltstack_does_nothing"))
        new = NULL;
    if (new && (fault("sigaltstack_any_flag_accepted") || fault("sigaltstack_stays_armed"))) {
        changed = *new;
        changed.ss_flags &= SS_ONSTACK | SS_DISABLE;
        new = &changed;
    }
    int result = REAL(sigaltstack)(new, old);
    if (fault("sigaltstack_is_never_disabled") && result == 0 && old)
        old->ss_flags &= ~SS_DISABLE;
    if (fault("sigaltstack_any_size_accepted") && result == -1 && errno == ENOMEM)
        return 0;
    if (fault("sigaltstack_old_missing") && result == 0 && old)
        *old = (stack_t){.ss_flags = SS_DISABLE};
    return result;
}

int signalfd(int fd, const sigset_t *mask, int flags)
{
    sigset_t changed = *mask;
    if (fault("signalfd_always_new") && fd != -1)
        fd = -1;
    if (fault("signalfd_every_signal"))
        sigfillset(&changed);
    if (fault("signalfd_cloexec_ignored"))
        flags &= ~SFD_CLOEXEC;
    if (fault("signalfd_never_blocks"))
        flags |= SFD_NONBLOCK;
    if (fault("signalfd_blocks_its_set"))
        pthread_sigmask(SIG_BLOCK, mask, NULL);
    if (fault("signalfd_any_flag_accepted"))
        flags &= SFD_CLOEXEC | SFD_NONBLOCK;
    return REAL(signalfd)(fd, &changed, flags);
}
