/* A libc with races: with FAULT=name in the environment one call is not atomic, or loses a process, during other calls.
 *
 * Loaded with LD_PRELOAD. Each race is one branch, with a window of one sched_yield in which other processes may run
 * between two steps. `shared`, common to all processes of a check, holds the state that a kernel keeps in its memory.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MSG_SENT, MSG_TAKEN, MSG_REMOVED, SEM_CHANGED, SEM_REMOVED, MQ_SENT, MQ_RECEIVED, MQ_REGISTERED, MQ_INODE,
    POSTED, READ, WRITTEN, CLOSED, SENT, RECEIVED, SHUT, WOKEN, LOCKED, UNLOCKED, MUTEX_OF_COND, ARRIVED, LEFT, QUEUED, TAKEN,
    ATTACHED, MISCOUNTED, KILLED, WORDS = 64
};

extern atomic_long *shared; /* WORDS words, and only ever counted up: a process may be killed at any time */

__attribute__((unused)) static int race(const char *name)
{
    const char *injected = getenv("FAULT");
    return injected && strcmp(injected, name) == 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* What the others may use. errno is kept. */
__attribute__((unused)) static void window(void)
{
    int kept = errno;
    sched_yield();
    errno = kept;
}
