/* Faults of descriptors of any kind. */
#include "fault.h"
#include <fcntl.h>
#include <stdarg.h>

/* pipe.c */
ssize_t pipe_read(int fd, void *data, size_t count);
ssize_t pipe_write(int fd, const void *data, size_t count);
int pipe_size(int fd, int command, long size);

/* fifo.c */
int fifo_flags(const char *path, int flags);
int fifo_opened(int fd, const char *path, int flags);

/* proc.c */
ssize_t proc_read(int fd, const char *path, void *data, size_t count);
ssize_t proc_write(int fd, const void *data, size_t count);
const char *proc_path(const char *path);

/* sigwait.c */
ssize_t signalfd_read(int fd, void *data, size_t count);

/* process.c */
int tty_opened(int fd, const char *path);

/* What a call that a handler may have interrupted has come to. */
static long came_to(long result)
{
    if (result == -1 && errno == EINTR && fault("interrupted_calls_are_eagain"))
        errno = EAGAIN;
    return result;
}

ssize_t read(int fd, void *data, size_t count)
{
    char path[256];
    target_of(fd, path);
    if (is_fifo(fd))
        return came_to(pipe_read(fd, data, count));
    if (strcmp(path, "anon_inode:[signalfd]") == 0)
        return signalfd_read(fd, data, count);
    ssize_t result = proc_read(fd, path, data, count);
    return result == -1 && errno == EINVAL && fault("read_invalid_is_the_end") ? 0 : came_to(result);
}

ssize_t write(int fd, const void *data, size_t count)
{
    return came_to(is_fifo(fd) ? pipe_write(fd, data, count) : proc_write(fd, data, count));
}

/* lock.c */
int lock_fcntl(int fd, int command, long arg, int *known);
int lock_opened(int fd, int flags);

static int fcntl_arg(int fd, int command, long arg)
{
    int is_lock, answer = lock_fcntl(fd, command, arg, &is_lock);
    if (is_lock)
        return answer;
    if (command == F_SETPIPE_SZ || command == F_GETPIPE_SZ)
        return pipe_size(fd, command, arg);
    if (command == F_ADD_SEALS && fault("add_seals_does_nothing"))
        return 0;
    if (command == F_ADD_SEALS && fault("add_seals_is_never_the_last"))
        arg &= ~F_SEAL_SEAL;
    if (command == F_ADD_SEALS && fault("add_seals_unknown_ignored"))
        arg &= 0x3f;
    int result = REAL(fcntl)(fd, command, arg);
    if (command == F_GET_SEALS && result >= 0 && fault("get_seals_tells_none"))
        return 0;
    if (command == F_GET_SEALS && result == -1 && fault("get_seals_everywhere"))
        return 0;
    return result;
}

int fcntl(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    long arg = va_arg(list, long);
    va_end(list);
    return (int)came_to(fcntl_arg(fd, command, arg));
}

int fcntl64(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    long arg = va_arg(list, long);
    va_end(list);
    return (int)came_to(fcntl_arg(fd, command, arg));
}

#define OPEN_MODE(flags) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { \
        va_list list; \
        va_start(list, flags); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    }

int open(const char *path, int flags, ...)
{
    OPEN_MODE(flags)
    int fd = REAL(open)(proc_path(path), fifo_flags(path, flags), mode);
    return lock_opened(tty_opened(fifo_opened((int)came_to(fd), path, flags), path), flags);
}

int open64(const char *path, int flags, ...)
{
    OPEN_MODE(flags)
    int fd = REAL(open64)(proc_path(path), fifo_flags(path, flags), mode);
    return lock_opened(tty_opened(fifo_opened((int)came_to(fd), path, flags), path), flags);
}
