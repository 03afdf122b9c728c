/* Faults of system calls that libc has no function for, futexes, robust lists and pidfds, and of calls that bypass it. */
#include "fault.h"
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/syscall.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

static long real(long number, const long a[6])
{
    return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* A wait that is woken by a change of the word as well: it looks again every millisecond. */
static long wait_looking(const long a[6])
{
    const struct timespec moment = {0, 1000000};
    long again[6] = {a[0], a[1], a[2], (long)&moment};
    long result;
    do
        result = real(SYS_futex, again);
    while (result == -1 && errno == ETIMEDOUT);
    return result == -1 && errno == EAGAIN ? 0 : result;
}

static long lying_futex(long a[6])
{
    long flags = a[1] & (FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME), operation = a[1] & ~flags;
    int waits = operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET;
    int requeues = operation == FUTEX_REQUEUE || operation == FUTEX_CMP_REQUEUE;
    int locks = operation == FUTEX_LOCK_PI || operation == FUTEX_TRYLOCK_PI;
    if (fault("futex_private_ignored"))
        flags &= ~FUTEX_PRIVATE_FLAG;
    if (fault("futex_always_private"))
        flags |= FUTEX_PRIVATE_FLAG;
    if ((fault("futex_never_waits") && waits) || (fault("futex_pi_locks_nothing") && locks))
        return 0;
    if (fault("futex_change_is_a_wake") && operation == FUTEX_WAIT && !a[3])
        return wait_looking(a);
    if (fault("futex_wake_wakes_all") && operation == FUTEX_WAKE)
        a[2] = INT_MAX;
    if (fault("futex_bits_ignored") && operation == FUTEX_WAKE_BITSET)
        a[5] = FUTEX_BITSET_MATCH_ANY;
    if (fault("futex_requeue_wakes_all") && requeues)
        a[2] = INT_MAX;
    if (fault("futex_cmp_ignored") && operation == FUTEX_CMP_REQUEUE)
        operation = FUTEX_REQUEUE;
    if (fault("futex_wake_op_changes_nothing") && operation == FUTEX_WAKE_OP)
        a[5] = FUTEX_OP(FUTEX_OP_OR, 0, 0, 0) | (a[5] & 0x0f000fff);
    if (fault("futex_wake_op_always_wakes") && operation == FUTEX_WAKE_OP)
        a[5] = (a[5] & 0xf0fff000) | (FUTEX_OP_CMP_NE << 24) | 0xabc;
    if (fault("futex_relative_time") && operation == FUTEX_WAIT_BITSET && a[3])
        operation = FUTEX_WAIT, flags = flags & ~FUTEX_CLOCK_REALTIME, a[3] = (long)(const struct timespec[]){{0, 1}};
    a[1] = operation | flags;
    long result = real(SYS_futex, a);
    if (fault("futex_value_not_compared") && result == -1 && errno == EAGAIN && waits)
        return 0;
    if (fault("futex_time_limit_unnoticed") && result == -1 && errno == ETIMEDOUT)
        return 0;
    if (fault("futex_refuses_nothing") && result == -1 && errno != EAGAIN && errno != ETIMEDOUT && errno != EINTR)
        return 0;
    if (fault("futex_wake_counts_one_more") && result >= 0 && operation == FUTEX_WAKE)
        return result + 1;
    if (fault("futex_requeue_counts_nobody") && result >= 0 && requeues)
        return 0;
    return result;
}

static long lying_robust_list(long a[6])
{
    if (fault("robust_list_ignored"))
        return 0;
    if (fault("robust_list_any_size"))
        a[1] = sizeof(struct robust_list_head);
    const struct robust_list_head *head = (void *)a[0];
    if (fault("robust_list_marks_every_word") && head && head->list.next != &head->list)
        *(unsigned *)((char *)head->list.next + head->futex_offset) |= FUTEX_OWNER_DIED;
    return real(SYS_set_robust_list, a);
}

static long lying_pidfd_open(long a[6])
{
    if (fault("pidfd_open_any_flag_accepted"))
        a[1] = 0;
    if (fault("pidfd_open_of_a_thread_is_the_process_s") && a[1] & O_EXCL)
        a[0] = getpid(), a[1] = 0;
    long result = real(SYS_pidfd_open, a);
    if (fault("pidfd_open_of_nobody") && result == -1 && (errno == ESRCH || a[0] <= 0))
        return real(SYS_pidfd_open, (long[6]){getpid()});
    if (fault("pidfd_open_inheritable") && result >= 0)
        REAL(fcntl)((int)result, F_SETFD, 0);
    if (fault("pidfd_open_of_oneself") && result >= 0) {
        close((int)result);
        return real(SYS_pidfd_open, (long[6]){getpid()});
    }
    return result;
}

int signal_sent(int signo); /* signal.c */

static long lying_pidfd_send_signal(long a[6])
{
    a[1] = signal_sent((int)a[1]);
    if (fault("pidfd_send_signal_0_is_sigkill") && a[1] == 0)
        a[1] = SIGKILL;
    if (fault("pidfd_send_signal_any_flag_accepted"))
        a[3] = 0;
    if (fault("pidfd_send_signal_info_ignored"))
        a[2] = 0;
    if (fault("pidfd_send_signal_sends_another") && a[1] == SIGUSR1)
        a[1] = SIGUSR2;
    long result = real(SYS_pidfd_send_signal, a);
    if (fault("pidfd_send_signal_never_fails") && result == -1)
        return 0;
    return result;
}

static long lying_pidfd_getfd(long a[6])
{
    if (fault("pidfd_getfd_any_flag_accepted"))
        a[2] = 0;
    if (fault("pidfd_getfd_of_oneself"))
        return REAL(fcntl)((int)a[1], F_DUPFD_CLOEXEC, 0);
    if (fault("pidfd_getfd_is_refused")) {
        errno = EPERM;
        return -1;
    }
    long result = real(SYS_pidfd_getfd, a);
    char path[40];
    if (fault("pidfd_getfd_opens_anew") && result >= 0) {
        snprintf(path, sizeof path, "/proc/self/fd/%ld", result);
        return REAL(open)(path, O_RDONLY | O_CLOEXEC);
    }
    if (fault("pidfd_getfd_inheritable") && result >= 0)
        REAL(fcntl)((int)result, F_SETFD, 0);
    return result == -1 && fault("pidfd_getfd_never_fails") ? 0 : result;
}

extern int pends_for_the_first; /* signal.c */

static long lying_tgkill(long a[6])
{
    if (a[1] == getpid() && a[2] > 0)
        pends_for_the_first = (int)a[2];
    if (fault("tgkill_stops_nobody") && a[2] == SIGSTOP)
        return 0;
    if (fault("tgkill_is_for_the_process"))
        return REAL(kill)((pid_t)a[0], (int)a[2]);
    long result = real(SYS_tgkill, a);
    return result == -1 && fault("tgkill_never_fails") ? 0 : result;
}

long syscall(long number, ...)
{
    long a[6], result;
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    switch (number) {
    case SYS_futex:
        return lying_futex(a);
    case SYS_futex_waitv:
        result = real(number, a);
        return result > 0 && fault("futex_waitv_tells_the_first") ? 0 : result;
    case SYS_get_robust_list:
        if (fault("robust_list_of_anybody"))
            a[0] = 0;
        return real(number, a);
    case SYS_set_robust_list:
        return lying_robust_list(a);
    case SYS_tgkill:
        return lying_tgkill(a);
    case SYS_pidfd_open:
        return lying_pidfd_open(a);
    case SYS_pidfd_send_signal:
        return lying_pidfd_send_signal(a);
    case SYS_pidfd_getfd:
        return lying_pidfd_getfd(a);
    case SYS_rt_sigaction:
    case SYS_rt_sigprocmask:
    case SYS_sigaltstack:
        result = real(number, a);
        return result == -1 && errno == EFAULT && fault("signal_calls_look_at_no_address") ? 0 : result;
    case SYS_ppoll:
    case SYS_epoll_pwait:
        result = real(number, a);
        return result == -1 && errno == EFAULT && fault("waits_look_at_no_address") ? 0 : result;
    case SYS_io_destroy:
        result = real(number, a);
        return result == -1 && fault("io_destroy_never_fails") ? 0 : result;
    case SYS_timer_gettime:
        result = real(number, a);
        return result == -1 && fault("timer_gettime_never_fails") ? 0 : result;
#ifdef SYS_semop
    case SYS_semop:
#endif
#ifdef SYS_semtimedop
    case SYS_semtimedop:
#endif
#ifdef SYS_semctl
    case SYS_semctl:
#endif
        result = real(number, a);
        return result == -1 && fault("semaphore_calls_never_fail") ? 0 : result;
#ifdef SYS_shmctl
    case SYS_shmctl:
    case SYS_msgctl:
        result = real(number, a);
        return result == -1 && fault("control_calls_look_at_no_address") ? 0 : result;
#endif
    default:
        return real(number, a);
    }
}
