/* Write leases, and other processes that open the file with O_NONBLOCK. */
static int fd[WORKERS], leased[WORKERS];

static int make(void)
{
    int made = open("file", O_CREAT | O_EXCL | O_WRONLY, 0600);
    return made == -1 ? -1 : close(made);
}

static void unmake(void)
{
    unlink("file");
}

static void enter(int w)
{
    signal(SIGIO, SIG_IGN);
    fd[w] = -1;
    leased[w] = 0;
}

OP do_open(int n, int w, int worker)
{
    (void)worker;
    if (fd[w] != -1)
        NO_CALL(n, "false");
    CALL(n, -1, open("file", O_RDWR | O_NONBLOCK))
    fd[w] = (int)r;
    RESULT(n, "true");
}

OP do_close(int n, int w, int worker)
{
    (void)worker;
    if (fd[w] == -1)
        NO_CALL(n, "false");
    CALL(n, -1, close(fd[w]))
    fd[w] = -1;
    leased[w] = 0;
    RESULT(n, "true");
}

OP do_lease(int n, int w, int worker)
{
    (void)worker;
    if (fd[w] == -1 || leased[w])
        NO_CALL(n, "false");
    CALL(n, -1, fcntl(fd[w], F_SETLEASE, F_WRLCK))
    leased[w] = 1;
    RESULT(n, "true");
}

OP do_unlease(int n, int w, int worker)
{
    (void)worker;
    if (fd[w] == -1 || !leased[w])
        NO_CALL(n, "false");
    CALL(n, -1, fcntl(fd[w], F_SETLEASE, F_UNLCK))
    leased[w] = 0;
    RESULT(n, "true");
}

OP do_getlease(int n, int w, int worker)
{
    (void)worker;
    if (fd[w] == -1)
        NO_CALL(n, "returned");
    CALL(n, -1, fcntl(fd[w], F_GETLEASE))
    RESULT(n, "%ld", r);
}
