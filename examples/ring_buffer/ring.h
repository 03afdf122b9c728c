/* A ring of records in System V shared memory, for any number of producers and consumers.
 *
 * A process may be killed at any instruction between ring_begin_*() and ring_end_*(): the whole state of the ring is in
 * four semaphores, which one semop(2) changes together, and SEM_UNDO reverts what a dead process had begun. */
#ifndef RING_H
#define RING_H

#include <stddef.h>
#include <sys/types.h>

struct ring {
    int shmid;
    int semid;
    size_t slots;
    size_t record_size; /* the longest record, in bytes */
    void *memory;
    size_t slot; /* the slot between ring_begin_*() and ring_end_*() */
};

/* All functions return -1 with errno on an error. A signal handler interrupts the waiting ones with EINTR. */
int ring_create(key_t key, size_t slots, size_t record_size);
int ring_remove(key_t key);
int ring_open(struct ring *ring, key_t key);

int ring_begin_put(struct ring *ring); /* waits for a free slot */
int ring_end_put(struct ring *ring, const void *record, size_t length);
int ring_begin_get(struct ring *ring); /* waits for a record */
ssize_t ring_end_get(struct ring *ring, void *record); /* the length of the record */

#endif
