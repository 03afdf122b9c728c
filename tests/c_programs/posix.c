/* The other side of POSIX semaphores and message queues, found by name.
 *
 * posix sem NAME pass COUNT      take COUNT units, and give each back at once
 * posix sem NAME make VALUE      make it with O_EXCL
 * posix mem SHM                  the same as pass 1, with an unnamed semaphore at the start of a shared memory object;
 *                                answers through the one after it
 * posix mq NAME echo             send a message back reversed, with one more priority
 * posix mq NAME make             make it with O_EXCL, three messages of eight bytes, and leave one in it
 * posix mq NAME told             be told by SIGUSR1, and print who has sent and the value
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <mqueue.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static int failed(const char *what)
{
    perror(what);
    return 1;
}

static int semaphore(const char *name, const char *what, unsigned number)
{
    if (strcmp(what, "make") == 0)
        return sem_open(name, O_CREAT | O_EXCL, 0600, number) == SEM_FAILED ? failed("sem_open") : 0;
    sem_t *sem = sem_open(name, 0);
    if (sem == SEM_FAILED)
        return failed("sem_open");
    while (number--)
        if (sem_wait(sem) == -1 || sem_post(sem) == -1)
            return failed("sem");
    return sem_close(sem) == -1 ? failed("sem_close") : 0;
}

static int memory(const char *name)
{
    int fd = shm_open(name, O_RDWR, 0);
    if (fd == -1)
        return failed("shm_open");
    sem_t *sems = mmap(NULL, 2 * sizeof(sem_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (sems == MAP_FAILED)
        return failed("mmap");
    return sem_wait(&sems[0]) == -1 || sem_post(&sems[1]) == -1 ? failed("sem") : 0;
}

static int queue(const char *name, const char *what)
{
    char data[8192], back[8192];
    unsigned priority;
    if (strcmp(what, "make") == 0) {
        struct mq_attr attr = {.mq_maxmsg = 3, .mq_msgsize = 8};
        mqd_t made = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0640, &attr);
        return made == -1 || mq_send(made, "made", 4, 9) == -1 ? failed("mq") : 0;
    }
    mqd_t mq = mq_open(name, O_RDWR);
    struct mq_attr attr;
    if (mq == -1 || mq_getattr(mq, &attr) == -1)
        return failed("mq_open");
    if (strcmp(what, "told") == 0) {
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77};
        sigset_t set;
        siginfo_t info;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigprocmask(SIG_BLOCK, &set, NULL);
        if (mq_notify(mq, &event) == -1 || sigwaitinfo(&set, &info) == -1)
            return failed("mq_notify");
        printf("%d %d %d\n", info.si_code == SI_MESGQ, (int)info.si_pid, info.si_value.sival_int);
        return 0;
    }
    ssize_t length = mq_receive(mq, data, sizeof data, &priority);
    for (ssize_t i = 0; i < length; ++i)
        back[i] = data[length - 1 - i];
    return length == -1 || mq_send(mq, back, length, priority + 1) == -1 ? failed("mq") : 0;
}

int main(int argc, char **argv)
{
    if (argc > 4 && strcmp(argv[1], "sem") == 0)
        return semaphore(argv[2], argv[3], strtoul(argv[4], NULL, 10));
    if (argc > 3 && strcmp(argv[1], "mq") == 0)
        return queue(argv[2], argv[3]);
    if (argc > 2 && strcmp(argv[1], "mem") == 0)
        return memory(argv[2]);
    return 2;
}
