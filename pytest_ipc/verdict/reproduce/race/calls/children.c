/* The children of a process: one for each thread; any thread may kill and reap any. */
static pid_t child_of[WORKERS]; /* of this process: others have none here */

static int make(void)
{
    return 0;
}

static void unmake(void)
{
}

static void enter(int w)
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (getppid() == parent)
            pause();
        _exit(0);
    }
    child_of[w] = pid;
}

/* Kill a child and wait until it has ended. It may be reaped before, or meanwhile. */
OP do_kill(int n, int w, int child)
{
    (void)w;
    siginfo_t info;
    pid_t pid = child_of[child];
    if (!pid)
        NO_CALL(n, "returned");
    CALL(n, -2, kill(pid, SIGKILL) == -1 ? -1 : waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT))
    RESULT(n, "returned");
}

OP do_reap(int n, int w, int wait)
{
    (void)w;
    siginfo_t info = {.si_signo = 0};
    CALL(n, -1, waitid(P_ALL, 0, &info, WEXITED | (wait ? 0 : WNOHANG)))
    for (int child = 0; child < WORKERS; child++)
        if (info.si_pid && child_of[child] == info.si_pid) {
            RESULT(n, "%d", child);
            return;
        }
    RESULT(n, "returned");
}
