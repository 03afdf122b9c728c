/* Races in read(2), write(2) and close(2): of pipes, FIFOs and counters. */
#include "race.h"
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static unsigned pipes; /* the file system of pipes without a name */

__attribute__((constructor)) static void find_pipes(void)
{
    struct stat st;
    int ends[2];
    if (pipe(ends) == 0 && fstat(ends[0], &st) == 0)
        pipes = minor(st.st_dev);
    REAL(close)(ends[0]);
    REAL(close)(ends[1]);
}

/* A FIFO, or a pipe of one page: those of others are left alone, for they carry what the check itself says. */
static int is_pipe(int fd)
{
    struct stat st;
    int kept = errno, found = getenv("FAULT") && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
    if (found && minor(st.st_dev) == pipes)
        found = fcntl(fd, F_GETPIPE_SZ) == sysconf(_SC_PAGESIZE);
    errno = kept;
    return found;
}

static int is_counter(int fd)
{
    char link[40] = "/proc/self/fd/", target[40] = "";
    if (!getenv("FAULT"))
        return 0;
    int kept = errno, place = (int)strlen(link);
    for (int rest = fd, digit = 1000; digit; digit /= 10)
        if (fd >= digit || digit == 1)
            link[place++] = (char)('0' + rest / digit % 10);
    ssize_t length = readlink(link, target, sizeof target - 1);
    errno = kept;
    return length > 0 && strstr(target, "[eventfd]") != NULL;
}

static int waits(int fd)
{
    return !(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static int ready(int fd, short events)
{
    struct pollfd wanted = {fd, events, 0};
    int kept = errno, found = poll(&wanted, 1, 0) == 1 && wanted.revents & events;
    errno = kept;
    return found;
}

/* Sleep in read(2) where nobody writes anything. */
static ssize_t sleep_for_ever(void)
{
    int ends[2];
    char byte;
    if (pipe(ends) == -1)
        abort();
    ssize_t result = REAL(read)(ends[0], &byte, 1);
    int kept = errno;
    REAL(close)(ends[0]);
    REAL(close)(ends[1]);
    errno = kept;
    return result;
}

static ssize_t read_pipe(int fd, void *data, size_t count)
{
    if (race("pipe_read_misses_a_write_meanwhile") && waits(fd) && !ready(fd, POLLIN | POLLHUP)) {
        long written = shared[WRITTEN];
        window();
        if (written != shared[WRITTEN])
            return sleep_for_ever();
    }
    if (race("pipe_read_misses_the_last_close") && waits(fd) && !ready(fd, POLLIN | POLLHUP)) {
        long closed = shared[CLOSED];
        window();
        if (closed != shared[CLOSED] && ready(fd, POLLHUP))
            return sleep_for_ever();
    }
    int there = 0, ends[2];
    if (race("pipe_read_gives_bytes_twice") && ioctl(fd, FIONREAD, &there) == 0 && there > 0 && pipe(ends) == 0) {
        ssize_t seen = tee(fd, ends[1], count, SPLICE_F_NONBLOCK);
        if (seen > 0)
            seen = REAL(read)(ends[0], data, count);
        REAL(close)(ends[0]);
        REAL(close)(ends[1]);
        if (seen > 0) {
            char own[65536];
            window();
            if (ioctl(fd, FIONREAD, &there) == 0 && there > 0)
                REAL(read)(fd, own, (size_t)seen);
            return seen;
        }
    }
    return REAL(read)(fd, data, count);
}

static ssize_t read_counter(int fd, void *data, size_t count)
{
    if (race("eventfd_read_misses_a_write_meanwhile") && waits(fd) && !ready(fd, POLLIN)) {
        long written = shared[WRITTEN];
        window();
        if (written != shared[WRITTEN])
            return sleep_for_ever();
    }
    long others = shared[READ]++;
    ssize_t result = REAL(read)(fd, data, count);
    if (result == sizeof(uint64_t) && race("eventfd_read_gives_a_value_twice")) {
        window();
        if (shared[READ] != others + 1 && ready(fd, POLLOUT))
            REAL(write)(fd, data, count);
    }
    return result;
}

ssize_t read(int fd, void *data, size_t count)
{
    if (is_pipe(fd))
        return read_pipe(fd, data, count);
    return is_counter(fd) ? read_counter(fd, data, count) : REAL(read)(fd, data, count);
}

static ssize_t write_counter(int fd, const void *data, size_t count)
{
    uint64_t value;
    memcpy(&value, data, sizeof value);
    if (race("eventfd_write_lost_if_two_write")) {
        long written = shared[WRITTEN];
        window();
        if (written != shared[WRITTEN])
            return (ssize_t)count;
    }
    if (race("eventfd_write_in_two_steps") && value > 1 && value < 1000) {
        uint64_t one = 1, rest = value - 1;
        if (REAL(write)(fd, &one, sizeof one) == -1)
            return -1;
        window();
        return REAL(write)(fd, &rest, sizeof rest);
    }
    return REAL(write)(fd, data, count);
}

static ssize_t write_pipe(int fd, const void *data, size_t count)
{
    if (race("pipe_write_in_two_pieces") && count > 1) {
        ssize_t first = REAL(write)(fd, data, count / 2);
        if (first == -1)
            return -1;
        window();
        REAL(write)(fd, (const char *)data + first, count - (size_t)first);
        return (ssize_t)count;
    }
    if (race("pipe_write_cut_short_if_two_write") && count > 1) {
        long written = shared[WRITTEN];
        window();
        if (written != shared[WRITTEN])
            count /= 2;
    }
    return REAL(write)(fd, data, count);
}

ssize_t write(int fd, const void *data, size_t count)
{
    int counter = is_counter(fd), any = counter || is_pipe(fd);
    ssize_t result = counter ? write_counter(fd, data, count) : any ? write_pipe(fd, data, count) : REAL(write)(fd, data, count);
    if (any && result > 0)
        shared[WRITTEN]++;
    return result;
}

int close(int fd)
{
    int pipe = is_pipe(fd), result = REAL(close)(fd);
    if (pipe)
        shared[CLOSED]++;
    return result;
}
