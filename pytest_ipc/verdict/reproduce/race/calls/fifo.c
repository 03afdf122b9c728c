/* FIFOs: every worker opens both ends twice, once blocking and once with O_NONBLOCK. */
static int reading[WORKERS][2], writing[WORKERS][2]; /* nonblocking, blocking */

static int make(void)
{
    return mkfifo("fifo", 0600);
}

static void unmake(void)
{
    unlink("fifo");
}

static void enter(int w)
{
    int both = open("fifo", O_RDWR);
    for (int wait = 0; wait < 2; wait++) {
        reading[w][wait] = open("fifo", O_RDONLY | (wait ? 0 : O_NONBLOCK));
        writing[w][wait] = open("fifo", O_WRONLY | (wait ? 0 : O_NONBLOCK));
    }
    close(both);
}

OP do_write(int n, int w, int worker, int byte, int count, int wait)
{
    (void)worker;
    char data[4096];
    memset(data, byte, sizeof data);
    CALL(n, -1, write(writing[w][wait], data, (size_t)count))
    RESULT(n, "%ld", r);
}

OP do_read(int n, int w, int worker, int count, int wait)
{
    (void)worker;
    unsigned char data[4096];
    CALL(n, -1, read(reading[w][wait], data, (size_t)count))
    say_runs(n, data, r);
}

OP do_close_read(int n, int w, int worker)
{
    (void)worker;
    CALL(n, -1, close(reading[w][1]) == -1 ? -1 : close(reading[w][0]))
    RESULT(n, "returned");
}

OP do_close_write(int n, int w, int worker)
{
    (void)worker;
    CALL(n, -1, close(writing[w][1]) == -1 ? -1 : close(writing[w][0]))
    RESULT(n, "returned");
}

/* Read the remaining bytes. */
OP do_drain(int n, int w)
{
    (void)w;
    static unsigned char data[1 << 17];
    long size = 0;
    s->begin[n] = now();
    int fd = open("fifo", O_RDONLY | O_NONBLOCK);
    for (ssize_t part; (part = read(fd, data + size, sizeof data - (size_t)size)) > 0;)
        size += part;
    s->end[n] = now();
    close(fd);
    say_runs(n, data, size);
}
