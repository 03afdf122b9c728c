/* Faults of masks, pending signals, and waiting for them. */
#include "fault.h"
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>

extern int pends_for_the_first; /* signal.c */

int sigpending(sigset_t *set)
{
    static sigset_t before;
    int result = REAL(sigpending)(set);
    const sigset_t now = *set;
    if (fault("sigpending_empty"))
        sigemptyset(set);
    if (fault("sigpending_is_late"))
        sigorset(set, set, &before), before = now;
    if (fault("sigpending_of_every_thread") && pends_for_the_first && gettid() != getpid())
        sigaddset(set, pends_for_the_first);
    if (fault("sigpending_tells_one_more") && !sigisemptyset(set))
        sigaddset(set, SIGURG);
    return result;
}

static int mask_changed(int result, int how, const sigset_t *set, sigset_t *old, int invalid)
{
    if (old && fault("sigmask_before_untold"))
        sigemptyset(old);
    if (old && fault("sigmask_tells_sigkill"))
        sigaddset(old, SIGKILL);
    return set && result == invalid && how != SIG_BLOCK && fault("sigmask_changed_in_any_way") ? 0 : result;
}

static const sigset_t *mask_set(int *how, const sigset_t *set)
{
    if (fault("sigmask_block_replaces") && *how == SIG_BLOCK)
        *how = SIG_SETMASK;
    return fault("sigmask_unblock_ignored") && *how == SIG_UNBLOCK ? NULL : set;
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    const sigset_t *changed = mask_set(&how, set);
    return mask_changed(REAL(sigprocmask)(how, changed, old), how, set, old, -1);
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    const sigset_t *changed = mask_set(&how, set);
    int result = mask_changed(REAL(pthread_sigmask)(how, changed, old), how, set, old, EINVAL);
    if (result && fault("pthread_sigmask_returns_minus_one")) {
        errno = result;
        return -1;
    }
    return result && fault("pthread_sigmask_never_fails") ? 0 : result;
}

int sigsuspend(const sigset_t *mask)
{
    if (fault("sigsuspend_never_waits")) {
        errno = EINTR;
        return -1;
    }
    int result = REAL(sigsuspend)(mask), kept = errno;
    if (fault("sigsuspend_leaves_its_mask"))
        REAL(sigprocmask)(SIG_SETMASK, mask, NULL);
    errno = kept;
    return result;
}

int pause(void)
{
    if (!fault("pause_never_waits"))
        return REAL(pause)();
    errno = EINTR;
    return -1;
}

static const sigset_t *highest(const sigset_t *set)
{
    static sigset_t only;
    sigset_t pending;
    REAL(sigpending)(&pending);
    sigandset(&pending, &pending, set);
    sigemptyset(&only);
    for (int signo = SIGRTMAX; signo > 0; signo--)
        if (sigismember(&pending, signo) == 1)
            return sigaddset(&only, signo), &only;
    return set;
}

/* The siginfo_t that a wait for signals returns. */
static int taken(int signo, siginfo_t *info)
{
    if (signo == -1) {
        if (errno == EINTR && fault("sigwait_interrupted_is_eagain"))
            errno = EAGAIN;
        return -1;
    }
    if (fault("sigwait_leaves_it_pending"))
        REAL(kill)(getpid(), signo);
    if (info && fault("sigwait_tells_no_number"))
        info->si_signo = 0;
    if (info && fault("sigwait_tells_no_sender"))
        info->si_pid = 0, info->si_uid = 0;
    if (info && fault("sigwait_tells_no_reason"))
        info->si_code = SI_USER;
    return signo;
}

int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *time)
{
    if (fault("sigwait_takes_the_highest"))
        set = highest(set);
    const struct timespec none = {0};
    if (fault("sigtimedwait_never_waits"))
        time = &none;
    sigset_t others = *set;
    if (fault("sigtimedwait_knows_no_sigchld"))
        sigdelset(&others, SIGCHLD), set = &others;
    return taken(REAL(sigtimedwait)(set, info, time), info);
}

int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
    return taken(REAL(sigwaitinfo)(fault("sigwait_takes_the_highest") ? highest(set) : set, info), info);
}

/* read(2), in descriptor.c, of a descriptor of signals. */
ssize_t signalfd_read(int fd, void *data, size_t count)
{
    struct signalfd_siginfo *info = data;
    if (fault("signalfd_gives_one") && count > sizeof *info)
        count = sizeof *info;
    ssize_t result = REAL(read)(fd, data, count);
    if (result == -1 && errno == EINVAL && fault("signalfd_takes_any_room"))
        return 0;
    if (result == -1 && errno == EAGAIN && fault("signalfd_without_signals_is_at_its_end"))
        return 0;
    if (result > 0 && fault("signalfd_leaves_it_pending"))
        REAL(kill)(getpid(), (int)info->ssi_signo);
    if (result > 0 && fault("signalfd_tells_only_the_number"))
        memset(&info->ssi_errno, 0, sizeof *info - sizeof info->ssi_signo);
    return result;
}
