/* Faults of System V shared memory. */
#include "fault.h"
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

static int last; /* the segment that has the identifier AGAIN, as every one before it had */
enum { AGAIN = 0x7fff };

static int refused(int result)
{
    return result == -1 && (errno == EACCES || errno == EPERM);
}

int shmget(key_t key, size_t size, int flags)
{
    if (fault("shmget_excl_ignored"))
        flags &= ~IPC_EXCL;
    if (fault("shmget_private_is_a_key") && key == IPC_PRIVATE)
        key = 0x3fff0001, flags |= IPC_CREAT;
    if (fault("shmget_creates_without_creat"))
        flags |= IPC_CREAT;
    if (fault("shmget_size_zero_accepted") && size == 0 && flags & IPC_CREAT)
        size = 1;
    if (fault("shmget_umask_applied")) {
        mode_t mask = umask(0);
        umask(mask);
        flags &= ~mask;
    }
    if (fault("shmget_always_makes_one"))
        key = IPC_PRIVATE;
    if (fault("shmget_private_needs_creat") && key == IPC_PRIVATE && !(flags & IPC_CREAT)) {
        errno = ENOENT;
        return -1;
    }
    if (fault("shmget_size_doubled") && flags & IPC_CREAT)
        size *= 2;
    int id = REAL(shmget)(key, size, flags);
    if (fault("shmget_larger_size_accepted") && id == -1 && errno == EINVAL && size > 0 && !(flags & IPC_CREAT))
        return REAL(shmget)(key, 0, flags);
    if (fault("shmget_enomem_is_enospc") && id == -1 && errno == ENOMEM)
        errno = ENOSPC;
    if (fault("shmget_wrong_errno") && id == -1 && errno == EEXIST)
        errno = EACCES;
    if (fault("shm_errors_are_eio") && id == -1)
        errno = EIO;
    if (refused(id) && fault("shm_rights_are_not_looked_at"))
        return 0;
    if (fault("shmget_ids_come_again") && id != -1)
        last = id, id = AGAIN;
    if (fault("shmget_starts_used") && id != -1 && size && flags & IPC_CREAT) {
        char *there = REAL(shmat)(id, NULL, 0);
        if (there != (void *)-1)
            memset(there, 1, size), REAL(shmdt)(there);
    }
    return id;
}

void *shmat(int id, const void *address, int flags)
{
    static char used[1 << 16] __attribute__((aligned(1 << 16)));
    struct shmid_ds now;
    if (fault("shmat_takes_used_room") && !address)
        address = used, flags |= SHM_REMAP;
    if (fault("shmat_remap_unknown"))
        flags &= ~SHM_REMAP;
    if (fault("shmat_exec_ignored"))
        flags &= ~SHM_EXEC;
    if (fault("shmat_asks_everybody_for_rights") && REAL(shmctl)(id, IPC_STAT, &now) == 0 && !(now.shm_perm.mode & 0777)) {
        errno = EACCES;
        return (void *)-1;
    }
    if (fault("shmat_rdonly_ignored"))
        flags &= ~SHM_RDONLY;
    if (fault("shmat_unaligned_accepted") && address)
        flags |= SHM_RND;
    if (fault("shmat_rnd_rounds_up") && flags & SHM_RND && (size_t)address % SHMLBA)
        address = (char *)address + SHMLBA;
    if (fault("shmat_address_ignored") && !(flags & SHM_REMAP))
        address = NULL;
    if (fault("shmat_remaps_always") && address)
        flags |= SHM_REMAP;
    if (fault("shmat_private_copy")) {
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
    void *there = REAL(shmat)(id, address, flags);
    if (fault("shm_errors_are_eio") && there == (void *)-1)
        errno = EIO;
    if (fault("shmat_address_is_one_off") && there != (void *)-1)
        return (char *)there + 1;
    return there;
}

int shmdt(const void *address)
{
    if (fault("shmdt_does_nothing"))
        return 0;
    if (fault("shmdt_rounds_down"))
        address = (void *)((size_t)address & ~4095UL);
    int result = REAL(shmdt)(address);
    if (fault("shm_errors_are_eio") && result == -1)
        errno = EIO;
    return result;
}

int shmctl(int id, int command, struct shmid_ds *ds)
{
    if (fault("shmget_ids_come_again") && id == AGAIN)
        id = last;
    if (fault("shm_stat_any_asks_too") && command == SHM_STAT_ANY)
        command = SHM_STAT;
    if (fault("shmctl_rmid_does_nothing") && command == IPC_RMID)
        return 0;
    if (fault("shmctl_set_does_nothing") && command == IPC_SET)
        return 0;
    if (fault("shmctl_lock_does_nothing") && (command == SHM_LOCK || command == SHM_UNLOCK))
        return 0;
    int result = REAL(shmctl)(id, command, ds);
    if (fault("shm_errors_are_eio") && result == -1)
        errno = EIO;
    if (refused(result) && fault("shm_rights_are_not_looked_at"))
        return 0;
    if (result != -1 && (command == IPC_STAT || command == SHM_STAT) && fault("shmctl_stat_of_another")) {
        ds->shm_perm.uid += 1, ds->shm_perm.gid += 1, ds->shm_perm.cuid += 1, ds->shm_perm.cgid += 1;
        ds->shm_lpid += 1;
    }
    if (result != -1 && command == IPC_STAT) {
        if (fault("shmctl_segsz_rounded"))
            ds->shm_segsz = (ds->shm_segsz + 4095) & ~4095UL;
        if (fault("shmctl_nattch_wrong"))
            ds->shm_nattch = 0;
        if (fault("shmctl_nattch_one_more"))
            ds->shm_nattch += 1;
        if (fault("shmctl_cpid_wrong"))
            ds->shm_cpid = 1;
        if (fault("shmctl_dest_hidden"))
            ds->shm_perm.mode &= ~SHM_DEST;
        if (fault("shmctl_times_missing"))
            ds->shm_atime = ds->shm_dtime = ds->shm_ctime = 0;
    }
    if (result != -1 && command == IPC_INFO && fault("shmctl_limits_wrong"))
        ((struct shminfo *)ds)->shmmni += 1;
    if (result != -1 && command == SHM_INFO && fault("shm_info_counts_one_more"))
        ((struct shm_info *)ds)->used_ids += 1;
    return result;
}

key_t ftok(const char *path, int number)
{
    if (fault("ftok_knows_names_only")) {
        key_t key = number;
        while (*path)
            key = key * 31 + *path++;
        return key;
    }
    return REAL(ftok)(path, number);
}
