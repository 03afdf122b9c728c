/* Lies about what is done with descriptors of any kind. */
#include "lie.h"
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>

static int is_fifo(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

ssize_t write(int fd, const void *data, size_t count)
{
    if (lie("pipe_write_is_cut") && is_fifo(fd) && count > 100)
        count = 100;
    ssize_t result = REAL(write)(fd, data, count);
    if (lie("pipe_epipe_hidden") && result == -1 && errno == EPIPE)
        return (ssize_t)count;
    return result;
}

/* lock.c */
int lock_fcntl(int fd, int command, long arg, int *known);
int lock_flags(int flags);
int lock_opened(int fd, int flags);

/* proc.c */
const char *proc_path(const char *path);

static int fcntl_arg(int fd, int command, long arg)
{
    int is_lock, answer = lock_fcntl(fd, command, arg, &is_lock);
    if (is_lock)
        return answer;
    if (lie("setpipe_sz_does_nothing") && command == F_SETPIPE_SZ && arg >= 0)
        return (int)arg;
    if (command == F_ADD_SEALS && lie("add_seals_does_nothing"))
        return 0;
    if (command == F_ADD_SEALS && lie("add_seals_is_never_the_last"))
        arg &= ~F_SEAL_SEAL;
    if (command == F_ADD_SEALS && lie("add_seals_unknown_ignored"))
        arg &= 0x3f;
    int result = REAL(fcntl)(fd, command, arg);
    if (command == F_GET_SEALS && result >= 0 && lie("get_seals_tells_none"))
        return 0;
    if (command == F_GET_SEALS && result == -1 && lie("get_seals_everywhere"))
        return 0;
    return result;
}

int fcntl(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    long arg = va_arg(list, long);
    va_end(list);
    return fcntl_arg(fd, command, arg);
}

int fcntl64(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    long arg = va_arg(list, long);
    va_end(list);
    return fcntl_arg(fd, command, arg);
}

static int path_flags(int dirfd, const char *path, int flags)
{
    struct stat st;
    if (fstatat(dirfd, path, &st, 0) == -1 || !S_ISFIFO(st.st_mode))
        return lock_flags(flags);
    int access = flags & O_ACCMODE;
    if (lie("fifo_open_returns_at_once") && access != O_RDWR && !(flags & O_NONBLOCK))
        return (flags & ~O_ACCMODE) | O_RDWR;
    if (lie("fifo_nonblock_writer_needs_no_reader") && access == O_WRONLY && flags & O_NONBLOCK)
        return (flags & ~O_ACCMODE) | O_RDWR;
    if (lie("fifo_nonblock_ignored"))
        return flags & ~O_NONBLOCK;
    return flags;
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
    return lock_opened(REAL(open)(proc_path(path), path_flags(AT_FDCWD, path, flags), mode), flags);
}

int open64(const char *path, int flags, ...)
{
    OPEN_MODE(flags)
    return lock_opened(REAL(open64)(proc_path(path), path_flags(AT_FDCWD, path, flags), mode), flags);
}
