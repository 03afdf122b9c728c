/* One eventfd. */
static int fd;

static int make(void)
{
    fd = eventfd(0, (SEMAPHORE ? EFD_SEMAPHORE : 0) | (NONBLOCK ? EFD_NONBLOCK : 0));
    return fd == -1 ? -1 : 0;
}

static void unmake(void)
{
    close(fd);
}

static void enter(int w)
{
    (void)w;
}

OP do_read(int n, int w)
{
    (void)w;
    unsigned long long value;
    CALL(n, -1, read(fd, &value, sizeof value))
    RESULT(n, "%llu", value);
}

OP do_write(int n, int w, unsigned long long value)
{
    (void)w;
    CALL(n, -1, write(fd, &value, sizeof value))
    RESULT(n, "returned");
}

OP do_readable(int n, int w)
{
    (void)w;
    struct pollfd one = {.fd = fd, .events = POLLIN};
    CALL(n, -1, poll(&one, 1, 0))
    RESULT(n, one.revents & POLLIN ? "true" : "false");
}
