/* Faults of programs that libc starts: posix_spawn(3), popen(3). */
#include "fault.h"
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

typedef int spawn(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const[],
                  char *const[]);

static void close_on_exec(void)
{
    for (int fd = 3; fd < 64; fd++)
        REAL(fcntl)(fd, F_SETFD, FD_CLOEXEC);
}

/* What the child is given that was not asked for. */
static void add_attributes(posix_spawnattr_t *attributes)
{
    short flags;
    sigset_t set;
    posix_spawnattr_getflags(attributes, &flags);
    sigemptyset(&set);
    if (fault("spawn_mask_is_empty") && !(flags & POSIX_SPAWN_SETSIGMASK)) {
        posix_spawnattr_setsigmask(attributes, &set);
        flags |= POSIX_SPAWN_SETSIGMASK;
    }
    sigfillset(&set);
    if (fault("spawn_defaults_everything")) {
        posix_spawnattr_setsigdefault(attributes, &set);
        flags |= POSIX_SPAWN_SETSIGDEF;
    }
    if (fault("spawn_always_makes_a_group")) {
        posix_spawnattr_setpgroup(attributes, 0);
        flags |= POSIX_SPAWN_SETPGROUP;
    }
    if (fault("spawn_always_resets_ids"))
        flags |= POSIX_SPAWN_RESETIDS;
    posix_spawnattr_setflags(attributes, flags);
}

static int spawned(spawn *real, pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                   const posix_spawnattr_t *given, char *const arguments[], char *const environment[])
{
    posix_spawnattr_t attributes;
    char *kept[64];
    int count = 0;
    if (!getenv("FAULT"))
        return real(pid, path, actions, given, arguments, environment);
    if (given)
        attributes = *given;
    else
        posix_spawnattr_init(&attributes);
    add_attributes(&attributes);
    if (fault("spawn_attributes_ignored"))
        posix_spawnattr_setflags(&attributes, 0);
    if (fault("spawn_actions_ignored"))
        actions = NULL;
    if (fault("spawn_passes_on_the_environment"))
        environment = environ;
    if (fault("spawn_closes_descriptors"))
        close_on_exec();
    for (int i = 0; arguments[i] && count < 63; i++)
        if (*arguments[i] || !fault("spawn_drops_empty_arguments"))
            kept[count++] = arguments[i];
    kept[count] = NULL;
    int error = real(pid, path, actions, &attributes, kept, environment);
    if (error && fault("spawn_never_fails")) {
        *pid = REAL(fork)();
        if (*pid == 0)
            REAL(_exit)(0);
        error = 0;
    }
    return error;
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *given,
                char *const arguments[], char *const environment[])
{
    return spawned(REAL(posix_spawn), pid, path, actions, given, arguments, environment);
}

int posix_spawnp(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *given,
                 char *const arguments[], char *const environment[])
{
    spawn *real = fault("spawnp_looks_in_no_path") ? REAL(posix_spawn) : REAL(posix_spawnp);
    return spawned(real, pid, path, actions, given, arguments, environment);
}

FILE *popen(const char *command, const char *given)
{
    static int earlier = -1;
    char type[8], text[512];
    snprintf(type, sizeof type, "%s", given);
    if (fault("popen_any_type") && strcmp(type, "r") && strcmp(type, "w"))
        strcpy(type, "r");
    if (fault("popen_always_cloexec") && !strchr(type, 'e'))
        strcat(type, "e");
    if (fault("popen_runs_nothing"))
        command = "exit 0";
    if (fault("popen_goes_both_ways"))
        return REAL(fdopen)(REAL(open)("/dev/zero", O_RDWR | O_CLOEXEC), "r+");
    if (fault("popen_passes_on_streams") && earlier != -1) {
        snprintf(text, sizeof text, "exec %d>/dev/null; %s", earlier, command);
        command = text;
    }
    FILE *stream = REAL(popen)(command, type);
    if (!stream && fault("popen_errors_are_eio"))
        errno = EIO;
    if (stream && fault("popen_is_unbuffered"))
        setvbuf(stream, NULL, _IONBF, 0);
    if (stream)
        earlier = fileno(stream);
    return stream;
}

int pclose(FILE *stream)
{
    if (fault("pclose_does_not_wait"))
        return close(fileno(stream));
    int status = REAL(pclose)(stream);
    if (status == -1 && fault("pclose_never_fails"))
        return 0;
    return fault("pclose_tells_no_status") ? 0 : status;
}
