/* Races in POSIX message queues. */
#include "race.h"
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

static const struct timespec PAST = {0, 0};

/* Sleep in mq_receive(3) where nobody sends anything. */
static ssize_t sleep_for_ever(void)
{
    char name[40], text[64];
    struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = sizeof text};
    snprintf(name, sizeof name, "/race-%d-%ld", getpid(), (long)syscall(SYS_gettid));
    mqd_t own = mq_open(name, O_CREAT | O_RDWR, 0600, &attr);
    mq_unlink(name);
    ssize_t result = REAL(mq_receive)(own, text, sizeof text, NULL);
    int kept = errno;
    mq_close(own);
    errno = kept;
    return result;
}

static int waits(mqd_t queue)
{
    struct mq_attr attr;
    return mq_getattr(queue, &attr) == 0 && !(attr.mq_flags & O_NONBLOCK);
}

static long inode(mqd_t queue)
{
    struct stat stat;
    return fstat(queue, &stat) == 0 ? (long)stat.st_ino : 0;
}

int mq_send(mqd_t queue, const char *text, size_t length, unsigned priority)
{
    if (race("mq_send_lost_if_two_send")) {
        long sent = shared[MQ_SENT]++;
        window();
        if (shared[MQ_SENT] != sent + 1)
            return 0;
    }
    long registered = shared[MQ_INODE] == inode(queue) ? shared[MQ_REGISTERED] : 0, received = shared[MQ_RECEIVED];
    struct mq_attr before;
    mq_getattr(queue, &before);
    int result = REAL(mq_send)(queue, text, length, priority);
    if (result == 0 && registered && before.mq_curmsgs == 0 && race("mq_notify_told_twice")) {
        shared[MQ_REGISTERED] = 0;
        window();
        if (received != shared[MQ_RECEIVED])
            sigqueue((pid_t)(registered >> 8), SIGRTMIN + 3, (union sigval){.sival_int = registered & 0xff});
    }
    if (result == 0)
        shared[MQ_SENT]++;
    return result;
}

ssize_t mq_receive(mqd_t queue, char *text, size_t size, unsigned *priority)
{
    if (race("mq_receive_misses_a_message_sent_meanwhile") && waits(queue)) {
        long sent = shared[MQ_SENT];
        ssize_t result = REAL(mq_timedreceive)(queue, text, size, priority, &PAST);
        if (result != -1)
            return result;
        window();
        if (errno == ETIMEDOUT && sent != shared[MQ_SENT])
            return sleep_for_ever();
    }
    long received = shared[MQ_RECEIVED];
    ssize_t result = REAL(mq_receive)(queue, text, size, priority);
    if (result != -1) {
        if (race("mq_receive_gives_a_message_twice")) {
            window();
            if (shared[MQ_RECEIVED] != received)
                REAL(mq_timedsend)(queue, text, (size_t)result, *priority, &PAST);
        }
    }
    shared[MQ_RECEIVED]++;
    return result;
}

int mq_notify(mqd_t queue, const struct sigevent *event)
{
    if (event && race("mq_notify_registers_two")) {
        long registered = shared[MQ_REGISTERED];
        window();
        int result = REAL(mq_notify)(queue, event);
        if (result == 0)
            shared[MQ_REGISTERED]++;
        if (result == -1 && errno == EBUSY && registered != shared[MQ_REGISTERED])
            return 0;
        return result;
    }
    int result = REAL(mq_notify)(queue, event);
    if (result == 0 && event && race("mq_notify_told_twice")) {
        shared[MQ_INODE] = inode(queue);
        shared[MQ_REGISTERED] = ((long)getpid() << 8) | event->sigev_value.sival_int;
    }
    return result;
}
