/* Let the workers make their calls once; return whether the results are allowed. */
static int try_once(void)
{
    memset((void *)s, 0, sizeof *s);
    if (make() != 0)
        fail("the object cannot be created");
    for (int process = 0; process < PROCESSES; process++) {
        pid_t pid = fork();
        if (pid == -1)
            fail("fork");
        if (pid == 0)
            live(process);
        s->pid[process] = pid;
    }
    int sleeps = settle();
    for (int waking = 0; waking < WAKINGS && sleeps; waking++) {
        wake(OF_WORKERS + waking);
        sleeps = settle();
    }
    if (sleeps)
        release();
    for (int n = OF_WORKERS + WAKINGS; n < OPERATIONS; n++) {
        operate(n, -1);
        s->state[n] = RETURNED;
    }
    for (int process = 0; process < PROCESSES; process++)
        if (s->pid[process] > 0 && !s->dead[process]) {
            kill(s->pid[process], SIGKILL);
            waitpid(s->pid[process], NULL, 0);
        }
    unmake();
    rename_identifiers();
    for (int execution = 0; execution < EXECUTIONS; execution++)
        if (fits(execution))
            return 1;
    return 0;
}

int main(int count, char **arguments)
{
    static char name[] = "/tmp/reproduce-XXXXXX";
    double seconds = count > 1 ? atof(arguments[1]) : 20;
    s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    folder = mkdtemp(name);
    if (s == MAP_FAILED || !folder || chdir(folder) != 0) {
        perror("cannot begin");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    printf("%s\n", statement);
    fflush(stdout);
    int deviates = 0;
    for (long long until = now() + (long long)(seconds * 1e9); !deviates && now() < until; round_number++)
        if (!try_once()) {
            show();
            deviates = 1;
        }
    if (chdir("/") == 0)
        rmdir(folder);
    if (!deviates)
        printf("expected and observed in %d rounds: the results of a sequential order of the calls\n", round_number);
    printf("%s\n", deviates ? "this platform deviates" : "no deviation found");
    return deviates;
}
