/* The main process watches the workers: which have ended, and which sleep in a call. */
static void note_death(int process)
{
    s->dead[process] = 1;
    if (s->killer[process])
        s->end[s->killer[process] - 1] = now();
}

static void reap(void)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (int process = 0; process < PROCESSES; process++)
            if (s->pid[process] == pid) {
                if (!WIFSIGNALED(status))
                    fail("a worker cannot begin");
                note_death(process);
            }
}

/* Return the state of a worker as the kernel shows it: S if it sleeps. */
static char state_of(int w)
{
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", s->pid[process_of[w]], s->tid[w]);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return 0;
    ssize_t size = read(fd, line, sizeof line - 1);
    close(fd);
    char *end = size > 0 ? strrchr(line, ')') : NULL;
    return end && end[1] ? end[2] : 0;
}

static int is_busy(int w)
{
    return !s->finished[w] && !s->dead[process_of[w]];
}

static int are_asleep(void)
{
    int all = 1;
    for (int w = 0; w < WORKERS && all; w++) {
        int n = s->current[w] - 1;
        if (!is_busy(w))
            continue;
        char state = state_of(w);
        if (state == 'T')
            kill(s->pid[process_of[w]], SIGCONT);
        all = n >= 0 && s->state[n] == BEGUN && may_sleep[n] && state == 'S';
    }
    for (int process = 0; process < PROCESSES; process++)
        all = all && (!s->killer[process] || s->dead[process]);
    return all;
}

static long progress(void)
{
    long sum = 0;
    for (int n = 0; n < OPERATIONS; n++)
        sum += s->state[n];
    for (int process = 0; process < PROCESSES; process++)
        sum += s->dead[process];
    return sum;
}

/* Wait until every worker has finished, is dead, or sleeps in a call; return whether one sleeps. */
static int settle(void)
{
    long last = -1;
    long long since = now();
    for (int looks = 0;;) {
        reap();
        int busy = 0;
        for (int w = 0; w < WORKERS; w++)
            busy += is_busy(w);
        for (int process = 0; process < PROCESSES; process++)
            busy += s->killer[process] && !s->dead[process];
        if (!busy)
            return 0;
        if (progress() != last)
            last = progress(), since = now(), looks = 0;
        else if (now() - since > 500000 && are_asleep()) {
            if (progress() == last && ++looks == 3)
                return 1;
            pause_us(500);
        } else if (looks = 0, now() - since > 20000000000LL)
            fail("the workers make no progress");
        pause_us(20);
    }
}

/* End the sleeping calls by signals, so that the calls of the main process find the state that they leave. */
static void release(void)
{
    s->stop = 1;
    for (int w = 0; w < WORKERS; w++) {
        int n = s->current[w] - 1;
        if (!is_busy(w))
            continue;
        s->slept[n] = 1;
        long long until = now() + (INTERRUPTIBLE && CLOSINGS ? 50000000 : 0);
        while (s->state[n] == BEGUN && now() < until) {
            syscall(SYS_tgkill, s->pid[process_of[w]], s->tid[w], SIGUSR1);
            pause_us(100);
        }
        if (s->state[n] == BEGUN && CLOSINGS) {
            kill(s->pid[process_of[w]], SIGKILL);
            waitpid(s->pid[process_of[w]], NULL, 0);
            s->pid[process_of[w]] = 0;
        } else if (s->state[n] == RETURNED && strcmp((char *)s->text[n], "EINTR") != 0)
            s->slept[n] = 0;
    }
}

/* Wake sleeping calls by removing the object, or by killing one of their processes. */
static void wake(int n)
{
    if (!ENDING_KILLS) {
        operate(n, -1);
        s->state[n] = RETURNED;
        return;
    }
    int sleeping[WORKERS], count = 0;
    for (int w = 0; w < WORKERS; w++)
        if (is_busy(w))
            sleeping[count++] = w;
    int process = process_of[sleeping[round_number % count]];
    s->begin[n] = now();
    s->killer[process] = n + 1;
    kill(s->pid[process], SIGKILL);
    waitpid(s->pid[process], NULL, 0);
    note_death(process);
    say(n, "%c", 'A' + process);
    s->state[n] = RETURNED;
}
