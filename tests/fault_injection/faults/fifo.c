/* Faults of FIFOs: creation, and opening for descriptor.c, which has open(). pipe.c has the faults of their data. */
#include "fault.h"
#include <fcntl.h>

int mkfifo(const char *path, mode_t mode)
{
    if (fault("mkfifo_needs_privilege") && geteuid() != 0) {
        errno = EPERM;
        return -1;
    }
    if (fault("mkfifo_umask_ignored")) {
        int result = REAL(mkfifo)(path, mode);
        if (result == 0)
            chmod(path, mode);
        return result;
    }
    if (fault("mkfifo_makes_a_file")) {
        int fd = REAL(open)(path, O_CREAT | O_EXCL | O_RDWR, mode);
        return fd == -1 ? -1 : close(fd);
    }
    int result = REAL(mkfifo)(path, mode);
    if (fault("mkfifo_existing_accepted") && result == -1 && errno == EEXIST)
        return 0;
    if (fault("mkfifo_never_fails"))
        return 0;
    return result;
}

int mkfifoat(int folder, const char *path, mode_t mode)
{
    if (fault("mkfifoat_folder_ignored"))
        folder = AT_FDCWD;
    int at_root = fault("mkfifoat_begins_at_the_root") ? REAL(open)("/", O_PATH | O_DIRECTORY) : -1;
    if (fault("mkfifoat_every_folder_checked") && folder != AT_FDCWD && fcntl(folder, F_GETFD) == -1)
        return -1;
    int result = REAL(mkfifoat)(at_root == -1 ? folder : at_root, path, mode), kept = errno;
    if (at_root != -1)
        close(at_root);
    errno = kept;
    return fault("mkfifo_never_fails") ? 0 : result;
}

static int names_a_fifo(const char *path)
{
    struct stat st;
    return getenv("FAULT") && stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* With which flags it is really opened. */
/* lock.c */
int lock_flags(int flags);

int fifo_flags(const char *path, int flags)
{
    if (!names_a_fifo(path))
        return lock_flags(flags);
    int access = flags & O_ACCMODE;
    if (fault("fifo_open_returns_at_once") && access != O_RDWR && !(flags & O_NONBLOCK))
        return (flags & ~O_ACCMODE) | O_RDWR;
    if (fault("fifo_nonblock_writer_needs_no_reader") && access == O_WRONLY && flags & O_NONBLOCK)
        return (flags & ~O_ACCMODE) | O_RDWR;
    return flags;
}

/* Take out what is in it; whether it has a writer. */
static int emptied(const char *path)
{
    char data[4096];
    ssize_t count;
    int fd = REAL(open)(path, O_RDONLY | O_NONBLOCK);
    while ((count = REAL(read)(fd, data, sizeof data)) > 0)
        ;
    close(fd);
    return count == -1;
}

/* What the open has come to. */
int fifo_opened(int fd, const char *path, int flags)
{
    int access = flags & O_ACCMODE, kept = errno;
    if (!names_a_fifo(path)) {
        errno = kept;
        return fd;
    }
    if (fd == -1 && kept == EACCES && fault("fifo_mode_ignored"))
        return REAL(open)("/dev/null", flags);
    if (fd != -1 && ((access == O_RDONLY && fault("fifo_reader_begins_anew")) || (flags & O_TRUNC && fault("fifo_is_truncated"))))
        emptied(path);
    if (fd != -1 && access == O_RDONLY && flags & O_NONBLOCK && fault("fifo_nonblock_reader_needs_a_writer") && !emptied(path)) {
        close(fd);
        errno = ENXIO;
        return -1;
    }
    if (fd != -1 && access == O_RDWR && fault("fifo_both_ways_is_to_write")) {
        int writer = REAL(open)(path, O_WRONLY | (flags & (O_NONBLOCK | O_CLOEXEC)));
        close(fd);
        return writer;
    }
    errno = kept;
    return fd;
}

#define TRUNCATE(name, type) \
    int name(const char *path, type length) \
    { \
        int result = REAL(name)(path, length); \
        return result == -1 && fault("truncate_never_fails") ? 0 : result; \
    }

TRUNCATE(truncate, off_t)
#ifdef __GLIBC__
TRUNCATE(truncate64, off64_t) /* elsewhere it is another name of the first */
#endif
