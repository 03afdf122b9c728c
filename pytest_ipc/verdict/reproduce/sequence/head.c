#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <grp.h>

union semun { int val; struct semid_ds *buf; unsigned short *array; struct seminfo *info; };

/* Shared by all processes. */
static volatile struct {
    long value[VALUES + 1];
    long result[STEPS];
    int error[STEPS];
    int begun[STEPS], done[STEPS];
    pid_t pid[ROLES];
    int ended[ROLES];
    int other; /* a step before the deviation had another outcome than observed: its number, from 1 */
    int deviates, measured;
} *s;

/* The steps have numbers in the order in which they were observed to begin; s->begun and s->done are for waiting. */

static void pause_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) {}
}

static void clean_up(void);

static void finish(int status)
{
    clean_up();
    fflush(stdout);
    _exit(status);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Wait for a word of another process, for at most `seconds`. */
__attribute__((unused)) static int comes(volatile int *word, double seconds)
{
    for (double until = now() + seconds; !*word && now() < until;)
        pause_ms(1);
    return *word;
}

/* Wait until a step of another process has returned. */
__attribute__((unused)) static void after(int step)
{
    if (comes(&s->done[step], 10))
        return;
    if (!s->measured)
        printf("step %d did not return: not judged\n", step + 1);
    finish(s->measured ? s->deviates : 2);
}

/* Wait until a step of another process sleeps in its call, or has returned. */
__attribute__((unused)) static void asleep(int step)
{
    if (comes(&s->begun[step], 10))
        comes(&s->done[step], 0.3);
}

/* A call of which `expected` is the errno that was observed, 0 for success. */
#define CALL(step, expected, failed, call) do { \
    s->begun[step] = 1; \
    errno = 0; \
    long r_ = (long)(call); \
    s->error[step] = r_ == (failed) ? errno : 0; \
    s->result[step] = r_; \
    if ((s->error[step] != 0) != ((expected) != 0) && (step) != MEASURED && !s->other) \
        s->other = (step) + 1; \
    s->done[step] = 1; \
} while (0)

__attribute__((unused)) static struct timespec in_time(double seconds)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    double when = (double)t.tv_sec + (double)t.tv_nsec / 1e9 + seconds;
    t.tv_sec = (time_t)when;
    t.tv_nsec = (long)((when - (double)t.tv_sec) * 1e9);
    return t;
}

__attribute__((unused)) static volatile sig_atomic_t caught;

__attribute__((unused)) static void handler(int signo)
{
    (void)signo;
    caught++;
}
