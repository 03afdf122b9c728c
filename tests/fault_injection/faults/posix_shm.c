/* Faults of POSIX shared memory. */
#include "fault.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* What a call answers: for one errno another. */
static int told(int result)
{
    if (result == -1 && fault("shm_open_errors_are_eio"))
        errno = EIO;
    return result;
}

/* The name that an object has in /dev/shm in the place of its own. */
static const char *hidden(const char *name)
{
    static char other[300];
    snprintf(other, sizeof other, "/hidden%s", name + 1);
    return other;
}

int shm_open(const char *name, int flags, mode_t mode)
{
    char other[300];
    if (fault("shm_open_hides_the_name"))
        name = hidden(name);
    if (fault("shm_open_excl_ignored"))
        flags &= ~O_EXCL;
    if (fault("shm_open_trunc_ignored"))
        flags &= ~O_TRUNC;
    if (fault("shm_open_creates_without_creat"))
        flags |= O_CREAT | (flags & O_ACCMODE ? 0 : O_RDWR);
    if (fault("shm_open_rdonly_is_rdwr") && (flags & O_ACCMODE) == O_RDONLY)
        flags |= O_RDWR;
    if (fault("shm_open_mode_and_umask_ignored")) {
        mode_t mask = umask(0);
        int fd = REAL(shm_open)(name, flags, 0666);
        umask(mask);
        return fd;
    }
    if (fault("shm_open_another_each_time") && !(flags & O_EXCL)) {
        int fd = REAL(memfd_create)("other", MFD_CLOEXEC);
        return REAL(ftruncate)(fd, 4096) == 0 ? fd : -1;
    }
    if (fault("shm_open_inner_slash_accepted") && strlen(name) < sizeof other && strchr(name, '/') && name[1]) {
        strcpy(other, name);
        for (char *at = other + 1; *at; at++)
            if (*at == '/')
                *at = '-';
        int fd = REAL(shm_open)(other, flags, mode);
        if (fd >= 0 && strcmp(other, name) != 0)
            REAL(shm_unlink)(other);
        return fd;
    }
    if (fault("shm_open_long_name_cut") && strlen(name) > 255) {
        memcpy(other, name, 200);
        other[200] = 0;
        int fd = REAL(shm_open)(other, flags, mode);
        REAL(shm_unlink)(other);
        return fd;
    }
    int fd = REAL(shm_open)(name, flags, mode);
    if (fault("shm_open_begins_with_a_page") && fd >= 0 && flags & O_EXCL && REAL(ftruncate)(fd, 4096) == -1)
        return -1;
    if (fault("shm_open_no_cloexec") && fd >= 0)
        fcntl(fd, F_SETFD, 0);
    if (fault("shm_open_highest_descriptor") && fd >= 0) {
        int high = fcntl(fd, F_DUPFD_CLOEXEC, fd + 50);
        close(fd);
        return high;
    }
    return told(fd);
}

int shm_unlink(const char *name)
{
    /* The second time it is done after all, so that nothing is left of what the test has made. */
    static char names[8][300];
    static int count;
    if (fault("shm_open_hides_the_name"))
        name = hidden(name);
    if (fault("shm_unlink_does_nothing")) {
        for (int i = 0; i < count; i++)
            if (strcmp(names[i], name) == 0)
                return REAL(shm_unlink)(name);
        if (count < 8 && strlen(name) < sizeof names[0])
            strcpy(names[count++], name);
        return 0;
    }
    if (fault("shm_unlink_empties")) {
        int fd = REAL(shm_open)(name, O_RDWR | O_TRUNC, 0);
        if (fd >= 0)
            close(fd);
    }
    int result = REAL(shm_unlink)(name);
    if (fault("shm_unlink_missing_is_no_error") && result == -1 && errno == ENOENT)
        return 0;
    return told(result);
}
