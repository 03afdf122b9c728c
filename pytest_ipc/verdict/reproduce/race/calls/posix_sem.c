/* POSIX semaphores: a named one with an initial value of 1. */
static char name[64];
static sem_t *sem[WORKERS];

static int make(void)
{
    snprintf(name, sizeof name, "/reproduce-%d", getpid());
    sem_unlink(name);
    sem_t *made = sem_open(name, O_CREAT | O_EXCL, 0600, 1);
    return made == SEM_FAILED ? -1 : sem_close(made);
}

static void unmake(void)
{
    sem_unlink(name);
}

static void enter(int w)
{
    sem[w] = sem_open(name, 0);
}

OP do_sem_post(int n, int w)
{
    CALL(n, -1, sem_post(sem[w]))
    RESULT(n, "returned");
}

OP do_sem_wait(int n, int w)
{
    CALL(n, -1, sem_wait(sem[w]))
    RESULT(n, "returned");
}

OP do_sem_trywait(int n, int w)
{
    CALL(n, -1, sem_trywait(sem[w]))
    RESULT(n, "returned");
}

OP do_sem_timedwait(int n, int w, double seconds)
{
    struct timespec until = ahead(seconds);
    CALL(n, -1, sem_timedwait(sem[w], &until))
    RESULT(n, "returned");
}

OP do_sem_getvalue(int n, int w)
{
    sem_t *opened = w < 0 ? sem_open(name, 0) : sem[w];
    int value = -1;
    CALL(n, -1, sem_getvalue(opened, &value))
    if (w < 0)
        sem_close(opened);
    RESULT(n, "%d", value);
}
