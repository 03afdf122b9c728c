/* Faults of the limits of a process. RLIMIT_LOCKS is not changed: the suite identifies its children by it. */
#include "fault.h"
#include <sys/resource.h>

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    struct rlimit changed = *limit, now;
    if (resource == RLIMIT_LOCKS)
        return REAL(setrlimit)(resource, limit);
    if (fault("setrlimit_sets_nothing"))
        return 0;
    if (fault("setrlimit_hard_stays") && REAL(getrlimit)(resource, &now) == 0)
        changed.rlim_max = now.rlim_max;
    if (fault("setrlimit_soft_is_hard"))
        changed.rlim_cur = changed.rlim_max;
    int result = REAL(setrlimit)(resource, &changed);
    if (result == -1 && fault("setrlimit_never_refuses"))
        return 0;
    return result;
}

int getrlimit(__rlimit_resource_t resource, struct rlimit *limit)
{
    int result = REAL(getrlimit)(resource, limit);
    if (result == 0 && resource != RLIMIT_LOCKS && fault("getrlimit_off_by_one"))
        limit->rlim_cur -= 1;
    return result;
}

int prlimit(pid_t pid, enum __rlimit_resource resource, const struct rlimit *new, struct rlimit *old)
{
    if (fault("prlimit_is_the_callers"))
        pid = 0;
    if (fault("prlimit_sets_nothing"))
        new = NULL;
    int result = REAL(prlimit)(pid, resource, new, old);
    if (result == -1 && fault("prlimit_never_refuses"))
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
