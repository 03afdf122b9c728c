/* A libc that lies: with LIE=name in the environment one call answers wrongly, everything else is passed on.
 *
 * Loaded with LD_PRELOAD. Each lie is one branch; table.py says which clauses must notice it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int lie(const char *name)
{
    const char *told = getenv("LIE");
    return told && strcmp(told, name) == 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* System V shared memory */

int shmget(key_t key, size_t size, int flags)
{
    if (lie("shmget_excl_ignored"))
        flags &= ~IPC_EXCL;
    if (lie("shmget_private_is_a_key") && key == IPC_PRIVATE)
        key = 0x3fff0001, flags |= IPC_CREAT;
    if (lie("shmget_creates_without_creat"))
        flags |= IPC_CREAT;
    if (lie("shmget_size_zero_accepted") && size == 0 && flags & IPC_CREAT)
        size = 1;
    if (lie("shmget_umask_applied")) {
        mode_t mask = umask(0);
        umask(mask);
        flags &= ~mask;
    }
    if (lie("shmget_size_doubled") && flags & IPC_CREAT)
        size *= 2;
    int id = REAL(shmget)(key, size, flags);
    if (lie("shmget_larger_size_accepted") && id == -1 && errno == EINVAL && size > 0 && !(flags & IPC_CREAT))
        return REAL(shmget)(key, 0, flags);
    if (lie("shmget_wrong_errno") && id == -1 && errno == EEXIST)
        errno = EACCES;
    return id;
}

void *shmat(int id, const void *address, int flags)
{
    if (lie("shmat_rdonly_ignored"))
        flags &= ~SHM_RDONLY;
    if (lie("shmat_unaligned_accepted") && address)
        flags |= SHM_RND;
    if (lie("shmat_rnd_rounds_up") && flags & SHM_RND && (size_t)address % SHMLBA)
        address = (char *)address + SHMLBA;
    if (lie("shmat_address_ignored") && !(flags & SHM_REMAP))
        address = NULL;
    if (lie("shmat_remaps_always") && address)
        flags |= SHM_REMAP;
    if (lie("shmat_private_copy")) {
        char *there = REAL(shmat)(id, address, flags);
        struct shmid_ds ds;
        if (there != (void *)-1 && !(flags & SHM_RDONLY) && REAL(shmctl)(id, IPC_STAT, &ds) == 0) {
            size_t size = (ds.shm_segsz + 4095) & ~4095UL;
            char *copy = malloc(size);
            memcpy(copy, there, size);
            mmap(there, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            memcpy(there, copy, size);
            free(copy);
        }
        return there;
    }
    return REAL(shmat)(id, address, flags);
}

int shmdt(const void *address)
{
    if (lie("shmdt_does_nothing"))
        return 0;
    if (lie("shmdt_rounds_down"))
        address = (void *)((size_t)address & ~4095UL);
    return REAL(shmdt)(address);
}

int shmctl(int id, int command, struct shmid_ds *ds)
{
    if (lie("shmctl_rmid_does_nothing") && command == IPC_RMID)
        return 0;
    if (lie("shmctl_set_does_nothing") && command == IPC_SET)
        return 0;
    if (lie("shmctl_lock_does_nothing") && (command == SHM_LOCK || command == SHM_UNLOCK))
        return 0;
    int result = REAL(shmctl)(id, command, ds);
    if (result != -1 && command == IPC_STAT) {
        if (lie("shmctl_segsz_rounded"))
            ds->shm_segsz = (ds->shm_segsz + 4095) & ~4095UL;
        if (lie("shmctl_nattch_wrong"))
            ds->shm_nattch = 0;
        if (lie("shmctl_cpid_wrong"))
            ds->shm_cpid = 1;
        if (lie("shmctl_dest_hidden"))
            ds->shm_perm.mode &= ~SHM_DEST;
        if (lie("shmctl_times_missing"))
            ds->shm_atime = ds->shm_dtime = ds->shm_ctime = 0;
    }
    if (result != -1 && command == IPC_INFO && lie("shmctl_limits_wrong"))
        ((struct shminfo *)ds)->shmmni += 1;
    return result;
}

/* pipes */

int pipe2(int fds[2], int flags)
{
    if (lie("pipe_two_way"))
        return socketpair(AF_UNIX, SOCK_STREAM | (flags & O_CLOEXEC ? SOCK_CLOEXEC : 0) | (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0),
                          0, fds);
    if (lie("pipe2_nonblock_ignored"))
        flags &= ~O_NONBLOCK;
    if (lie("pipe2_cloexec_ignored"))
        flags &= ~O_CLOEXEC;
    if (lie("pipe2_any_flag_accepted"))
        flags &= O_NONBLOCK | O_CLOEXEC | O_DIRECT;
    if (lie("pipe_ends_swapped")) {
        int result = REAL(pipe2)(fds, flags), first = fds[0];
        if (result == 0)
            fds[0] = fds[1], fds[1] = first;
        return result;
    }
    return REAL(pipe2)(fds, flags);
}

static int is_fifo(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

ssize_t write(int fd, const void *data, size_t count)
{
    if (lie("pipe_write_is_cut") && is_fifo(fd) && count > 100)
        count = 100;
    ssize_t result = REAL(write)(fd, data, count);
    if (lie("pipe_epipe_hidden") && result == -1 && errno == EPIPE)
        return (ssize_t)count;
    return result;
}

static int fcntl_arg(int fd, int command, long arg)
{
    if (lie("setpipe_sz_does_nothing") && command == F_SETPIPE_SZ && arg >= 0)
        return (int)arg;
    return REAL(fcntl)(fd, command, arg);
}

int fcntl(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    long arg = va_arg(list, long);
    va_end(list);
    return fcntl_arg(fd, command, arg);
}

int fcntl64(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    long arg = va_arg(list, long);
    va_end(list);
    return fcntl_arg(fd, command, arg);
}

/* FIFOs */

static int path_flags(int dirfd, const char *path, int flags)
{
    struct stat st;
    if (fstatat(dirfd, path, &st, 0) == -1 || !S_ISFIFO(st.st_mode))
        return flags;
    int access = flags & O_ACCMODE;
    if (lie("fifo_open_returns_at_once") && access != O_RDWR && !(flags & O_NONBLOCK))
        return (flags & ~O_ACCMODE) | O_RDWR;
    if (lie("fifo_nonblock_writer_needs_no_reader") && access == O_WRONLY && flags & O_NONBLOCK)
        return (flags & ~O_ACCMODE) | O_RDWR;
    if (lie("fifo_nonblock_ignored"))
        return flags & ~O_NONBLOCK;
    return flags;
}

#define OPEN_MODE(flags) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { \
        va_list list; \
        va_start(list, flags); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    }

int open(const char *path, int flags, ...)
{
    OPEN_MODE(flags)
    return REAL(open)(path, path_flags(AT_FDCWD, path, flags), mode);
}

int open64(const char *path, int flags, ...)
{
    OPEN_MODE(flags)
    return REAL(open64)(path, path_flags(AT_FDCWD, path, flags), mode);
}

int mkfifo(const char *path, mode_t mode)
{
    if (lie("mkfifo_umask_ignored")) {
        int result = REAL(mkfifo)(path, mode);
        if (result == 0)
            chmod(path, mode);
        return result;
    }
    if (lie("mkfifo_makes_a_file")) {
        int fd = REAL(open)(path, O_CREAT | O_EXCL | O_RDWR, mode);
        return fd == -1 ? -1 : close(fd);
    }
    int result = REAL(mkfifo)(path, mode);
    if (lie("mkfifo_existing_accepted") && result == -1 && errno == EEXIST)
        return 0;
    return result;
}

/* signals */

int sigaction(int signo, const struct sigaction *act, struct sigaction *old)
{
    struct sigaction changed;
    if (act) {
        changed = *act;
        if (lie("sigaction_restart_dropped"))
            changed.sa_flags &= ~SA_RESTART;
        if (lie("sigaction_restart_always"))
            changed.sa_flags |= SA_RESTART;
        if (lie("sigaction_resethand_dropped"))
            changed.sa_flags &= ~SA_RESETHAND;
        if (lie("sigaction_nocldwait_dropped"))
            changed.sa_flags &= ~SA_NOCLDWAIT;
        if (lie("sigaction_nocldstop_dropped"))
            changed.sa_flags &= ~SA_NOCLDSTOP;
        if (lie("sigaction_mask_dropped"))
            sigemptyset(&changed.sa_mask);
        act = &changed;
    }
    int result = REAL(sigaction)(signo, act, old);
    if (lie("sigaction_kill_accepted") && result == -1 && (signo == SIGKILL || signo == SIGSTOP))
        return 0;
    return result;
}

int sigqueue(pid_t pid, int signo, const union sigval value)
{
    union sigval changed = value;
    if (lie("sigqueue_value_lost"))
        changed.sival_int = 0;
    if (lie("sigqueue_is_kill"))
        return kill(pid, signo);
    return REAL(sigqueue)(pid, signo, changed);
}

int sigpending(sigset_t *set)
{
    int result = REAL(sigpending)(set);
    if (lie("sigpending_empty"))
        sigemptyset(set);
    return result;
}

int kill(pid_t pid, int signo)
{
    if (lie("kill_zero_sends_nothing_and_never_fails") && signo == 0)
        return 0;
    if (lie("kill_stop_does_nothing") && signo == SIGSTOP)
        return 0;
    if (lie("kill_any_signal_number") && (signo < 0 || signo > 64))
        return 0;
    return REAL(kill)(pid, signo);
}
