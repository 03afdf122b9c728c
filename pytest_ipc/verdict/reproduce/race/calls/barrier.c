/* A process-shared barrier for three threads. */
static pthread_barrier_t *barrier(void)
{
    return (pthread_barrier_t *)s->area;
}

static int make(void)
{
    pthread_barrierattr_t attributes;
    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    return pthread_barrier_init(barrier(), &attributes, 3);
}

static void unmake(void)
{
}

static void enter(int w)
{
    (void)w;
}

OP do_wait(int n, int w, int worker)
{
    (void)w;
    (void)worker;
    CALL(n, -2, pthread_barrier_wait(barrier()))
    RESULT(n, "%ld", r);
}
