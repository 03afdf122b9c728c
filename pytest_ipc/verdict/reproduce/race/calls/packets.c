/* UNIX sockets that keep message boundaries: a pair, 0 and 1. */
static int ends[2];

static int make(void)
{
    return socketpair(AF_UNIX, SOCKET_TYPE, 0, ends);
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

OP do_send(int n, int w, int end, const char *text, int size, int flags)
{
    (void)w;
    CALL(n, -1, send(ends[end], text, (size_t)size, flags))
    RESULT(n, "%ld", r);
}

OP do_recv(int n, int w, int end, int flags)
{
    (void)w;
    char text[200];
    CALL(n, -1, recv(ends[end], text, sizeof text, flags))
    RESULT(n, "\"%.*s\"", (int)r, text);
}

OP do_shutdown(int n, int w, int end)
{
    (void)w;
    CALL(n, -1, shutdown(ends[end], SHUT_WR))
    RESULT(n, "returned");
}
