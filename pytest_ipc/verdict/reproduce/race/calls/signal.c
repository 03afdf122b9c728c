/* Blocked signals: number 0 is a standard signal, 4 and 5 are real-time signals. */
static int signal_of(int number)
{
    return number ? SIGRTMIN + number : SIGUSR2;
}

static int number_of(int signo)
{
    return signo == SIGUSR2 ? 0 : signo - SIGRTMIN;
}

static sigset_t these(const int *numbers, int count)
{
    sigset_t set;
    sigemptyset(&set);
    for (int place = 0; place < count; place++)
        sigaddset(&set, signal_of(numbers[place]));
    return set;
}

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
    sigset_t set = these((int[]){0, 4, 5}, 3);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

OP do_queue(int n, int w, int target, int number, int value)
{
    (void)w;
    CALL(n, -1, sigqueue(s->pid[process_of[target]], signal_of(number), (union sigval){.sival_int = value}))
    RESULT(n, "returned");
}

OP do_kill(int n, int w, int target)
{
    (void)w;
    CALL(n, -1, kill(s->pid[process_of[target]], SIGUSR2))
    RESULT(n, "returned");
}

OP do_take(int n, int w, int worker, const int *numbers, int count, int wait)
{
    (void)w;
    (void)worker;
    sigset_t set = these(numbers, count);
    siginfo_t info;
    struct timespec none = {0, 0};
    CALL(n, -1, wait ? sigwaitinfo(&set, &info) : sigtimedwait(&set, &info, &none))
    RESULT(n, "%d %d", number_of(info.si_signo), info.si_code == SI_QUEUE ? info.si_value.sival_int : 0);
}

OP do_shown(int n, int w)
{
    (void)w;
    sigset_t set;
    char text[LONGEST] = "";
    CALL(n, -1, sigpending(&set))
    for (int number = 0; number < 6; number++)
        if ((number == 0 || number > 3) && sigismember(&set, signal_of(number)))
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d", *text ? " " : "", number);
    RESULT(n, "%s", *text ? text : "nothing");
}
