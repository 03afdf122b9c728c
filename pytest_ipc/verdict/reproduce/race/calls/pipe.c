/* Pipes: one of a page, shared by all workers. */
static int ends[2];

static int make(void)
{
    return pipe(ends) == -1 ? -1 : fcntl(ends[1], F_SETPIPE_SZ, sysconf(_SC_PAGESIZE)) == -1;
}

static void unmake(void)
{
    close(ends[0]);
    close(ends[1]);
}

static void enter(int w)
{
    (void)w;
}

OP do_write(int n, int w, int worker, int byte, int count, int wait)
{
    (void)w;
    (void)worker;
    (void)wait;
    char data[4096];
    memset(data, byte, sizeof data);
    CALL(n, -1, write(ends[1], data, (size_t)count))
    RESULT(n, "%ld", r);
}

OP do_read(int n, int w, int worker, int count, int wait)
{
    (void)w;
    (void)worker;
    (void)wait;
    unsigned char data[65536];
    CALL(n, -1, read(ends[0], data, (size_t)count))
    say_runs(n, data, r);
}
