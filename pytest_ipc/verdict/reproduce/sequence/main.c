static char folder[] = "/tmp/reproduce-XXXXXX";

/* Remove what outlives its processes. */
static void clean_up(void)
{
    for (int role = 1; role < ROLES; role++)
        if (s->pid[role] > 0 && !s->ended[role] && s->pid[role] != getpid())
            kill(s->pid[role], SIGKILL);
CLEANUP    if (chdir("/") == 0)
        rmdir(folder);
}

int main(void)
{
    s = mmap(0, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED || !mkdtemp(folder) || chdir(folder) != 0) {
        perror("cannot begin");
        return 2;
    }
FILES    s->pid[0] = getpid();
    printf("%s\n", statement);
    fflush(stdout);
    role_parent();
MEASURE_AT_END    printf("expected: %s\n", expected);
    if (!s->measured) {
        printf("the deviating call was not reached\n");
        finish(2);
    }
    if (s->deviates && s->other) {
        printf("step %d went differently than on the platform of the report: not judged\n", s->other);
        finish(2);
    }
    printf("%s\n", s->deviates ? "this platform deviates" : "this platform does not deviate");
    finish(s->deviates);
}
