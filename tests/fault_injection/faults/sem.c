/* Faults of System V semaphores. */
#include "fault.h"
#include <signal.h>
#include <stdarg.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <time.h>

union argument {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
    struct seminfo *info;
    void *pointer;
};

int semget(key_t key, int nsems, int flags)
{
    if (fault("semget_excl_ignored"))
        flags &= ~IPC_EXCL;
    if (fault("semget_private_is_a_key") && key == IPC_PRIVATE)
        key = 0x3fff0002, flags |= IPC_CREAT;
    if (fault("semget_creates_without_creat"))
        flags |= IPC_CREAT;
    if (fault("semget_zero_accepted") && nsems == 0 && flags & IPC_CREAT)
        nsems = 1;
    if (fault("semget_umask_applied")) {
        mode_t mask = umask(0);
        umask(mask);
        flags &= ~mask;
    }
    if (fault("semget_permission_ignored") && !(flags & IPC_CREAT))
        flags &= ~0777;
    int id = REAL(semget)(key, nsems, flags);
    if (fault("semget_larger_accepted") && id == -1 && errno == EINVAL && nsems > 0 && !(flags & IPC_CREAT))
        return REAL(semget)(key, 0, flags);
    if (fault("semget_lookup_needs_creat") && id != -1 && key != IPC_PRIVATE && !(flags & IPC_CREAT)) {
        errno = ENOENT;
        return -1;
    }
    if (fault("semget_too_large_is_enospc") && id == -1 && errno == EINVAL && flags & IPC_CREAT)
        errno = ENOSPC;
    if (fault("semget_limit_is_einval") && id == -1 && errno == ENOSPC)
        errno = EINVAL;
    if (fault("semget_gives_a_negative_id") && id != -1)
        return id | (int)0x80000000;
    if (fault("semget_begins_with_one") && id != -1 && flags & IPC_CREAT)
        REAL(semctl)(id, 0, SETVAL, (union argument){ .val = 1 });
    return id;
}

static int operate(int id, struct sembuf *given, size_t count, const struct timespec *limit)
{
    struct sembuf operations[1000];
    struct timespec half, none = { 0, 0 };
    size_t kept = 0;

    if (fault("semop_too_many_are_cut") && count > 3) {
        struct seminfo info;
        REAL(semctl)(0, 0, IPC_INFO, (union argument){ .info = &info });
        if (count > (size_t)info.semopm)
            count = info.semopm;
    }
    if (count > 1000 || given < (struct sembuf *)4096) {
        int result = REAL(semtimedop)(id, given, count, limit);
        return fault("semop_fault_accepted") && result == -1 && errno == EFAULT ? 0 : result;
    }
    for (size_t i = 0; i < count; i++) {
        struct sembuf op = given[fault("semop_order_reversed") ? count - 1 - i : i];
        if (fault("semop_never_waits"))
            op.sem_flg |= IPC_NOWAIT;
        if (fault("semop_undo_ignored"))
            op.sem_flg &= ~SEM_UNDO;
        if (fault("semop_undo_always") && op.sem_op)
            op.sem_flg |= SEM_UNDO;
        if (fault("semop_adds_one_more") && op.sem_op > 0)
            op.sem_op++;
        if (!fault("semop_zero_ignored") || op.sem_op)
            operations[kept++] = op;
    }
    if (fault("semop_zero_ignored") && count && !kept)
        return 0;
    if (fault("semop_one_by_one") && kept > 1) {
        for (size_t i = 0; i < kept; i++)
            if (REAL(semtimedop)(id, &operations[i], 1, limit) == -1)
                return -1;
        return 0;
    }
    if (fault("semtimedop_half_the_time") && limit) {
        half.tv_sec = limit->tv_sec / 2;
        half.tv_nsec = limit->tv_nsec / 2;
        limit = &half;
    }
    if (fault("semtimedop_null_is_no_time") && !limit)
        limit = &none;
    int result = REAL(semtimedop)(id, operations, kept, limit);
    if (result == -1) {
        if (fault("semop_interruption_unnoticed") && errno == EINTR)
            return 0;
        if (fault("semop_removal_is_einval") && errno == EIDRM)
            errno = EINVAL;
        if (fault("semop_outside_is_einval") && errno == EFBIG)
            errno = EINVAL;
        if (fault("semop_denied_is_eperm") && errno == EACCES)
            errno = EPERM;
        if (fault("semop_range_passed_over") && errno == ERANGE)
            return 0;
        if (fault("semop_denied_passed_over") && errno == EACCES)
            return 0;
        if (fault("semop_eagain_passed_over") && errno == EAGAIN)
            return 0;
        if (fault("semop_failure_leaves_an_undo") && errno == EAGAIN && operations[0].sem_flg & SEM_UNDO) {
            struct sembuf there_and_back[] = { { 0, 1, SEM_UNDO }, { 0, -1, 0 } };
            REAL(semtimedop)(id, there_and_back, 2, NULL);
            errno = EAGAIN;
        }
        if (fault("semop_none_accepted") && count == 0)
            return 0;
        if (fault("semtimedop_etimedout") && errno == EAGAIN && limit)
            errno = ETIMEDOUT;
        if (fault("semtimedop_limit_rewritten") && errno == EINTR && limit)
            ((struct timespec *)limit)->tv_sec = 1;
    }
    return result;
}

int semop(int id, struct sembuf *operations, size_t count)
{
    return operate(id, operations, count, NULL);
}

int semtimedop(int id, struct sembuf *operations, size_t count, const struct timespec *limit)
{
    return operate(id, operations, count, limit);
}

int semctl(int id, int number, int command, ...)
{
    va_list more;
    va_start(more, command);
    union argument arg = va_arg(more, union argument);
    va_end(more);

    if (fault("semctl_rmid_does_nothing") && command == IPC_RMID)
        return 0;
    if (fault("semctl_set_does_nothing") && command == IPC_SET)
        return 0;
    if (fault("semctl_setval_does_nothing") && command == SETVAL)
        return 0;
    if (fault("semctl_setall_sets_one") && command == SETALL)
        return REAL(semctl)(id, 0, SETVAL, (union argument){ .val = arg.array[0] });
    if (fault("semctl_counts_swapped") && (command == GETNCNT || command == GETZCNT))
        command = command == GETNCNT ? GETZCNT : GETNCNT;
    if (fault("semctl_number_passed_over") && (number < 0 || number > 2))
        number = 0;
    int result = REAL(semctl)(id, number, command, arg);
    if (result == -1) {
        if (fault("semctl_range_passed_over") && errno == ERANGE)
            return 0;
        if (fault("semctl_unknown_accepted") && errno == EINVAL && command > 20)
            return 0;
        if (fault("semctl_fault_accepted") && errno == EFAULT)
            return 0;
        if (fault("semctl_denied_is_eperm") && errno == EACCES)
            errno = EPERM;
        if (fault("semctl_eperm_is_eacces") && errno == EPERM)
            errno = EACCES;
        return -1;
    }
    if (command == IPC_STAT) {
        if (fault("semctl_nsems_wrong"))
            arg.buf->sem_nsems++;
        if (fault("semctl_times_missing"))
            arg.buf->sem_otime = arg.buf->sem_ctime = 0;
        if (fault("semctl_owner_is_the_real_user"))
            arg.buf->sem_perm.uid = getuid();
    }
    if (command == GETPID && fault("semctl_pid_wrong"))
        return 1;
    if (command == GETPID && fault("semctl_pid_of_the_dead_is_0") && result && kill(result, 0) == -1 && errno == ESRCH)
        return 0;
    if (command == SEM_STAT && fault("semctl_index_for_id"))
        return id;
    if (command == GETALL && fault("semctl_getall_shifted"))
        arg.array[0]++;
    if (command == IPC_INFO && fault("semctl_limits_wrong"))
        arg.info->semmsl++;
    if (command == SEM_INFO && fault("semctl_sums_wrong"))
        arg.info->semaem++;
    return result;
}
