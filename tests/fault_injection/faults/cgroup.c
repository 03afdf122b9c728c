/* Faults of control groups, which are files and directories; descriptor.c, which has read() and write(), calls these. */
#include "fault.h"
#include <fcntl.h>

static int ends(const char *path, const char *end)
{
    size_t length = strlen(path), count = strlen(end);
    return length >= count && strcmp(path + length - count, end) == 0;
}

/* Where one cgroup is let run those above it are, too. */
static void thaw_those_above(const char *path)
{
    char other[600];
    for (const char *up = "../"; strlen(up) <= 6; up = "../../") {
        snprintf(other, sizeof other, "%.*s/%scgroup.freeze", (int)(strrchr(path, '/') - path), path, up);
        int fd = REAL(open)(other, O_WRONLY | O_CLOEXEC);
        if (fd != -1 && REAL(write)(fd, "0", 1) == 1)
            close(fd);
        if (up[3])
            return;
    }
}

static int is_to_be_frozen; /* by what this process has written last */

/* How much of the data is taken for written without being so; -1 where they are to be written. */
ssize_t cgroup_write(int fd, const char *data, size_t count)
{
    char path[256];
    if (!ends(target_of(fd, path), "/cgroup.freeze") && !ends(path, "/cgroup.kill") && !ends(path, "/cgroup.procs") &&
        !strstr(path, "/cgroup.max."))
        return -1;
    int freezes = ends(path, "/cgroup.freeze"), stop = count && *data != '0';
    if (freezes)
        is_to_be_frozen = stop;
    if (freezes && !stop && fault("cgroup_thaw_thaws_those_above"))
        thaw_those_above(path);
    if (((fault("cgroup_freeze_does_nothing") || fault("cgroup_freeze_is_only_reported")) && freezes && stop) || (fault("cgroup_thaw_does_nothing") && freezes && !stop) ||
        (fault("cgroup_kill_does_nothing") && ends(path, "/cgroup.kill")) ||
        (fault("cgroup_moves_nobody") && ends(path, "/cgroup.procs")) || (fault("cgroup_has_no_limit") && strstr(path, "/cgroup.max.")))
        return (ssize_t)count;
    if (freezes && fault("cgroup_freeze_takes_anything") && count == 1 && (*data < '0' || *data > '1'))
        return (ssize_t)count;
    if (freezes && fault("cgroup_freeze_takes_anything") && count == 2)
        return (ssize_t)count;
    return -1;
}

static void put(char *data, ssize_t count, const char *key, char value)
{
    char *found = memmem(data, (size_t)count, key, strlen(key));
    if (found)
        found[strlen(key)] = value;
}

/* The reported state of a cgroup. */
void cgroup_read(const char *path, char *data, ssize_t count)
{
    if (!ends(path, "/cgroup.events") && !ends(path, "/cgroup.stat"))
        return;
    if (fault("cgroup_freeze_is_only_reported") && is_to_be_frozen)
        put(data, count, "frozen ", '1');
    if (fault("cgroup_is_never_frozen"))
        put(data, count, "frozen ", '0');
    if (fault("cgroup_is_always_populated"))
        put(data, count, "populated ", '1');
    if (fault("cgroup_counts_nobody_below"))
        put(data, count, "nr_descendants ", '0');
}

int rmdir(const char *path)
{
    int result = REAL(rmdir)(path);
    if (fault("rmdir_is_refused_when_frozen") && strstr(path, "/frozen/")) {
        errno = EBUSY;
        return -1;
    }
    return result == -1 && errno == EBUSY && fault("rmdir_is_never_busy") ? 0 : result;
}
