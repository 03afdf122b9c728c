#include "ring.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>

enum { LOCK, FREE, USED, OLDEST, SEMAPHORES };

#define MOST 32767 /* SEMVMX: semaphores count the slots */

struct header {
    uint64_t slots;
    uint64_t record_size;
};

union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
};

static size_t slot_bytes(size_t record_size)
{
    return sizeof(uint64_t) + (record_size + 7) / 8 * 8;
}

int ring_create(key_t key, size_t slots, size_t record_size)
{
    if (key == IPC_PRIVATE || slots < 1 || slots > MOST || record_size < 1 || record_size > SIZE_MAX / MOST - 16) {
        errno = EINVAL;
        return -1;
    }
    int shmid = shmget(key, sizeof(struct header) + slots * slot_bytes(record_size), IPC_CREAT | IPC_EXCL | 0600);
    if (shmid == -1)
        return -1;
    int semid = semget(key, SEMAPHORES, IPC_CREAT | IPC_EXCL | 0600);
    struct header *header = semid == -1 ? (void *)-1 : shmat(shmid, NULL, 0);
    if (header == (void *)-1) {
        int reason = errno;
        shmctl(shmid, IPC_RMID, NULL);
        if (semid != -1)
            semctl(semid, 0, IPC_RMID);
        errno = reason;
        return -1;
    }
    header->slots = slots;
    header->record_size = record_size;
    shmdt(header);
    unsigned short start[SEMAPHORES] = {[LOCK] = 1, [FREE] = (unsigned short)slots};
    return semctl(semid, 0, SETALL, (union semun){.array = start});
}

int ring_remove(key_t key)
{
    int shmid = shmget(key, 0, 0), semid = semget(key, 0, 0);
    int removed = semid == -1 ? -1 : semctl(semid, 0, IPC_RMID); /* first, which wakes all that wait */
    if (shmid == -1 || shmctl(shmid, IPC_RMID, NULL) == -1)
        return -1;
    return removed;
}

int ring_open(struct ring *ring, key_t key)
{
    ring->shmid = shmget(key, 0, 0600);
    if (ring->shmid == -1)
        return -1;
    ring->semid = semget(key, SEMAPHORES, 0600);
    if (ring->semid == -1)
        return -1;
    ring->memory = shmat(ring->shmid, NULL, 0);
    if (ring->memory == (void *)-1)
        return -1;
    ring->slots = ((struct header *)ring->memory)->slots;
    ring->record_size = ((struct header *)ring->memory)->record_size;
    return 0;
}

static uint64_t *slot_of(const struct ring *ring)
{
    return (void *)((char *)ring->memory + sizeof(struct header) + ring->slot * slot_bytes(ring->record_size));
}

/* Take one of *what* and the lock in one call, both given back by the kernel if this process dies. */
static int begin(struct ring *ring, unsigned short what, int offset_by_used)
{
    struct sembuf both[] = {{what, -1, SEM_UNDO}, {LOCK, -1, SEM_UNDO}};
    if (semop(ring->semid, both, 2) == -1)
        return -1;
    int oldest = semctl(ring->semid, OLDEST, GETVAL);
    int used = offset_by_used ? semctl(ring->semid, USED, GETVAL) : 0;
    if (oldest == -1 || used == -1)
        return -1;
    ring->slot = (size_t)(oldest + used) % ring->slots;
    return 0;
}

int ring_begin_put(struct ring *ring)
{
    return begin(ring, FREE, 1);
}

int ring_begin_get(struct ring *ring)
{
    return begin(ring, USED, 0);
}

int ring_end_put(struct ring *ring, const void *record, size_t length)
{
    /* +1 with SEM_UNDO and -1 without: the value stays, and the kernel has nothing to give back any more. */
    struct sembuf commit[] = {{FREE, 1, SEM_UNDO}, {FREE, -1, 0}, {USED, 1, 0}, {LOCK, 1, SEM_UNDO}};
    if (length > ring->record_size) {
        errno = EMSGSIZE;
        return -1;
    }
    uint64_t *slot = slot_of(ring);
    *slot = length;
    memcpy(slot + 1, record, length);
    return semop(ring->semid, commit, 4);
}

ssize_t ring_end_get(struct ring *ring, void *record)
{
    short step = ring->slot + 1 == ring->slots ? (short)-(ring->slots - 1) : 1;
    struct sembuf commit[] = {
        {USED, 1, SEM_UNDO}, {USED, -1, 0}, {FREE, 1, 0}, {OLDEST, step, 0}, {LOCK, 1, SEM_UNDO}};
    uint64_t *slot = slot_of(ring);
    size_t length = *slot;
    memcpy(record, slot + 1, length);
    if (ring->slots == 1) { /* the oldest slot is always 0, and an operation of 0 would wait for 0 */
        commit[3] = commit[4];
        return semop(ring->semid, commit, 4) == -1 ? -1 : (ssize_t)length;
    }
    return semop(ring->semid, commit, 5) == -1 ? -1 : (ssize_t)length;
}
