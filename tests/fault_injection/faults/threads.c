/* Faults of threads and signals: pthread_kill(3), sigwait(3), the mask of a new thread; and of system(3). */
#include "fault.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

int pthread_kill(pthread_t thread, int signo)
{
    if (fault("pthread_kill_is_for_the_process"))
        return REAL(kill)(getpid(), signo) == -1 ? errno : 0;
    if (fault("pthread_kill_sends_nothing"))
        signo = 0;
    if (fault("pthread_kill_0_is_a_signal") && signo == 0)
        signo = SIGUSR1;
    int result = REAL(pthread_kill)(thread, signo);
    return result && fault("pthread_kill_never_fails") ? 0 : result;
}

int sigwait(const sigset_t *set, int *signo)
{
    int result = REAL(sigwait)(set, signo);
    if (result == 0 && fault("sigwait_leaves_it_there"))
        REAL(kill)(getpid(), *signo);
    if (result == 0 && fault("sigwait_gives_another_number"))
        *signo += 1;
    return result;
}

struct beginning {
    void *(*start)(void *);
    void *argument;
};

static void *begin_unmasked(void *given)
{
    struct beginning beginning = *(struct beginning *)given;
    sigset_t none;
    free(given);
    sigemptyset(&none);
    REAL(pthread_sigmask)(SIG_SETMASK, &none, NULL);
    return beginning.start(beginning.argument);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    if (fault("threads_begin_with_an_empty_mask")) {
        struct beginning *beginning = malloc(sizeof *beginning);
        *beginning = (struct beginning){start, argument};
        return REAL(pthread_create)(thread, attributes, begin_unmasked, beginning);
    }
    return REAL(pthread_create)(thread, attributes, start, argument);
}

/* What system(3) does, without anything that it does to signals. */
static int run(const char *command)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    while (waitpid(child, &status, 0) == -1 && errno == EINTR)
        ;
    return status;
}

int system(const char *command)
{
    if (!command && fault("system_has_no_shell"))
        return 0;
    if (command && fault("system_leaves_signals_alone"))
        return run(command);
    struct sigaction ignored = {.sa_handler = SIG_IGN}, before[2];
    int inherit = command && fault("system_has_its_command_ignore_too");
    if (inherit)
        sigaction(SIGINT, &ignored, &before[0]), sigaction(SIGQUIT, &ignored, &before[1]);
    int status = REAL(system)(command);
    if (inherit)
        sigaction(SIGINT, &before[0], NULL), sigaction(SIGQUIT, &before[1], NULL);
    if (fault("system_goes_on_ignoring"))
        sigaction(SIGINT, &ignored, NULL);
    if (fault("system_gives_the_exit_status") && WIFEXITED(status))
        return WEXITSTATUS(status);
    return status;
}
