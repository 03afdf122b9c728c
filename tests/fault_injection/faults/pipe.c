/* Faults of pipes and of the data in FIFOs; descriptor.c, which has read(), write() and fcntl(), calls these. */
#include "fault.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int failed(int number)
{
    errno = number;
    return -1;
}

/* Make the new pipe another pair of descriptors of the one before, if that is open still: its numbers may be something else's. */
static void be_the_last_one(int fds[2], int flags)
{
    static struct stat made;
    static int last[2];
    struct stat now[2];
    if (made.st_ino && fstat(last[0], &now[0]) == 0 && fstat(last[1], &now[1]) == 0 && now[0].st_ino == made.st_ino &&
        now[1].st_ino == made.st_ino)
        dup3(last[0], fds[0], flags), dup3(last[1], fds[1], flags);
    last[0] = fds[0], last[1] = fds[1];
    if (fstat(fds[0], &made) == -1)
        made.st_ino = 0;
}

static int make(int fds[2], int flags)
{
    if (fault("pipe_two_way"))
        return socketpair(AF_UNIX, SOCK_STREAM | (flags & O_CLOEXEC ? SOCK_CLOEXEC : 0) | (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0),
                          0, fds);
    if (fault("pipe2_nonblock_ignored"))
        flags &= ~O_NONBLOCK;
    if (fault("pipe2_cloexec_ignored"))
        flags &= ~O_CLOEXEC;
    if (fault("pipe2_any_flag_accepted"))
        flags &= O_NONBLOCK | O_CLOEXEC | O_DIRECT;
    if (fault("pipe_keeps_packets"))
        flags |= O_DIRECT;
    if (fault("pipe_keeps_no_packets"))
        flags &= ~O_DIRECT;
    int result = REAL(pipe2)(fds, flags);
    if (result == -1) {
        if (fault("pipe_errors_are_eio"))
            errno = EIO;
        if (fault("pipe_error_closes_something") && errno != EFAULT)
            fds[0] = fds[1] = -1;
        return -1;
    }
    if (fault("pipe_ends_swapped")) {
        int first = fds[0];
        fds[0] = fds[1], fds[1] = first;
    }
    if (fault("pipe_is_always_the_same"))
        be_the_last_one(fds, flags & O_CLOEXEC);
    return 0;
}

int pipe2(int fds[2], int flags)
{
    return make(fds, flags);
}

int pipe(int fds[2])
{
    return make(fds, fault("pipe_sets_flags") ? O_CLOEXEC | O_NONBLOCK : 0);
}

static int unread(int fd)
{
    int count = 0;
    REAL(ioctl)(fd, FIONREAD, &count);
    return count;
}

static int polls(int fd, short events)
{
    struct pollfd asked = {fd, events, 0};
    return REAL(poll)(&asked, 1, 0) == 1;
}

static void sigio(void)
{
    struct sigaction action;
    if (fault("pipe_sigio_at_every_call") && sigaction(SIGIO, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
        kill(getpid(), SIGIO);
}

ssize_t pipe_read(int fd, void *data, size_t count)
{
    if (fault("pipe_read_of_nothing_fails") && count == 0)
        return failed(EINVAL);
    if (fault("pipe_read_never_waits") && !polls(fd, POLLIN))
        return failed(EAGAIN);
    if (fault("pipe_read_wants_all") && unread(fd) > 0 && (size_t)unread(fd) < count)
        return failed(EAGAIN);
    ssize_t result = REAL(read)(fd, data, count);
    if (fault("pipe_end_is_eagain") && result == 0 && count > 0)
        return failed(EAGAIN);
    if (fault("pipe_empty_is_the_end") && result == -1 && errno == EAGAIN)
        return 0;
    if (fault("pipe_read_garbles"))
        for (ssize_t i = 0; i < result; i++)
            ((char *)data)[i] &= ~1;
    sigio();
    return result;
}

/* Without its SIGPIPE. */
static ssize_t quiet_write(int fd, const void *data, size_t count)
{
    sigset_t sigpipe, before;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
    ssize_t result = REAL(write)(fd, data, count);
    int kept = errno;
    if (result == -1 && kept == EPIPE)
        sigtimedwait(&sigpipe, NULL, &(const struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result == -1 && kept == EPIPE && fault("pipe_sigpipe_is_the_process_s"))
        kill(getpid(), SIGPIPE);
    errno = kept;
    return result;
}

static ssize_t nonblocking_write(int fd, const void *data, size_t count)
{
    int flags = REAL(fcntl)(fd, F_GETFL);
    REAL(fcntl)(fd, F_SETFL, flags | O_NONBLOCK);
    ssize_t result = REAL(write)(fd, data, count);
    int kept = errno;
    REAL(fcntl)(fd, F_SETFL, flags);
    errno = kept;
    return result;
}

ssize_t pipe_write(int fd, const void *data, size_t count)
{
    if (fault("pipe_write_of_nothing_fails") && count == 0)
        return failed(EPIPE);
    if (fault("pipe_write_is_cut") && count > 100)
        count = 100;
    if (fault("pipe_write_is_whole_or_not") && REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK &&
        count > (size_t)(REAL(fcntl)(fd, F_GETPIPE_SZ) - unread(fd)))
        return failed(EAGAIN);
    if (fault("pipe_write_never_waits"))
        return nonblocking_write(fd, data, count);
    if (fault("pipe_sigpipe_never_comes") || fault("pipe_sigpipe_is_the_process_s"))
        return quiet_write(fd, data, count);
    ssize_t result = REAL(write)(fd, data, count);
    if (fault("pipe_epipe_hidden") && result == -1 && errno == EPIPE)
        return (ssize_t)count;
    if (fault("pipe_full_write_is_lost") && result == -1 && errno == EAGAIN)
        return (ssize_t)count;
    if (fault("pipe_interrupted_write_fails") && result > 0 && (size_t)result < count && !(REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK))
        return failed(EINTR);
    sigio();
    return result;
}

/* fcntl(2) with F_SETPIPE_SZ or F_GETPIPE_SZ. */
int pipe_size(int fd, int command, long size)
{
    long before = REAL(fcntl)(fd, F_GETPIPE_SZ);
    if (command == F_SETPIPE_SZ && size >= 0 && fault("setpipe_sz_does_nothing"))
        return (int)size;
    if (command == F_SETPIPE_SZ && size >= 0 && size < before && fault("setpipe_sz_never_shrinks"))
        return (int)before;
    int result = REAL(fcntl)(fd, command, size);
    if (command == F_SETPIPE_SZ && result != -1 && fault("setpipe_sz_is_exact"))
        return (int)size;
    if (command == F_SETPIPE_SZ && result == -1 && fault("setpipe_sz_never_fails"))
        return (int)size;
    if (command == F_GETPIPE_SZ && result != -1 && fault("getpipe_sz_is_half"))
        return result / 2;
    return result;
}

/* poll(2), from process.c. */
int pipe_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    if (fault("poll_always_ready") && count == 1 && is_fifo(fds->fd))
        return fds->revents = fds->events, 1;
    int result = REAL(poll)(fds, count, timeout);
    for (nfds_t i = 0; result > 0 && i < count; i++) {
        short hidden = fault("poll_tells_no_hangup") ? POLLHUP : fault("poll_tells_no_error") ? POLLERR : 0;
        if (fds[i].revents & hidden && is_fifo(fds[i].fd) && (fds[i].revents &= ~hidden) == 0)
            result--;
    }
    return result;
}

#define NO_PLACE(name, type) \
    type name(int fd, type place, int whence) \
    { \
        type result = REAL(name)(fd, place, whence); \
        return result == -1 && fault("pipe_has_a_place") && is_fifo(fd) ? 0 : result; \
    }

NO_PLACE(lseek, off_t)
#ifdef __GLIBC__
NO_PLACE(lseek64, off64_t) /* elsewhere it is another name of the first */
#endif
