/* Races in System V shared memory. */
#include "race.h"
#include <sys/ipc.h>
#include <sys/shm.h>

int shmget(key_t key, size_t size, int flags)
{
    if (race("shmget_excl_won_by_two") && flags & IPC_EXCL) {
        if (REAL(shmget)(key, 0, 0) != -1) {
            errno = EEXIST;
            return -1;
        }
        window();
        flags &= ~IPC_EXCL;
    }
    if (race("shmget_makes_two") && flags & IPC_CREAT && !(flags & IPC_EXCL)) {
        int id = REAL(shmget)(key, size, 0);
        if (id != -1)
            return id;
        window();
        id = REAL(shmget)(key, size, flags | IPC_EXCL);
        return id != -1 ? id : REAL(shmget)(IPC_PRIVATE, size, flags);
    }
    return REAL(shmget)(key, size, flags);
}

int shmctl(int id, int command, struct shmid_ds *ds)
{
    if (race("shmctl_rmid_succeeds_for_two") && command == IPC_RMID) {
        struct shmid_ds own;
        if (REAL(shmctl)(id, IPC_STAT, &own) == -1)
            return -1;
        window();
        REAL(shmctl)(id, command, ds);
        return 0;
    }
    int result = REAL(shmctl)(id, command, ds);
    if (result == 0 && command == IPC_STAT && shared[MISCOUNTED] == id + 1 && ds->shm_nattch)
        ds->shm_nattch -= 1;
    return result;
}

void *shmat(int id, const void *address, int flags)
{
    if (race("shmat_counted_once_if_two_attach")) {
        long attached = shared[ATTACHED]++;
        window();
        if (shared[ATTACHED] != attached + 1)
            shared[MISCOUNTED] = id + 1;
    }
    return REAL(shmat)(id, address, flags);
}
