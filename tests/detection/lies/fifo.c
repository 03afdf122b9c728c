/* Lies about FIFOs. */
#include "lie.h"
#include <fcntl.h>
#include <sys/stat.h>

int mkfifo(const char *path, mode_t mode)
{
    if (lie("mkfifo_umask_ignored")) {
        int result = REAL(mkfifo)(path, mode);
        if (result == 0)
            chmod(path, mode);
        return result;
    }
    if (lie("mkfifo_makes_a_file")) {
        int fd = REAL(open)(path, O_CREAT | O_EXCL | O_RDWR, mode);
        return fd == -1 ? -1 : close(fd);
    }
    int result = REAL(mkfifo)(path, mode);
    if (lie("mkfifo_existing_accepted") && result == -1 && errno == EEXIST)
        return 0;
    return result;
}
