/* The holder of a lock, of each kind that C can take.
 *
 * lock PATH KIND TYPE START LENGTH     KIND is flock, posix, ofd, lockf or lease, TYPE shared or exclusive: take it, waiting
 *                                      for it; hold it until SIGUSR1 (a lease: until it is broken); let go; end at SIGUSR2
 * lock PATH ask TYPE START LENGTH      print the record lock that stands in the way of such a one, or "free"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int failed(const char *call)
{
    perror(call);
    return 1;
}

static void wait_for(int signal)
{
    sigset_t set;
    int received;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigwait(&set, &received);
}

static int place(int fd, const char *kind, int type, off_t start, off_t length)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    if (strcmp(kind, "flock") == 0)
        return flock(fd, type == F_RDLCK ? LOCK_SH : type == F_WRLCK ? LOCK_EX : LOCK_UN);
    if (strcmp(kind, "posix") == 0)
        return fcntl(fd, F_SETLKW, &lock);
    if (strcmp(kind, "ofd") == 0)
        return fcntl(fd, F_OFD_SETLKW, &lock);
    if (strcmp(kind, "lockf") == 0)
        return lseek(fd, start, SEEK_SET) == -1 ? -1 : lockf(fd, type == F_UNLCK ? F_ULOCK : F_LOCK, length);
    if (fcntl(fd, F_SETSIG, SIGUSR1) == -1)
        return -1;
    return fcntl(fd, F_SETLEASE, type);
}

static int ask(int fd, int type, off_t start, off_t length)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    if (fcntl(fd, F_GETLK, &lock) == -1)
        return failed("fcntl");
    if (lock.l_type == F_UNLCK)
        return puts("free") < 0;
    return printf("%s %lld %lld %ld\n", lock.l_type == F_RDLCK ? "shared" : "exclusive", (long long)lock.l_start,
                  (long long)lock.l_len, (long)lock.l_pid) < 0;
}

int main(int count, char **words)
{
    if (count != 6)
        return 2;
    int asks = strcmp(words[2], "ask") == 0, fd = open(words[1], strcmp(words[2], "lease") ? O_RDWR : O_RDONLY);
    if (fd == -1)
        return failed("open");
    int type = strcmp(words[3], "shared") ? F_WRLCK : F_RDLCK;
    off_t start = atoll(words[4]), length = atoll(words[5]);
    if (asks)
        return ask(fd, type, start, length);
    sigset_t both;
    sigemptyset(&both);
    sigaddset(&both, SIGUSR1);
    sigaddset(&both, SIGUSR2);
    sigprocmask(SIG_BLOCK, &both, NULL);
    if (place(fd, words[2], type, start, length) == -1)
        return failed(words[2]);
    wait_for(SIGUSR1);
    if (place(fd, words[2], F_UNLCK, start, length) == -1)
        return failed("unlock");
    wait_for(SIGUSR2);
    return 0;
}
