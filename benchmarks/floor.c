/* The same operations in C: what the kernel takes, with nothing around it. Each function returns 0, or an errno. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <semaphore.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int floor_fork(long loops)
{
    while (loops--) {
        int status;
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        if (pid < 0 || waitpid(pid, &status, 0) < 0)
            return errno;
    }
    return 0;
}

int floor_spawn(long loops)
{
    char *argv[] = {"/bin/true", 0};
    while (loops--) {
        int status;
        pid_t pid;
        int error = posix_spawn(&pid, argv[0], 0, 0, argv, environ);
        if (error)
            return error;
        if (waitpid(pid, &status, 0) < 0)
            return errno;
    }
    return 0;
}

int floor_segment(long loops)
{
    while (loops--) {
        int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
        void *address = id < 0 ? (void *)-1 : shmat(id, 0, 0);
        if (address == (void *)-1 || shmdt(address) || shmctl(id, IPC_RMID, 0))
            return errno;
    }
    return 0;
}

int floor_semaphore(long loops)
{
    struct sembuf release = {0, 1, 0}, acquire = {0, -1, 0};
    int id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600), error = id < 0 ? errno : 0;
    while (!error && loops--)
        if (semop(id, &release, 1) || semop(id, &acquire, 1))
            error = errno;
    semctl(id, 0, IPC_RMID);
    return error;
}

int floor_message(long loops)
{
    struct { long type; char text[64]; } message = {1, "x"};
    int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600), error = id < 0 ? errno : 0;
    while (!error && loops--)
        if (msgsnd(id, &message, sizeof message.text, 0) || msgrcv(id, &message, sizeof message.text, 0, 0) < 0)
            error = errno;
    msgctl(id, IPC_RMID, 0);
    return error;
}

int floor_posix_shm(long loops)
{
    char name[64];
    snprintf(name, sizeof name, "/benchmark-%d", getpid());
    while (loops--) {
        int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
        if (fd < 0 || ftruncate(fd, 4096))
            return errno;
        void *address = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (address == MAP_FAILED || munmap(address, 4096) || close(fd) || shm_unlink(name))
            return errno;
    }
    return 0;
}

int floor_posix_queue(long loops)
{
    char name[64], text[8192] = "x";
    struct mq_attr attr = {.mq_maxmsg = 10, .mq_msgsize = 8192};
    snprintf(name, sizeof name, "/benchmark-%d", getpid());
    mqd_t queue = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &attr);
    if (queue < 0)
        return errno;
    mq_unlink(name);
    int error = 0;
    while (!error && loops--)
        if (mq_send(queue, text, 64, 0) || mq_receive(queue, text, sizeof text, 0) < 0)
            error = errno;
    mq_close(queue);
    return error;
}

int floor_posix_semaphore(long loops)
{
    sem_t semaphore;
    if (sem_init(&semaphore, 1, 0))
        return errno;
    while (loops--)
        if (sem_post(&semaphore) || sem_wait(&semaphore))
            return errno;
    return 0;
}

int floor_fifo(long loops)
{
    char folder[] = "/tmp/benchmark-XXXXXX", path[64];
    if (!mkdtemp(folder))
        return errno;
    snprintf(path, sizeof path, "%s/fifo", folder);
    int error = 0;
    while (!error && loops--)
        if (mkfifo(path, 0600) || unlink(path))
            error = errno;
    rmdir(folder);
    return error;
}

int floor_pipe(long loops)
{
    while (loops--) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) || close(ends[0]) || close(ends[1]))
            return errno;
    }
    return 0;
}
