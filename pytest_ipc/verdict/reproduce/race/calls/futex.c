/* Two futex words in shared memory, 0 and 1. */
static int make(void)
{
    return 0;
}

static void unmake(void)
{
}

static void enter(int w)
{
    (void)w;
}

static volatile unsigned *word_at(int word)
{
    return (volatile unsigned *)(s->area + 64 * word);
}

OP do_wait(int n, int w, int worker, int number, int word, int expected_value)
{
    (void)w;
    (void)worker;
    (void)number;
    CALL(n, -1, syscall(SYS_futex, word_at(word), FUTEX_WAIT, expected_value, NULL, NULL, 0))
    RESULT(n, "returned");
}

OP do_timed(int n, int w, int worker, int number, int word, int expected_value, double seconds)
{
    (void)w;
    (void)worker;
    (void)number;
    struct timespec limit = {0, (long)(seconds * 1e9)};
    CALL(n, -1, syscall(SYS_futex, word_at(word), FUTEX_WAIT, expected_value, &limit, NULL, 0))
    RESULT(n, "returned");
}

OP do_wake(int n, int w, int word, int most)
{
    (void)w;
    CALL(n, -1, syscall(SYS_futex, word_at(word), FUTEX_WAKE, most, NULL, NULL, 0))
    RESULT(n, "%ld", r);
}

OP do_requeue(int n, int w, int wake, int move, int expected_value)
{
    (void)w;
    CALL(n, -1, syscall(SYS_futex, word_at(0), FUTEX_CMP_REQUEUE, wake, (long)move, word_at(1), expected_value))
    RESULT(n, "%ld", r);
}

OP do_set(int n, int w, int word, int value)
{
    (void)w;
    CALL(n, -1, (*word_at(word) = (unsigned)value, 0))
    RESULT(n, "returned");
}

OP do_publish(int n, int w, int word, int value, int most)
{
    (void)w;
    CALL(n, -1, (*word_at(word) = (unsigned)value, syscall(SYS_futex, word_at(word), FUTEX_WAKE, most, NULL, NULL, 0)))
    RESULT(n, "%ld", r);
}
