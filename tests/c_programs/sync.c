/* The other side of what processes wait for.
 *
 * sync eventfd SOCKET    receive a counter over the socket, add what it holds to itself, once
 * sync futex FILE        wait on the first word of the shared file while it is 0, then store its double and wake a waiter
 * sync mutex FILE        lock the robust mutex at the beginning of the shared file, and end without unlocking it
 * sync make-mutex FILE   make such a mutex there
 * sync queue PID VALUE   send SIGRTMIN with the value to the process
 * sync stop              stop, and say so when continued
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failed(const char *call)
{
    perror(call);
    return 1;
}

static void *shared(const char *fd)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(fd), 0);
    if (memory == MAP_FAILED)
        exit(failed("mmap"));
    return memory;
}

static int eventfd_by_socket(int socket)
{
    char byte, room[CMSG_SPACE(sizeof(int))];
    struct iovec text = {&byte, 1};
    struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    if (recvmsg(socket, &message, 0) != 1)
        return failed("recvmsg");
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    uint64_t value;
    if (read(fd, &value, sizeof value) != sizeof value)
        return failed("read");
    value *= 2;
    return write(fd, &value, sizeof value) == sizeof value ? 0 : failed("write");
}

static int futex(uint32_t *word)
{
    while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == 0)
        if (syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0) == -1 && errno != EAGAIN && errno != EINTR)
            return failed("futex");
    __atomic_store_n(word, 2 * *word, __ATOMIC_SEQ_CST);
    return syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0) == -1 ? failed("futex") : 0;
}

static int make_mutex(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    return pthread_mutex_init(mutex, &attributes);
}

int main(int count, char **arguments)
{
    const char *what = count > 1 ? arguments[1] : "";
    if (count == 3 && strcmp(what, "eventfd") == 0)
        return eventfd_by_socket(atoi(arguments[2]));
    if (count == 3 && strcmp(what, "futex") == 0)
        return futex(shared(arguments[2]));
    if (count == 3 && strcmp(what, "mutex") == 0)
        return pthread_mutex_lock(shared(arguments[2]));
    if (count == 3 && strcmp(what, "make-mutex") == 0)
        return make_mutex(shared(arguments[2]));
    if (count == 4 && strcmp(what, "queue") == 0)
        return sigqueue(atoi(arguments[2]), SIGRTMIN, (union sigval){.sival_int = atoi(arguments[3])}) ? failed("sigqueue") : 0;
    if (count == 2 && strcmp(what, "stop") == 0) {
        raise(SIGSTOP);
        puts("went on");
        return 0;
    }
    fprintf(stderr, "usage: sync eventfd|futex|mutex|make-mutex FD | queue PID VALUE | stop\n");
    return 2;
}
