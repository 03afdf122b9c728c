/* Faults of fork(2): the attributes that a child inherits, those that it must not inherit, and its end by _exit(2). */
#include "fault.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <time.h>

int forked; /* how many forks are between this process and the one with the fault */

/* What stays with a parent. */
struct own {
    sigset_t pending;
    struct itimerval timers[3];
    int deathsig;
};

static void look(struct own *own)
{
    sigpending(&own->pending);
    for (int which = 0; which < 3; which++)
        REAL(getitimer)(which, &own->timers[which]);
    REAL(prctl)(PR_GET_PDEATHSIG, &own->deathsig);
}

static void pass_on(const struct own *own)
{
    static char memory[1];
    timer_t timer;
    for (int signo = 1; signo < 32; signo++)
        if (sigismember(&own->pending, signo) == 1)
            REAL(kill)(getpid(), signo);
    for (int which = 0; which < 3; which++)
        REAL(setitimer)(which, &own->timers[which], NULL);
    REAL(prctl)(PR_SET_PDEATHSIG, own->deathsig);
    REAL(timer_create)(CLOCK_MONOTONIC, &(struct sigevent){.sigev_notify = SIGEV_NONE}, &timer);
    mlock(memory, sizeof memory);
    for (int fd = 3; fd < 64; fd++)
        if (REAL(fcntl)(fd, F_NOTIFY, (long)DN_CREATE) == 0)
            REAL(fcntl)(fd, F_SETOWN, (long)getpid());
}

static void *sleep_for_ever(void *nothing)
{
    for (;;)
        REAL(pause)();
    return nothing;
}

/* A file of its own behind every descriptor of a regular file; what is in memory is the suite's own. */
static void open_anew(void)
{
    char path[256];
    struct stat st;
    for (int fd = 3; fd < 64; fd++) {
        if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || strncmp(target_of(fd, path), "/memfd:", 7) == 0)
            continue;
        int another = REAL(open)(path, O_RDWR | O_CLOEXEC);
        if (another != -1)
            dup3(another, fd, O_CLOEXEC), close(another);
    }
}

static void begin_with_defaults(void)
{
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    for (int signo = 1; signo < 32; signo++)
        signal(signo, SIG_DFL);
    sigaltstack(&(const stack_t){.ss_flags = SS_DISABLE}, NULL);
}

pid_t fork(void)
{
    struct own own;
    pthread_t thread;
    pid_t parent = getpid();
    if (fault("fork_passes_on_too_much"))
        look(&own);
    pid_t child = REAL(fork)();
    if (child != 0 || !getenv("FAULT"))
        return child;
    forked++;
    if (forked > 1 && fault("fork_passes_on_too_much"))
        pass_on(&own);
    if (fault("fork_copies_every_thread"))
        pthread_create(&thread, NULL, sleep_for_ever, NULL);
    if (forked > 1 && fault("fork_makes_a_group"))
        REAL(setpgid)(0, 0);
    if (fault("fork_of_a_leader_makes_a_session") && getsid(0) == parent)
        REAL(setsid)();
    if (fault("fork_enters_a_new_namespace"))
        REAL(unshare)(CLONE_NEWIPC);
    if (fault("fork_opens_files_anew"))
        open_anew();
    if (fault("fork_begins_with_defaults"))
        begin_with_defaults();
    for (int fd = 3; fd < 64 && fault("fork_closes_pipes"); fd++)
        if (is_fifo(fd))
            close(fd);
    return 0;
}

pid_t getppid(void)
{
    return fault("getppid_is_init") ? 1 : REAL(getppid)();
}

int prctl(int option, ...)
{
    va_list list;
    va_start(list, option);
    unsigned long a[4];
    for (int i = 0; i < 4; i++)
        a[i] = va_arg(list, unsigned long);
    va_end(list);
    if (option == PR_SET_PDEATHSIG && a[0] && fault("pdeathsig_is_sigkill"))
        a[0] = SIGKILL;
    static int asked; /* for at the end of the parent, as a child finds it */
    if (option == PR_SET_PDEATHSIG && fault("pdeathsig_is_not_sent"))
        a[0] = 0;
    if (option == PR_SET_PDEATHSIG && a[0] == SIGUSR1 && fault("pdeathsig_comes_at_once"))
        raise(SIGUSR1);
    if (option == PR_SET_PDEATHSIG)
        asked = (int)a[0];
    if (option == PR_GET_PDEATHSIG && fault("pdeathsig_is_inherited")) {
        *(int *)a[0] = asked;
        return 0;
    }
    if (option == PR_SET_CHILD_SUBREAPER && fault("subreaper_adopts_nobody"))
        return 0;
    int result = REAL(prctl)(option, a[0], a[1], a[2], a[3]);
    if (option == PR_GET_PDEATHSIG && result == 0 && fault("pdeathsig_is_told_one_off"))
        *(int *)a[0] += 1;
    if (option == PR_SET_SECCOMP && fault("strict_mode_is_no_place_to_live"))
        getsid(0);
    return result;
}

void _exit(int status)
{
    if (fault("exit_status_is_cut"))
        status &= 0x7f;
    if (fault("exit_writes_buffers"))
        fflush(NULL);
    if (fault("exit_of_a_thread_tells_nothing") && gettid() != getpid())
        status = 0;
    REAL(_exit)(status);
    __builtin_unreachable();
}
