/* Shared by all processes. An operation has a number: those of the workers come first, then those of the main process. */
enum { NOT_CALLED, BEGUN, RETURNED, LONGEST = 160 };
static volatile struct {
    int gathered, at[WORKERS], current[WORKERS], finished[WORKERS], stop, failed;
    pid_t tid[WORKERS], pid[PROCESSES];
    int dead[PROCESSES], killer[PROCESSES]; /* the operation that killed it, from 1 */
    int state[OPERATIONS], slept[OPERATIONS];
    long long begin[OPERATIONS], end[OPERATIONS]; /* nanoseconds */
    char text[OPERATIONS][LONGEST];
    _Alignas(64) char area[4096]; /* for objects in memory */
} *s;

static int round_number;
static const char *folder;

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

__attribute__((unused)) static struct timespec ahead(double seconds)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    long long when = t.tv_sec * 1000000000LL + t.tv_nsec + (long long)(seconds * 1e9);
    return (struct timespec){when / 1000000000, when % 1000000000};
}

static void pause_us(long us)
{
    struct timespec t = {0, us * 1000};
    nanosleep(&t, NULL);
}

static const char *error_name(int error)
{
    static const struct { int number; const char *name; } names[] = {
        {EAGAIN, "EAGAIN"}, {EBADF, "EBADF"}, {EBUSY, "EBUSY"}, {ECHILD, "ECHILD"}, {EDEADLK, "EDEADLK"},
        {EEXIST, "EEXIST"}, {EFBIG, "EFBIG"}, {EIDRM, "EIDRM"}, {EINTR, "EINTR"}, {EINVAL, "EINVAL"},
        {ENOENT, "ENOENT"}, {ENOMSG, "ENOMSG"}, {ENOTRECOVERABLE, "ENOTRECOVERABLE"}, {EOWNERDEAD, "EOWNERDEAD"},
        {EPERM, "EPERM"}, {EPIPE, "EPIPE"}, {ERANGE, "ERANGE"}, {ETIMEDOUT, "ETIMEDOUT"}, {E2BIG, "E2BIG"},
        {ENOSYS, "ENOSYS"}, {EMSGSIZE, "EMSGSIZE"}, {ENOSPC, "ENOSPC"}, {ENOMEM, "ENOMEM"}, {EACCES, "EACCES"},
        {ENOLCK, "ENOLCK"}, {ESRCH, "ESRCH"}, {EOPNOTSUPP, "EOPNOTSUPP"}, {EFAULT, "EFAULT"}, {EIO, "EIO"},
    };
    for (size_t place = 0; place < sizeof names / sizeof *names; place++)
        if (names[place].number == error)
            return names[place].name;
    return strerror(error);
}

__attribute__((format(printf, 2, 3))) static void say(int n, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf((char *)s->text[n], LONGEST, format, list);
    va_end(list);
}

/* An operation. `call` is what is under test; `failed` its value if it sets errno. */
#define OP __attribute__((unused)) static void
#define CALL(n, failed, call) \
    long r; \
    s->begin[n] = now(); \
    s->state[n] = BEGUN; \
    errno = 0; \
    r = (long)(call); \
    int error_ = errno; \
    s->end[n] = now(); \
    if (r == (failed)) { \
        say(n, "%s", error_name(error_)); \
        return; \
    }
/* Of functions that return an error number. */
#define ERROR(n, call) \
    s->begin[n] = now(); \
    s->state[n] = BEGUN; \
    int r = (call); \
    s->end[n] = now(); \
    if (r != 0) { \
        say(n, "%s", error_name(r)); \
        return; \
    }
/* An operation that makes no call in this state. */
#define NO_CALL(n, result) \
    do { \
        s->begin[n] = now(); \
        s->end[n] = now(); \
        say(n, "%s", result); \
        return; \
    } while (0)
#define RESULT(n, ...) say(n, __VA_ARGS__)

/* The bytes of a stream as runs of one byte: "(97 5) (113 3)". */
__attribute__((unused)) static void say_runs(int n, const unsigned char *data, long size)
{
    char text[LONGEST] = "";
    for (long place = 0, length; place < size; place += length) {
        for (length = 1; place + length < size && data[place + length] == data[place]; length++) {}
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s(%d %ld)", used ? " " : "", data[place], length);
    }
    say(n, "%s", *text ? text : "nothing");
}
