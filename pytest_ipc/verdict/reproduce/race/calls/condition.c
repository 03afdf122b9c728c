/* A process-shared condition variable with its error-checking mutex. */
static pthread_cond_t *cond(void)
{
    return (pthread_cond_t *)s->area;
}

static pthread_mutex_t *mutex(void)
{
    return (pthread_mutex_t *)(s->area + 64);
}

static int make(void)
{
    pthread_mutexattr_t attributes;
    pthread_condattr_t of_cond;
    pthread_condattr_init(&of_cond);
    pthread_condattr_setpshared(&of_cond, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    return pthread_cond_init(cond(), &of_cond) | pthread_mutex_init(mutex(), &attributes);
}

static void unmake(void)
{
}

static void enter(int w)
{
    (void)w;
}

OP do_lock(int n, int w, int worker)
{
    (void)w;
    (void)worker;
    ERROR(n, pthread_mutex_lock(mutex()))
    RESULT(n, "returned");
}

OP do_unlock(int n, int w, int worker)
{
    (void)w;
    (void)worker;
    ERROR(n, pthread_mutex_unlock(mutex()))
    RESULT(n, "returned");
}

OP do_wait(int n, int w, int worker)
{
    (void)w;
    (void)worker;
    ERROR(n, pthread_cond_wait(cond(), mutex()))
    RESULT(n, "returned");
}

OP do_timedwait(int n, int w, int worker, double seconds)
{
    (void)w;
    (void)worker;
    struct timespec until = ahead(seconds);
    ERROR(n, pthread_cond_timedwait(cond(), mutex(), &until))
    RESULT(n, "returned");
}

OP do_signal(int n, int w)
{
    (void)w;
    ERROR(n, pthread_cond_signal(cond()))
    RESULT(n, "returned");
}

OP do_broadcast(int n, int w)
{
    (void)w;
    ERROR(n, pthread_cond_broadcast(cond()))
    RESULT(n, "returned");
}
