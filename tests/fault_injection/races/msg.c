/* Races in System V message queues. */
#include "race.h"
#include <sys/ipc.h>
#include <sys/msg.h>

struct message { long type; char text[8192]; };

/* Sleep in msgrcv(2) where nobody sends anything, or in msgsnd(2) where nobody receives. */
static ssize_t sleep_for_ever(int sending)
{
    struct message message = {1, {0}};
    int id = REAL(msgget)(IPC_PRIVATE, 0600);
    ssize_t result = 0;
    if (!sending)
        result = REAL(msgrcv)(id, &message, sizeof message.text, 0, 0);
    while (sending && result == 0)
        result = REAL(msgsnd)(id, &message, sizeof message.text, 0);
    int kept = errno;
    REAL(msgctl)(id, IPC_RMID, NULL);
    errno = kept;
    return result;
}

int msgsnd(int id, const void *message, size_t size, int flags)
{
    if (race("msgsnd_lost_if_two_send")) {
        long sent = shared[MSG_SENT]++;
        window();
        if (shared[MSG_SENT] != sent + 1)
            return 0;
    }
    if (race("msgsnd_misses_room_made_meanwhile") && !(flags & IPC_NOWAIT)) {
        long taken = shared[MSG_TAKEN];
        if (REAL(msgsnd)(id, message, size, IPC_NOWAIT) == 0)
            return 0;
        window();
        if (errno == EAGAIN && taken != shared[MSG_TAKEN])
            return (int)sleep_for_ever(1);
    }
    int result = REAL(msgsnd)(id, message, size, flags);
    if (result == 0)
        shared[MSG_SENT]++;
    return result;
}

ssize_t msgrcv(int id, void *message, size_t size, long type, int flags)
{
    if (race("msgrcv_gives_a_message_twice") && flags & IPC_NOWAIT && !(flags & MSG_EXCEPT) && type == 0) {
        ssize_t seen = REAL(msgrcv)(id, message, size, 0, IPC_NOWAIT | MSG_COPY);
        window();
        if (seen != -1) {
            struct message other;
            REAL(msgrcv)(id, &other, sizeof other.text, *(long *)message, IPC_NOWAIT);
            return seen;
        }
    }
    if (race("msgrcv_negative_in_two_steps") && type < 0) {
        /* First the lowest type is looked for, then a message of it received. */
        long lowest = 0;
        for (long place = 0; REAL(msgrcv)(id, message, size, place, IPC_NOWAIT | MSG_COPY) != -1; place++)
            if (*(long *)message <= -type && (!lowest || *(long *)message < lowest))
                lowest = *(long *)message;
        window();
        if (lowest)
            type = lowest;
    }
    if (race("msgrcv_misses_a_message_sent_meanwhile") && !(flags & IPC_NOWAIT)) {
        long sent = shared[MSG_SENT];
        ssize_t result = REAL(msgrcv)(id, message, size, type, flags | IPC_NOWAIT);
        if (result != -1)
            return result;
        window();
        if (errno == ENOMSG && sent != shared[MSG_SENT])
            return sleep_for_ever(0);
    }
    long removed = shared[MSG_REMOVED];
    ssize_t result = REAL(msgrcv)(id, message, size, type, flags);
    if (result != -1 && !(flags & MSG_COPY))
        shared[MSG_TAKEN]++;
    if (result == -1 && errno == EIDRM && race("msgctl_rmid_wakes_only_one") && shared[MSG_REMOVED]++ > removed)
        return sleep_for_ever(0);
    return result;
}
