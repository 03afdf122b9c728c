/* Faults of the memory of other processes: process_vm_readv(2), process_vm_writev(2). */
#include "fault.h"
#include <sys/uio.h>

typedef ssize_t transfer(pid_t, const struct iovec *, unsigned long, const struct iovec *, unsigned long, unsigned long);

static ssize_t refused(int error)
{
    errno = error;
    return -1;
}

static ssize_t total(const struct iovec *ranges, unsigned long count)
{
    ssize_t sum = 0;
    while (count--)
        sum += ranges[count].iov_len;
    return sum;
}

static ssize_t moved(transfer *real, pid_t pid, const struct iovec *local, unsigned long locals, const struct iovec *remote,
                     unsigned long remotes, unsigned long flags)
{
    struct iovec backwards[16];
    ssize_t asked = getenv("FAULT") && remotes < 16 ? total(remote, remotes) : -1;
    if (fault("process_vm_is_refused"))
        return refused(EPERM);
    if (fault("process_vm_is_one_s_own"))
        pid = getpid();
    if (fault("process_vm_takes_the_first_range_only"))
        locals = remotes = 1;
    if (fault("process_vm_goes_backwards") && locals < 16) {
        for (unsigned long i = 0; i < locals; i++)
            backwards[i] = local[locals - 1 - i];
        local = backwards;
    }
    ssize_t result = real(pid, local, locals, remote, remotes, flags);
    if (result == -1 && fault("process_vm_never_fails"))
        return 0;
    if (result >= 0 && result < asked && fault("process_vm_moves_all_or_nothing"))
        return refused(EFAULT);
    if (result >= 0 && asked >= 0 && fault("process_vm_counts_what_was_asked_for"))
        return asked;
    return result;
}

ssize_t process_vm_readv(pid_t pid, const struct iovec *local, unsigned long locals, const struct iovec *remote,
                         unsigned long remotes, unsigned long flags)
{
    return moved(REAL(process_vm_readv), pid, local, locals, remote, remotes, flags);
}

ssize_t process_vm_writev(pid_t pid, const struct iovec *local, unsigned long locals, const struct iovec *remote,
                          unsigned long remotes, unsigned long flags)
{
    return moved(REAL(process_vm_writev), pid, local, locals, remote, remotes, flags);
}
