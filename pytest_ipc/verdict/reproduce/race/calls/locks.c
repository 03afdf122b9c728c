/* Record locks, open file description locks and flock(2) locks: every worker opens the file itself. */
static int fd[WORKERS];

static int make(void)
{
    int made = open("file", O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (made == -1 || write(made, "\0\0\0\0\0\0\0", 8) != 8)
        return -1;
    return close(made);
}

static void unmake(void)
{
    unlink("file");
}

static void enter(int w)
{
    fd[w] = open("file", O_RDWR);
}

static struct flock request(int kind, int start, int length)
{
    return (struct flock){.l_type = (short)kind, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
}

OP do_setlk(int n, int w, int worker, int kind, int start, int length)
{
    (void)worker;
    struct flock lock = request(kind, start, length);
    CALL(n, -1, fcntl(fd[w], OFD ? F_OFD_SETLK : F_SETLK, &lock))
    RESULT(n, "returned");
}

OP do_setlkw(int n, int w, int worker, int kind, int start, int length)
{
    (void)worker;
    struct flock lock = request(kind, start, length);
    CALL(n, -1, fcntl(fd[w], OFD ? F_OFD_SETLKW : F_SETLKW, &lock))
    RESULT(n, "returned");
}

OP do_getlk(int n, int w, int worker, int kind, int start, int length)
{
    (void)worker;
    struct flock lock = request(kind, start, length);
    CALL(n, -1, fcntl(fd[w], OFD ? F_OFD_GETLK : F_GETLK, &lock))
    RESULT(n, lock.l_type == F_UNLCK ? "true" : "false");
}

OP do_flock(int n, int w, int worker, int operation)
{
    (void)worker;
    CALL(n, -1, flock(fd[w], operation))
    RESULT(n, "returned");
}

OP do_close(int n, int w, int worker)
{
    (void)worker;
    CALL(n, -1, close(fd[w]))
    fd[w] = open("file", O_RDWR);
    RESULT(n, "returned");
}
