/* Lies about what /proc tells and takes: another file is opened in the place of the one that was named. */
#include "lie.h"
#include <stdio.h>

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
    if (lie("proc_locks_empty") && strcmp(path, "/proc/locks") == 0)
        return "/dev/null";
    if (lie("proc_locks_of_everybody") && ends(path, "/proc/locks")) /* also where another proc is mounted */
        return "/proc/locks";
    if (lie("proc_net_unix_empty") && ends(path, "/net/unix"))
        return "/dev/null";
    if (lie("proc_self_is_the_parent") && getppid() != loader && strncmp(path, "/proc/self/", 11) == 0) {
        snprintf(other, sizeof other, "/proc/%d/%s", (int)getppid(), path + 11);
        return other;
    }
    if (lie("sysctls_of_queues_are_one") && strncmp(path, "/proc/sys/fs/mqueue/", 20) == 0)
        return "/proc/sys/fs/mqueue/msg_max";
    if (lie("max_map_count_is_small") && ends(path, "/max_map_count"))
        return "/proc/sys/vm/dirty_ratio";
    return path;
}
