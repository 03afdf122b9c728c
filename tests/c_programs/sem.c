/* A set of System V semaphores that is found by its key, used from C.
 *
 * sem KEY wait N       take N from semaphore 0 and give N to semaphore 1, as one
 * sem KEY lock         take 1 from semaphore 0 with SEM_UNDO, say so on semaphore 1, and sleep until a signal kills it
 * sem KEY zero         wait until semaphore 0 is 0
 * sem KEY poll         take 1 from semaphore 0 within a tenth of a second, and print what came of it
 * sem KEY show         print the values, the waiters for more, the waiters for 0 and the last process of each semaphore
 * sem KEY set V...     set the values of all semaphores
 * sem KEY make N       make a set of N semaphores, which must not exist, mode 0640, and print its id
 * sem KEY remove       remove it
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <time.h>
#include <unistd.h>

union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
};

static int failed(const char *call)
{
    perror(call);
    return 1;
}

static int operate(int set, struct sembuf *operations, size_t count)
{
    return semop(set, operations, count) == -1 ? failed("semop") : 0;
}

static int lock(int set)
{
    struct sembuf operations[] = { { 0, -1, SEM_UNDO }, { 1, 1, 0 } };
    if (operate(set, operations, 2))
        return 1;
    for (;;)
        pause();
}

static int within_a_moment(int set)
{
    struct sembuf take = { 0, -1, 0 };
    struct timespec limit = { 0, 100 * 1000 * 1000 };
    int result = semtimedop(set, &take, 1, &limit);
    printf("%s\n", result != -1 ? "taken" : errno == EAGAIN ? "EAGAIN" : strerror(errno));
    return 0;
}

static int show(int set)
{
    struct semid_ds ds;
    if (semctl(set, 0, IPC_STAT, (union semun){ .buf = &ds }) == -1)
        return failed("semctl");
    for (unsigned long number = 0; number < ds.sem_nsems; number++)
        printf("%d %d %d %d\n", semctl(set, number, GETVAL), semctl(set, number, GETNCNT), semctl(set, number, GETZCNT),
               semctl(set, number, GETPID));
    return 0;
}

int main(int count, char **words)
{
    unsigned short values[64];
    key_t key = strtol(words[1], NULL, 0);
    const char *what = words[2];

    if (strcmp(what, "make") == 0) {
        int made = semget(key, atoi(words[3]), IPC_CREAT | IPC_EXCL | 0640);
        if (made == -1)
            return failed("semget");
        printf("%d\n", made);
        return 0;
    }
    int set = semget(key, 0, 0);
    if (set == -1)
        return failed("semget");
    if (strcmp(what, "wait") == 0) {
        short amount = atoi(words[3]);
        struct sembuf operations[] = { { 0, -amount, 0 }, { 1, amount, 0 } };
        return operate(set, operations, 2);
    }
    if (strcmp(what, "zero") == 0) {
        struct sembuf wait = { 0, 0, 0 };
        return operate(set, &wait, 1);
    }
    if (strcmp(what, "lock") == 0)
        return lock(set);
    if (strcmp(what, "poll") == 0)
        return within_a_moment(set);
    if (strcmp(what, "show") == 0)
        return show(set);
    if (strcmp(what, "set") == 0) {
        for (int place = 3; place < count; place++)
            values[place - 3] = atoi(words[place]);
        return semctl(set, 0, SETALL, (union semun){ .array = values }) == -1 ? failed("semctl") : 0;
    }
    return semctl(set, 0, IPC_RMID) == -1 ? failed("semctl") : 0;
}
