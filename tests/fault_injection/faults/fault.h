/* A libc with faults: with FAULT=name in the environment one call returns a wrong result, all others are passed on.
 *
 * Loaded with LD_PRELOAD. Each fault is one branch; the table of the same name lists the clauses that must detect it.
 * A function with faults of several mechanisms (open, fcntl, read, write, close) is in descriptor.c, once.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((unused)) static int fault(const char *name)
{
    const char *injected = getenv("FAULT");
    return injected && strcmp(injected, name) == 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Whether a descriptor is a pipe or FIFO; without a fault nothing is examined. */
__attribute__((unused)) static int is_fifo(int fd)
{
    struct stat st;
    return getenv("FAULT") && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* What an open descriptor refers to, as /proc shows it; "" without a fault. */
__attribute__((unused)) static const char *target_of(int fd, char path[256])
{
    int kept = errno;
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = getenv("FAULT") ? REAL(readlink)(link, path, 255) : 0;
    path[length > 0 ? length : 0] = 0;
    errno = kept;
    return path;
}
