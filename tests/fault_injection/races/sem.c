/* Races in System V semaphores. */
#include "race.h"
#include <sys/ipc.h>
#include <sys/sem.h>
#include <time.h>

union semun { int val; struct semid_ds *buf; unsigned short *array; };

/* Sleep in semop(2) where nobody will ever give. */
static int sleep_for_ever(void)
{
    struct sembuf take = {0, -1, 0};
    int id = REAL(semget)(IPC_PRIVATE, 1, 0600);
    int result = REAL(semop)(id, &take, 1);
    int kept = errno;
    REAL(semctl)(id, 0, IPC_RMID);
    errno = kept;
    return result;
}

static int without_waiting(int id, const struct sembuf *ops, size_t count)
{
    struct sembuf own[16];
    for (size_t n = 0; n < count && n < 16; n++)
        own[n] = ops[n], own[n].sem_flg |= IPC_NOWAIT;
    return REAL(semop)(id, own, count);
}

static int waits(const struct sembuf *ops, size_t count)
{
    for (size_t n = 0; n < count; n++)
        if (ops[n].sem_flg & IPC_NOWAIT)
            return 0;
    return 1;
}

static int operate(int id, struct sembuf *ops, size_t count, const struct timespec *limit)
{
    if (race("semop_in_two_steps") && count > 1) {
        if (REAL(semtimedop)(id, ops, 1, limit) == -1)
            return -1;
        window();
        if (without_waiting(id, ops + 1, count - 1) == 0)
            return 0;
        struct sembuf back = {ops->sem_num, -ops->sem_op, ops->sem_flg | IPC_NOWAIT};
        REAL(semop)(id, &back, 1);
        errno = EAGAIN;
        return -1;
    }
    if (race("semop_zero_seen_before_the_rest") && count == 2 && ops->sem_op == 0) {
        if (REAL(semtimedop)(id, ops, 1, limit) == -1)
            return -1;
        window();
        return without_waiting(id, ops + 1, 1);
    }
    if (race("semop_misses_a_change_meanwhile") && !limit && waits(ops, count)) {
        long changed = shared[SEM_CHANGED];
        if (without_waiting(id, ops, count) == 0)
            return 0;
        window();
        if (errno == EAGAIN && changed != shared[SEM_CHANGED])
            return sleep_for_ever();
    }
    if (race("semop_undo_noted_after_the_operation") && count == 1 && ops->sem_flg & SEM_UNDO && ops->sem_op) {
        struct sembuf plain = {ops->sem_num, ops->sem_op, ops->sem_flg & ~SEM_UNDO};
        struct sembuf note[] = {{ops->sem_num, -ops->sem_op, IPC_NOWAIT}, *ops};
        if (REAL(semtimedop)(id, &plain, 1, limit) == -1)
            return -1;
        window();
        if (REAL(semop)(id, note, 2) == -1)
            REAL(semop)(id, note, 2);
        return 0;
    }
    long removed = shared[SEM_REMOVED];
    int result = REAL(semtimedop)(id, ops, count, limit);
    if (result == -1 && errno == EINTR && race("semop_interrupted_half_done")) {
        for (size_t n = 0; n < count; n++)
            without_waiting(id, ops + n, 1);
        errno = EINTR;
    }
    if (result == -1 && errno == EIDRM && race("semctl_rmid_wakes_only_one") && shared[SEM_REMOVED]++ > removed)
        return sleep_for_ever();
    return result;
}

int semop(int id, struct sembuf *ops, size_t count)
{
    int result = operate(id, ops, count, NULL);
    if (result == 0)
        shared[SEM_CHANGED]++;
    return result;
}

int semtimedop(int id, struct sembuf *ops, size_t count, const struct timespec *limit)
{
    int result = operate(id, ops, count, limit);
    if (result == 0)
        shared[SEM_CHANGED]++;
    return result;
}

int semctl(int id, int num, int command, ...)
{
    va_list list;
    va_start(list, command);
    union semun arg = va_arg(list, union semun);
    va_end(list);
    if (race("semctl_setall_one_by_one") && command == SETALL) {
        struct semid_ds ds;
        union semun stat = {.buf = &ds};
        if (REAL(semctl)(id, 0, IPC_STAT, stat) == -1)
            return -1;
        for (size_t n = 0; n < ds.sem_nsems; n++) {
            union semun one = {.val = arg.array[n]};
            if (REAL(semctl)(id, (int)n, SETVAL, one) == -1)
                return -1;
            window();
        }
        return 0;
    }
    if (race("semctl_getall_one_by_one") && command == GETALL) {
        struct semid_ds ds;
        union semun stat = {.buf = &ds};
        if (REAL(semctl)(id, 0, IPC_STAT, stat) == -1)
            return -1;
        for (size_t n = 0; n < ds.sem_nsems; n++) {
            int value = REAL(semctl)(id, (int)n, GETVAL);
            if (value == -1)
                return -1;
            arg.array[n] = (unsigned short)value;
            window();
        }
        return 0;
    }
    int result = REAL(semctl)(id, num, command, arg);
    if (result == 0 && (command == SETVAL || command == SETALL))
        shared[SEM_CHANGED]++;
    return result;
}
