/* Names of POSIX shared memory: one that all workers create, open and unlink. */
static char name[64];

static int make(void)
{
    snprintf(name, sizeof name, "/reproduce-%d", getpid());
    shm_unlink(name);
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    return fd == -1 ? -1 : close(fd);
}

static void unmake(void)
{
    shm_unlink(name);
}

static void enter(int w)
{
    (void)w;
}

OP do_create(int n, int w, int exclusive)
{
    (void)w;
    CALL(n, -1, shm_open(name, O_RDWR | O_CREAT | (exclusive ? O_EXCL : 0), 0600))
    close((int)r);
    RESULT(n, "returned");
}

OP do_find(int n, int w)
{
    (void)w;
    CALL(n, -1, shm_open(name, O_RDWR, 0))
    close((int)r);
    RESULT(n, "returned");
}

OP do_unlink(int n, int w)
{
    (void)w;
    CALL(n, -1, shm_unlink(name))
    RESULT(n, "returned");
}
