/* A robust error-checking process-shared mutex. */
static int inconsistent[WORKERS]; /* the worker has got EOWNERDEAD */

static pthread_mutex_t *mutex(void)
{
    return (pthread_mutex_t *)s->area;
}

static int make(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    return pthread_mutex_init(mutex(), &attributes);
}

static void unmake(void)
{
}

static void enter(int w)
{
    inconsistent[w] = 0;
}

static int noted(int w, int error)
{
    inconsistent[w] |= error == EOWNERDEAD;
    return error;
}

OP do_lock(int n, int w, int worker)
{
    (void)worker;
    ERROR(n, noted(w, pthread_mutex_lock(mutex())))
    RESULT(n, "returned");
}

OP do_trylock(int n, int w, int worker)
{
    (void)worker;
    ERROR(n, noted(w, pthread_mutex_trylock(mutex())))
    RESULT(n, "returned");
}

OP do_timedlock(int n, int w, int worker, double seconds)
{
    (void)worker;
    struct timespec until = ahead(seconds);
    ERROR(n, noted(w, pthread_mutex_timedlock(mutex(), &until)))
    RESULT(n, "returned");
}

OP do_unlock(int n, int w, int worker)
{
    (void)worker;
    ERROR(n, pthread_mutex_unlock(mutex()))
    inconsistent[w] = 0;
    RESULT(n, "returned");
}

OP do_consistent(int n, int w, int worker)
{
    (void)worker;
    if (!inconsistent[w])
        NO_CALL(n, "false");
    ERROR(n, pthread_mutex_consistent(mutex()))
    inconsistent[w] = 0;
    RESULT(n, "true");
}
