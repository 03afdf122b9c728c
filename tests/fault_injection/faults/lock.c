/* Faults of file locks and leases. descriptor.c, which has fcntl(), passes their commands to lock_fcntl(). */
#include "fault.h"
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* The custody of this project locks its ledgers. They are not lied about: what would fail then is no clause. */
static int is_ledger(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strstr(path, ".ledger") != NULL;
}

static int refuse(int number)
{
    errno = number;
    return -1;
}

static int is_regular(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static int is_mapped(const void *address)
{
    uintptr_t page = (uintptr_t)address & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
    return msync((void *)page, 1, MS_ASYNC) == 0;
}

/* flock(2) in terms of record locks, as other systems and old libraries have it. */
static int flock_by_fcntl(int fd, int operation)
{
    struct flock lock = {.l_whence = SEEK_SET};
    int kind = operation & ~LOCK_NB;
    lock.l_type = kind == LOCK_SH ? F_RDLCK : kind == LOCK_EX ? F_WRLCK : F_UNLCK;
    return REAL(fcntl)(fd, operation & LOCK_NB || kind == LOCK_UN ? F_SETLK : F_SETLKW, &lock);
}

int flock(int fd, int operation)
{
    int kind = operation & ~LOCK_NB;
    if (is_ledger(fd))
        return REAL(flock)(fd, operation);
    if (fault("flock_is_fcntl"))
        return flock_by_fcntl(fd, operation);
    if (fault("flock_shared_is_exclusive") && kind == LOCK_SH)
        operation = LOCK_EX | (operation & LOCK_NB);
    if (fault("flock_unlock_does_nothing") && kind == LOCK_UN)
        return 0;
    if (fault("flock_must_wait") && operation & LOCK_NB)
        return refuse(EINVAL);
    if (fault("flock_does_nothing"))
        return fcntl(fd, F_GETFD) == -1 ? -1 : 0;
    if (fault("flock_needs_a_way_to_write") && kind == LOCK_EX && (REAL(fcntl)(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
        return refuse(EBADF);
    if (fault("flock_of_regular_files_alone") && !is_regular(fd))
        return refuse(EINVAL);
    int result = REAL(flock)(fd, fault("flock_never_waits") ? operation | LOCK_NB : operation);
    if (result == -1 && ((fault("flock_any_operation") && errno == EINVAL) || (fault("flock_interruption_unnoticed") && errno == EINTR) || (fault("flock_refusal_hidden") && errno == EWOULDBLOCK) ||
                         (fault("flock_never_waits") && !(operation & LOCK_NB))))
        return 0;
    if (fault("flock_conversion_keeps_the_old") && result == -1 && errno == EWOULDBLOCK && kind == LOCK_EX) {
        REAL(flock)(fd, LOCK_SH | LOCK_NB);
        return refuse(EWOULDBLOCK);
    }
    return result;
}

static int ask(int fd, int command, struct flock *lock)
{
    struct flock before = *lock;
    if (fault("getlk_sees_nothing")) {
        lock->l_type = F_UNLCK;
        return 0;
    }
    int result = REAL(fcntl)(fd, fault("locks_belong_to_descriptions") ? F_OFD_GETLK : command, lock);
    if (result == -1 || lock->l_type == F_UNLCK) {
        if (fault("getlk_clears_the_rest") && result == 0)
            lock->l_start = lock->l_len = lock->l_pid = 0;
        if (fault("getlk_own_locks_too") && result == 0 && command == F_GETLK)
            *lock = before;
        return result;
    }
    if (fault("getlk_hides_the_holder"))
        lock->l_pid = 0;
    if (fault("getlk_gives_what_was_asked"))
        lock->l_start = before.l_start, lock->l_len = before.l_len;
    return 0;
}

static int set(int fd, int command, struct flock *lock)
{
    int waits = command == F_SETLKW || command == F_OFD_SETLKW;
    if (fault("setlk_does_nothing"))
        return 0;
    if (fault("setlk_read_is_write") && lock->l_type == F_RDLCK)
        lock->l_type = F_WRLCK;
    if (fault("setlk_from_the_start") && lock->l_whence != SEEK_SET)
        lock->l_whence = SEEK_SET, lock->l_start = lock->l_start < 0 ? 0 : lock->l_start;
    if (fault("setlk_length_is_positive") && lock->l_len < 0)
        lock->l_len = -lock->l_len;
    if (fault("setlk_clips_at_the_start") && lock->l_whence == SEEK_SET && lock->l_start < 0)
        lock->l_start = 0;
    if (fault("setlk_ends_with_the_file") && lock->l_type != F_UNLCK && lock->l_whence == SEEK_SET) {
        struct stat st;
        fstat(fd, &st);
        if (lock->l_start >= st.st_size)
            return 0;
        if (lock->l_len == 0 || lock->l_start + lock->l_len > st.st_size)
            lock->l_len = st.st_size - lock->l_start;
    }
    if (fault("setlk_unlocks_everything") && lock->l_type == F_UNLCK)
        lock->l_start = lock->l_len = 0;
    if (fault("locks_belong_to_descriptions"))
        command = waits ? F_OFD_SETLKW : F_OFD_SETLK;
    if (fault("setlkw_never_waits") && waits)
        command = command == F_SETLKW ? F_SETLK : F_OFD_SETLK;
    if (fault("setlkw_fears_deadlocks") && command == F_SETLKW && REAL(fcntl)(fd, F_SETLK, lock) == -1)
        return refuse(EDEADLK);
    int result = REAL(fcntl)(fd, command, lock);
    if (result == -1 && ((fault("setlk_refusal_hidden") && errno == EAGAIN) || (fault("setlk_any_open_mode") && errno == EBADF) ||
                         (fault("setlk_any_range") && (errno == EOVERFLOW || errno == EINVAL)) ||
                         (fault("setlkw_deadlock_hidden") && errno == EDEADLK) || (fault("setlkw_interruption_unnoticed") && errno == EINTR) ||
                         (fault("setlkw_never_waits") && waits)))
        return 0;
    return result;
}

static int lease(int fd, int command, long arg)
{
    if (fault("lease_does_nothing") && command == F_SETLEASE)
        return 0;
    if (fault("setsig_does_nothing") && command == F_SETSIG)
        return 0;
    int result = REAL(fcntl)(fd, command, arg);
    if (fault("getlease_always_none") && command == F_GETLEASE && result >= 0)
        return F_UNLCK;
    if (command == F_SETLEASE && result == -1 &&
        ((fault("lease_of_an_open_file") && errno == EAGAIN) || (fault("lease_of_anything") && errno == EINVAL) ||
         (fault("lease_for_everybody") && errno == EACCES)))
        return 0;
    return result;
}

/* What fcntl() does with a command on locks, leases or their signals; 0 in *known for any other command. */
int lock_fcntl(int fd, int command, long arg, int *known)
{
    struct flock copy, *lock = (struct flock *)arg;
    *known = 1;
    switch (command) {
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        if (fault("ofd_any_pid") && is_mapped(lock) && lock->l_pid) {
            copy = *lock;
            copy.l_pid = 0;
            return REAL(fcntl)(fd, command, &copy);
        }
        if (fault("ofd_locks_belong_to_processes"))
            command = command == F_OFD_GETLK ? F_GETLK : command == F_OFD_SETLK ? F_SETLK : F_SETLKW;
        break;
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
        break;
    case F_SETLEASE:
    case F_GETLEASE:
    case F_SETSIG:
        return lease(fd, command, arg);
    default:
        *known = 0;
        return 0;
    }
    if (!is_mapped(lock)) /* for the kernel to find */
        return fault("setlk_any_address") ? 0 : REAL(fcntl)(fd, command, arg);
    return command == F_GETLK || command == F_OFD_GETLK ? ask(fd, command, lock) : set(fd, command, lock);
}

/* What a file is opened with. */
int lock_flags(int flags)
{
    return fault("lease_breakers_never_wait") ? flags | O_NONBLOCK : flags;
}

/* What open() gives, once *fd* is open: where locks are mandatory, no way to write to what another has locked. */
int lock_opened(int fd, int flags)
{
    if (!fault("locks_are_mandatory") || fd == -1 || (flags & O_ACCMODE) == O_RDONLY || flags & O_PATH || !is_regular(fd) || is_ledger(fd))
        return fd;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int is_free = REAL(flock)(fd, LOCK_SH | LOCK_NB) == 0 && REAL(fcntl)(fd, F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
    REAL(flock)(fd, LOCK_UN);
    if (is_free)
        return fd;
    close(fd);
    return refuse(EACCES);
}

int lockf(int fd, int command, off_t length)
{
    if (fault("lockf_length_ignored"))
        length = 0;
    if (fault("lockf_test_locks") && command == F_TEST)
        command = F_TLOCK;
    if (fault("lockf_is_flock"))
        return REAL(flock)(fd, command == F_LOCK ? LOCK_EX : command == F_ULOCK ? LOCK_UN : LOCK_EX | LOCK_NB);
    int result = REAL(lockf)(fd, fault("lockf_never_waits") && command == F_LOCK ? F_TLOCK : command, length);
    if (result == -1 && ((fault("lockf_refusal_hidden") && (errno == EAGAIN || errno == EACCES)) || (fault("lockf_never_waits") && errno == EAGAIN) ||
                         (fault("lockf_any_command") && errno == EINVAL) || (fault("lockf_any_descriptor") && errno == EBADF)))
        return 0;
    return result;
}
