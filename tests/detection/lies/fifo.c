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
    if (lie("mkfifo_never_fails"))
        return 0;
    return result;
}

int mkfifoat(int folder, const char *path, mode_t mode)
{
    if (lie("mkfifoat_folder_ignored"))
        folder = AT_FDCWD;
    int at_root = lie("mkfifoat_begins_at_the_root") ? REAL(open)("/", O_PATH | O_DIRECTORY) : -1;
    if (lie("mkfifoat_every_folder_checked") && folder != AT_FDCWD && fcntl(folder, F_GETFD) == -1)
        return -1;
    int result = REAL(mkfifoat)(at_root == -1 ? folder : at_root, path, mode), kept = errno;
    if (at_root != -1)
        close(at_root);
    errno = kept;
    return lie("mkfifo_never_fails") ? 0 : result;
}
