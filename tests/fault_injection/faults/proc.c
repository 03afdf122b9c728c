/* Faults of files in /proc: read, written, or another file; descriptor.c, which has the calls, calls these. */
#include "fault.h"
#include <ctype.h>
#include <stdio.h>

static char written[256], text[256]; /* which limit was written last, and what */

static ssize_t shown(void *data, size_t count, const char *what)
{
    size_t length = strlen(what);
    memcpy(data, what, length < count ? length : count);
    return (ssize_t)(length < count ? length : count);
}

/* Every hexadecimal number of a line of /proc/PID/status that begins so is none. */
static void clear(char *data, ssize_t count, const char *line)
{
    char *found = memmem(data, (size_t)count, line, strlen(line));
    for (found += found ? strlen(line) : 0; found && found < data + count && *found != '\n'; found++)
        if (isxdigit((unsigned char)*found))
            *found = '0';
}

/* cgroup.c */
ssize_t cgroup_write(int fd, const char *data, size_t count);
void cgroup_read(const char *path, char *data, ssize_t count);

ssize_t proc_read(int fd, const char *path, void *data, size_t count)
{
    ssize_t result = REAL(read)(fd, data, count);
    if (result > 0)
        cgroup_read(path, data, result);
    if (result <= 0 || strncmp(path, "/proc/", 6) != 0)
        return result;
    if (strncmp(path, "/proc/sys/", 10) == 0) {
        if (fault("sysctl_tells_another"))
            return shown(data, count, "4711\n");
        if (fault("sysctl_is_only_shown") && strcmp(path, written) == 0)
            return shown(data, count, text);
        if (fault("sysctl_of_pipes_means_nothing") && strstr(path, "pipe-user-pages-hard"))
            return shown(data, count, "64\n");
        if (fault("sysctl_of_pipes_means_nothing") && strstr(path, "pipe-max-size"))
            return shown(data, count, "4096\n");
    }
    if (strstr(path, "/status") && fault("proc_status_shows_no_signals")) {
        static const char *const lines[] = {"SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:"};
        for (int i = 0; i < 5; i++)
            clear(data, result, lines[i]);
    }
    return result;
}

ssize_t proc_write(int fd, const void *data, size_t count)
{
    char path[256];
    if (fault("sysctl_is_only_shown") && strncmp(target_of(fd, path), "/proc/sys/", 10) == 0 && count < sizeof text) {
        strcpy(written, path);
        memcpy(text, data, count);
        text[count] = 0;
        return (ssize_t)count;
    }
    ssize_t taken = getenv("FAULT") ? cgroup_write(fd, data, count) : -1;
    if (taken != -1)
        return taken;
    ssize_t result = REAL(write)(fd, data, count);
    if (result == -1 && errno == EPERM && fault("id_maps_are_written_freely") && strstr(target_of(fd, path), "id_map"))
        return (ssize_t)count;
    return result;
}

static int ends(const char *path, const char *end)
{
    size_t length = strlen(path), count = strlen(end);
    return length >= count && strcmp(path + length - count, end) == 0;
}

static pid_t loader; /* the process that has loaded this, as it was executed or to fork the checks from */

__attribute__((constructor)) static void remember(void)
{
    loader = getpid();
}

const char *proc_path(const char *path)
{
    static char other[64];
    if (fault("proc_locks_empty") && strcmp(path, "/proc/locks") == 0)
        return "/dev/null";
    if (fault("proc_locks_of_everybody") && ends(path, "/proc/locks")) /* also where another proc is mounted */
        return "/proc/locks";
    if (fault("proc_net_unix_empty") && ends(path, "/net/unix"))
        return "/dev/null";
    if (fault("proc_self_is_the_parent") && getppid() != loader && strncmp(path, "/proc/self/", 11) == 0) {
        snprintf(other, sizeof other, "/proc/%d/%s", (int)getppid(), path + 11);
        return other;
    }
    if (fault("sysctls_of_queues_are_one") && strncmp(path, "/proc/sys/fs/mqueue/", 20) == 0)
        return "/proc/sys/fs/mqueue/msg_max";
    if (fault("max_map_count_is_small") && ends(path, "/max_map_count"))
        return "/proc/sys/vm/dirty_ratio";
    return path;
}
