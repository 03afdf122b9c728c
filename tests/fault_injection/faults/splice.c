/* Faults of splice(2), tee(2) and vmsplice(2). */
#include "fault.h"
#include <fcntl.h>
#include <sys/uio.h>

ssize_t splice(int fd_in, off64_t *off_in, int fd_out, off64_t *off_out, size_t len, unsigned flags)
{
    if (fault("splice_copies_only") && is_fifo(fd_in) && is_fifo(fd_out))
        return REAL(tee)(fd_in, fd_out, len, flags);
    if (fault("splice_moves_nothing") && !off_in && !off_out)
        return (ssize_t)len;
    if (fault("splice_offset_ignored"))
        off_in = off_out = NULL;
    if (fault("splice_never_waits"))
        flags |= SPLICE_F_NONBLOCK;
    off64_t in = off_in ? *off_in : 0, out = off_out ? *off_out : 0;
    ssize_t moved = REAL(splice)(fd_in, off_in, fd_out, off_out, len, flags);
    if (fault("splice_offset_stays") && moved > 0) {
        if (off_in)
            *off_in = in;
        if (off_out)
            *off_out = out;
    }
    if (fault("splice_end_is_eagain") && moved == 0) {
        errno = EAGAIN;
        return -1;
    }
    if (fault("splice_refuses_nothing") && moved == -1 && errno != EAGAIN)
        return (ssize_t)len;
    return moved;
}

ssize_t tee(int fd_in, int fd_out, size_t len, unsigned flags)
{
    if (fault("tee_consumes"))
        return REAL(splice)(fd_in, NULL, fd_out, NULL, len, flags);
    if (fault("tee_never_waits"))
        flags |= SPLICE_F_NONBLOCK;
    ssize_t copied = REAL(tee)(fd_in, fd_out, len, flags);
    if (fault("tee_would_always_wait") && copied == 0) {
        errno = EAGAIN;
        return -1;
    }
    if (fault("tee_refuses_nothing") && copied == -1)
        return (ssize_t)len;
    return copied;
}

ssize_t vmsplice(int fd, const struct iovec *iov, size_t count, unsigned flags)
{
    if (fault("vmsplice_first_range_only") && count > 1 && count < 1000)
        count = 1;
    if (fault("vmsplice_too_many_are_cut") && count > 1024)
        count = 1024;
    ssize_t moved = REAL(vmsplice)(fd, iov, count, flags);
    if (fault("vmsplice_counts_one_more") && moved > 0)
        return moved + 1;
    if (fault("vmsplice_never_full") && moved == -1 && errno == EAGAIN)
        return 0;
    if (fault("vmsplice_into_any_file") && moved == -1 && errno == EBADF)
        return 0;
    return moved;
}
