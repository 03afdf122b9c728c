/* The workers: processes, and threads of them. */
static void fail(const char *what)
{
    if (s->failed != getpid())
        fprintf(stderr, "%s: %s: not judged\n", what, strerror(errno));
    s->failed = getpid();
    _exit(2);
}

/* Wait for the others before a call; not long for one that is in a call, as it may sleep. */
static void meet(int w, int moment)
{
    s->at[w] = moment;
    for (int other = 0; other < WORKERS; other++)
        for (int yields = 0; s->at[other] < moment && !s->finished[other] && !s->dead[process_of[other]]; yields++) {
            int operation = s->current[other];
            if (yields > (operation && s->state[operation - 1] == BEGUN ? 40 : 2000))
                break;
            sched_yield();
        }
}

/* Let all workers share a CPU, or give each its own, or let the kernel choose; the rounds alternate. */
static void place(int w)
{
    static cpu_set_t allowed;
    if (!CPU_COUNT(&allowed) && sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    int count = CPU_COUNT(&allowed), which = round_number % 3 == 0 ? round_number / 3 % count : w % count;
    if (round_number % 3 == 2)
        return;
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && which-- == 0)
            CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

__attribute__((unused)) static void kill_process(int n, int process, int waits)
{
    s->begin[n] = now();
    s->killer[process] = n + 1;
    s->state[n] = BEGUN;
    kill(s->pid[process], SIGKILL);
    while (waits && !s->dead[process])
        sched_yield();
    say(n, "returned");
    s->state[n] = RETURNED;
}

/* Disturb another worker right before a call. */
static void provoke(int what, int other)
{
    if (what == SIGUSR1)
        syscall(SYS_tgkill, s->pid[process_of[other]], s->tid[other], SIGUSR1);
    else if (what == SIGSTOP)
        kill(s->pid[process_of[other]], SIGSTOP);
    else if (what)
        sched_yield();
}

static void *work(void *argument)
{
    int w = (int)(long)argument;
    unsigned seed = (unsigned)(round_number * 31 + w);
    s->tid[w] = (pid_t)syscall(SYS_gettid);
    place(w);
    enter(w);
    __atomic_add_fetch(&s->gathered, 1, __ATOMIC_SEQ_CST);
    while (s->gathered < WORKERS)
        sched_yield();
    for (int k = 0; k < length_of[w] && !s->stop; k++) {
        int n = first_of[w] + k;
        if (IN_STEP && k)
            meet(w, k);
        for (int yields = round_number & 1 ? rand_r(&seed) % 4 : 0; yields; yields--)
            sched_yield();
        provoke(provoked[n].what, provoked[n].other);
        s->current[w] = n + 1;
        operate(n, w);
        s->state[n] = RETURNED;
        if (provoked[n].what == SIGSTOP)
            kill(s->pid[process_of[provoked[n].other]], SIGCONT);
    }
    s->finished[w] = 1;
    while (pause()) {}
    return NULL;
}

static void nothing(int signo)
{
    (void)signo;
}

static void live(int process)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct sigaction interrupts = {.sa_handler = nothing};
    sigaction(SIGUSR1, &interrupts, NULL);
    s->pid[process] = getpid();
    long mine = -1;
    for (long w = 0; w < WORKERS; w++) {
        pthread_t thread;
        if (process_of[w] != process)
            continue;
        if (mine < 0)
            mine = w;
        else if ((errno = pthread_create(&thread, NULL, work, (void *)w)) != 0)
            fail("pthread_create");
    }
    work((void *)mine);
}
