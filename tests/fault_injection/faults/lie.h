/* A libc that lies: with LIE=name in the environment one call answers wrongly, everything else is passed on.
 *
 * Loaded with LD_PRELOAD. Each lie is one branch; the table beside it, of the same name, says which clauses must notice.
 * A function that several mechanisms lie about (open, fcntl, read, write, close) stands in descriptor.c, once.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((unused)) static int lie(const char *name)
{
    const char *told = getenv("LIE");
    return told && strcmp(told, name) == 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Pipes and FIFOs, where a lie is told at all: nothing is looked at otherwise. */
__attribute__((unused)) static int is_fifo(int fd)
{
    struct stat st;
    return getenv("LIE") && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* What an open descriptor refers to, as /proc has it; "" where a lie is not told at all. */
__attribute__((unused)) static const char *target_of(int fd, char path[256])
{
    int kept = errno;
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = getenv("LIE") ? REAL(readlink)(link, path, 255) : 0;
    path[length > 0 ? length : 0] = 0;
    errno = kept;
    return path;
}
