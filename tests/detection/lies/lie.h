/* A libc that lies: with LIE=name in the environment one call answers wrongly, everything else is passed on.
 *
 * Loaded with LD_PRELOAD. Each lie is one branch; the table beside it, of the same name, says which clauses must notice.
 * A function that several mechanisms lie about (open, fcntl, read, write, close) stands in descriptor.c, once.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((unused)) static int lie(const char *name)
{
    const char *told = getenv("LIE");
    return told && strcmp(told, name) == 0;
}

/* Pipes and FIFOs, where a lie is told at all: nothing is looked at otherwise. */
__attribute__((unused)) static int is_fifo(int fd)
{
    struct stat st;
    return getenv("LIE") && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
