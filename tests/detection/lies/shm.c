/* Lies about System V shared memory. */
#include "lie.h"
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>

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
