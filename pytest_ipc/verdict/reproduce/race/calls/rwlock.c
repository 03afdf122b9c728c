/* A process-shared read-write lock. */
static int held[WORKERS];

static pthread_rwlock_t *lock(void)
{
    return (pthread_rwlock_t *)s->area;
}

static int make(void)
{
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    return pthread_rwlock_init(lock(), &attributes);
}

static void unmake(void)
{
}

static void enter(int w)
{
    held[w] = 0;
}

static int noted(int w, int error)
{
    held[w] |= error == 0;
    return error;
}

OP do_rdlock(int n, int w, int worker)
{
    (void)worker;
    ERROR(n, noted(w, pthread_rwlock_rdlock(lock())))
    RESULT(n, "returned");
}

OP do_wrlock(int n, int w, int worker)
{
    (void)worker;
    ERROR(n, noted(w, pthread_rwlock_wrlock(lock())))
    RESULT(n, "returned");
}

OP do_tryrdlock(int n, int w, int worker)
{
    (void)worker;
    ERROR(n, noted(w, pthread_rwlock_tryrdlock(lock())))
    RESULT(n, "returned");
}

OP do_trywrlock(int n, int w, int worker)
{
    (void)worker;
    ERROR(n, noted(w, pthread_rwlock_trywrlock(lock())))
    RESULT(n, "returned");
}

OP do_timedrdlock(int n, int w, int worker, double seconds)
{
    (void)worker;
    struct timespec until = ahead(seconds);
    ERROR(n, noted(w, pthread_rwlock_timedrdlock(lock(), &until)))
    RESULT(n, "returned");
}

OP do_timedwrlock(int n, int w, int worker, double seconds)
{
    (void)worker;
    struct timespec until = ahead(seconds);
    ERROR(n, noted(w, pthread_rwlock_timedwrlock(lock(), &until)))
    RESULT(n, "returned");
}

OP do_unlock(int n, int w, int worker)
{
    (void)worker;
    if (!held[w])
        NO_CALL(n, "returned");
    held[w] = 0;
    ERROR(n, pthread_rwlock_unlock(lock()))
    RESULT(n, "returned");
}
