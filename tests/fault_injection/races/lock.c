/* Races in file locks and leases. */
#include "race.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

static int a_file(void)
{
    char name[64];
    snprintf(name, sizeof name, "/tmp/race-%d-%d", getpid(), (int)gettid());
    int fd = open(name, O_RDWR | O_CREAT, 0600), other = open(name, O_RDWR);
    unlink(name);
    if (flock(other, LOCK_EX) == -1)
        abort();
    return fd;
}

/* Wait in fcntl(2) or flock(2) for what this thread holds itself by another description. */
static int sleep_for_ever(int whole)
{
    int fd = a_file(), other = -1, result;
    if (whole)
        result = REAL(flock)(fd, LOCK_EX);
    else {
        char path[40];
        struct flock all = {.l_type = F_WRLCK};
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        other = open(path, O_RDWR);
        REAL(fcntl)(other, F_OFD_SETLK, &all);
        result = REAL(fcntl)(fd, F_OFD_SETLKW, &all);
    }
    int kept = errno;
    close(fd);
    if (other != -1)
        close(other);
    errno = kept;
    return result;
}

static int set_lock(int fd, int command, struct flock *lock)
{
    int waits = command == F_SETLKW || command == F_OFD_SETLKW;
    int now = command == F_SETLKW ? F_SETLK : command == F_OFD_SETLKW ? F_OFD_SETLK : command;
    if (!waits && lock->l_type != F_UNLCK && race("fcntl_lock_given_to_two")) {
        struct flock asked = *lock;
        if (REAL(fcntl)(fd, now == F_SETLK ? F_GETLK : F_OFD_GETLK, &asked) == 0 && asked.l_type != F_UNLCK) {
            errno = EAGAIN;
            return -1;
        }
        window();
        REAL(fcntl)(fd, now, lock);
        return 0;
    }
    if (lock->l_len > 1 && race("fcntl_range_locked_byte_by_byte")) {
        for (off_t byte = lock->l_start; byte < lock->l_start + lock->l_len; byte++) {
            struct flock one = {.l_type = lock->l_type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
            if (REAL(fcntl)(fd, command, &one) == -1)
                return -1;
            window();
        }
        return 0;
    }
    if (waits && lock->l_type != F_UNLCK && race("fcntl_wait_misses_an_unlock")) {
        long unlocked = shared[UNLOCKED];
        if (REAL(fcntl)(fd, now, lock) == 0)
            return 0;
        window();
        if (unlocked != shared[UNLOCKED])
            return sleep_for_ever(0);
    }
    int result = REAL(fcntl)(fd, command, lock);
    if (result == -1 && errno == EDEADLK && race("fcntl_deadlock_not_found"))
        return sleep_for_ever(0);
    if (result == 0 && lock->l_type == F_UNLCK)
        shared[UNLOCKED]++;
    return result;
}

int fcntl(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    long arg = va_arg(list, long);
    va_end(list);
    if (command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW)
        return set_lock(fd, command, (struct flock *)arg);
    int result = REAL(fcntl)(fd, command, arg);
    if (command == F_SETLEASE && arg == F_WRLCK && result == -1 && errno == EAGAIN && race("lease_beside_another_opener")) {
        window();
        result = 0;
    }
    return result;
}

int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));

int flock(int fd, int operation)
{
    int waits = !(operation & LOCK_NB) && operation != LOCK_UN;
    if (!waits && operation != LOCK_UN && race("flock_given_to_two")) {
        int result = REAL(flock)(fd, operation);
        if (result == -1 && errno == EWOULDBLOCK) {
            long unlocked = shared[UNLOCKED];
            window();
            if (unlocked == shared[UNLOCKED])
                return 0;
        }
        return result;
    }
    if (waits && race("flock_misses_an_unlock")) {
        long unlocked = shared[UNLOCKED];
        if (REAL(flock)(fd, operation | LOCK_NB) == 0)
            return 0;
        window();
        if (unlocked != shared[UNLOCKED])
            return sleep_for_ever(1);
    }
    int result = REAL(flock)(fd, operation);
    if (operation == LOCK_UN)
        shared[UNLOCKED]++;
    return result;
}
