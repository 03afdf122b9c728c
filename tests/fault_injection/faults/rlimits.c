/* Lies about the limits of a process. RLIMIT_LOCKS is let be: the suite itself knows its children by it. */
#include "lie.h"
#include <sys/resource.h>

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    struct rlimit changed = *limit, now;
    if (resource == RLIMIT_LOCKS)
        return REAL(setrlimit)(resource, limit);
    if (lie("setrlimit_sets_nothing"))
        return 0;
    if (lie("setrlimit_hard_stays") && REAL(getrlimit)(resource, &now) == 0)
        changed.rlim_max = now.rlim_max;
    if (lie("setrlimit_soft_is_hard"))
        changed.rlim_cur = changed.rlim_max;
    int result = REAL(setrlimit)(resource, &changed);
    if (result == -1 && lie("setrlimit_never_refuses"))
        return 0;
    return result;
}

int getrlimit(__rlimit_resource_t resource, struct rlimit *limit)
{
    int result = REAL(getrlimit)(resource, limit);
    if (result == 0 && resource != RLIMIT_LOCKS && lie("getrlimit_off_by_one"))
        limit->rlim_cur -= 1;
    return result;
}

int prlimit(pid_t pid, enum __rlimit_resource resource, const struct rlimit *new, struct rlimit *old)
{
    if (lie("prlimit_is_the_callers"))
        pid = 0;
    if (lie("prlimit_sets_nothing"))
        new = NULL;
    int result = REAL(prlimit)(pid, resource, new, old);
    if (result == -1 && lie("prlimit_never_refuses"))
        return 0;
    return result;
}

/* Python's own module is built with 64-bit offsets, and calls these; where long has 64 bits the structures are the same. */
#if __SIZEOF_LONG__ == 8
int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit)
{
    return setrlimit(resource, (const struct rlimit *)limit);
}

int getrlimit64(__rlimit_resource_t resource, struct rlimit64 *limit)
{
    return getrlimit(resource, (struct rlimit *)limit);
}

int prlimit64(pid_t pid, enum __rlimit_resource resource, const struct rlimit64 *new, struct rlimit64 *old)
{
    return prlimit(pid, resource, (const struct rlimit *)new, (struct rlimit *)old);
}
#endif
