/* Faults of namespaces and capabilities. */
#include "fault.h"
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>

int unshare(int flags)
{
    if (fault("unshare_moves_nobody"))
        return 0;
    if (fault("unshare_zero_refused") && flags == 0) {
        errno = EINVAL;
        return -1;
    }
    if (fault("unshare_any_flag"))
        flags &= ~0x40;
    int result = REAL(unshare)(flags);
    if (fault("unshare_needs_no_privilege") && result == -1 && errno == EPERM)
        return 0;
    if (fault("unshare_with_threads") && result == -1 && errno == EINVAL && flags == CLONE_NEWUSER)
        return 0;
    return result;
}

static char told[64]; /* the IPC namespace that setns() claims to have entered */

ssize_t readlink(const char *path, char *target, size_t size)
{
    ssize_t length = REAL(readlink)(path, target, size);
    if (length > 0 && *told && fault("setns_only_says_so") && strncmp(target, told, 4) == 0)
        memcpy(target, told, length = (ssize_t)strlen(told));
    return length;
}

int setns(int fd, int nstype)
{
    char path[256];
    if (fault("setns_only_says_so")) {
        if (strncmp(target_of(fd, path), "ipc:", 4) == 0)
            strcpy(told, path);
        return 0;
    }
    if (fault("setns_moves_nobody"))
        return 0;
    if (fault("setns_joins_a_new_one") && strncmp(target_of(fd, path), "ipc:", 4) == 0)
        return REAL(unshare)(CLONE_NEWIPC);
    if (fault("setns_type_ignored") && nstype == CLONE_NEWUTS)
        nstype = 0;
    if (fault("setns_needs_a_type") && nstype == 0) {
        errno = EINVAL;
        return -1;
    }
    int result = REAL(setns)(fd, nstype);
    if (result == -1) {
        if (fault("setns_wrong_errno") && errno == EBADF)
            errno = EINVAL;
        if (fault("setns_any_file") && errno == EINVAL)
            return 0;
        if (fault("setns_needs_no_privilege") && errno == EPERM)
            return 0;
        if (fault("setns_dead_process") && errno == ESRCH)
            return 0;
    }
    return result;
}

/* Whoever has a descriptor of a namespace keeps it. */
int close(int fd)
{
    char path[256];
    if (fault("ipc_namespace_outlives_its_members") && strncmp(target_of(fd, path), "ipc:", 4) == 0)
        return 0;
    return REAL(close)(fd);
}

/* A header, and two of effective, permitted and inheritable. No header of libc declares it. */
int capget(void *header, uint32_t *data);
int capget(void *header, uint32_t *data)
{
    int result = REAL(capget)(header, data);
    if (result == 0 && fault("capget_lower_half"))
        data[3] = data[4] = data[5] = 0;
    return result;
}
