/* POSIX message queues: a queue for two messages, which every worker opens twice, once with O_NONBLOCK. */
static char name[64];
static mqd_t blocking[WORKERS], nonblocking[WORKERS];

static sigset_t notice(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    return set;
}

static int make(void)
{
    struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 8};
    snprintf(name, sizeof name, "/reproduce-%d", getpid());
    mq_unlink(name);
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
    return queue == (mqd_t)-1 ? -1 : mq_close(queue);
}

static void unmake(void)
{
    mq_unlink(name);
}

static void enter(int w)
{
    sigset_t set = notice();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    blocking[w] = mq_open(name, O_RDWR);
    nonblocking[w] = mq_open(name, O_RDWR | O_NONBLOCK);
}

OP do_mq_send(int n, int w, const char *text, int size, int priority, int wait)
{
    CALL(n, -1, mq_send(wait ? blocking[w] : nonblocking[w], text, (size_t)size, (unsigned)priority))
    RESULT(n, "returned");
}

OP do_mq_receive(int n, int w, int wait)
{
    char text[9];
    unsigned priority;
    CALL(n, -1, mq_receive(wait ? blocking[w] : nonblocking[w], text, 8, &priority))
    RESULT(n, "\"%.*s\" %u", (int)r, text, priority);
}

OP do_mq_timedsend(int n, int w, const char *text, int size, int priority, double seconds)
{
    struct timespec until = ahead(seconds);
    CALL(n, -1, mq_timedsend(blocking[w], text, (size_t)size, (unsigned)priority, &until))
    RESULT(n, "returned");
}

OP do_mq_timedreceive(int n, int w, double seconds)
{
    char text[9];
    unsigned priority;
    struct timespec until = ahead(seconds);
    CALL(n, -1, mq_timedreceive(blocking[w], text, 8, &priority, &until))
    RESULT(n, "\"%.*s\" %u", (int)r, text, priority);
}

OP do_mq_getattr(int n, int w)
{
    struct mq_attr attributes;
    CALL(n, -1, mq_getattr(nonblocking[w], &attributes))
    RESULT(n, "%ld", attributes.mq_curmsgs);
}

OP do_mq_notify(int n, int w, int value)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3};
    event.sigev_value.sival_int = value;
    CALL(n, -1, mq_notify(nonblocking[w], &event))
    RESULT(n, "returned");
}

OP do_cancel(int n, int w)
{
    CALL(n, -1, mq_notify(nonblocking[w], NULL))
    RESULT(n, "returned");
}

OP do_noticed(int n, int w)
{
    (void)w;
    sigset_t set = notice();
    siginfo_t info;
    struct timespec none = {0, 0};
    CALL(n, -1, sigtimedwait(&set, &info, &none))
    RESULT(n, "%d", info.si_value.sival_int);
}

/* Receive all messages. */
OP do_drain(int n, int w)
{
    (void)w;
    char text[9], all[LONGEST] = "";
    unsigned priority;
    mqd_t queue = mq_open(name, O_RDWR | O_NONBLOCK);
    s->begin[n] = now();
    for (ssize_t size; (size = mq_receive(queue, text, 8, &priority)) != -1;) {
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s(\"%.*s\" %u)", used ? " " : "", (int)size, text, priority);
    }
    s->end[n] = now();
    mq_close(queue);
    RESULT(n, "%s", *all ? all : "nothing");
}
