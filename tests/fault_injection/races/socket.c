/* Races in sockets that keep messages apart. */
#include "race.h"
#include <sys/socket.h>

static int keeps_messages_apart(int fd)
{
    int type = 0, kept = errno;
    socklen_t length = sizeof type;
    int found = getenv("FAULT") && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0;
    errno = kept;
    return found && (type == SOCK_SEQPACKET || type == SOCK_DGRAM);
}

/* Sleep in recv(2) where nobody sends anything. */
static ssize_t sleep_for_ever(void)
{
    int pair[2];
    char byte;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == -1)
        abort();
    ssize_t result = REAL(recv)(pair[0], &byte, 1, 0);
    int kept = errno;
    close(pair[0]);
    close(pair[1]);
    errno = kept;
    return result;
}

ssize_t send(int fd, const void *data, size_t count, int flags)
{
    if (!keeps_messages_apart(fd))
        return REAL(send)(fd, data, count, flags);
    if (race("send_lost_if_two_send")) {
        long sent = shared[SENT]++;
        window();
        if (shared[SENT] != sent + 1)
            return (ssize_t)count;
    }
    ssize_t result = REAL(send)(fd, data, count, flags);
    if (result != -1)
        shared[SENT]++;
    return result;
}

ssize_t recv(int fd, void *data, size_t count, int flags)
{
    if (!keeps_messages_apart(fd))
        return REAL(recv)(fd, data, count, flags);
    if (race("recv_gives_a_message_twice") && !(flags & MSG_PEEK)) {
        ssize_t seen = REAL(recv)(fd, data, count, MSG_PEEK | MSG_DONTWAIT);
        if (seen > 0) {
            char own[4096];
            window();
            REAL(recv)(fd, own, sizeof own, MSG_DONTWAIT);
            return seen;
        }
    }
    int misses_send = race("recv_misses_a_message_sent_meanwhile"), misses_shut = race("recv_misses_a_shutdown_meanwhile");
    if ((misses_send || misses_shut) && !(flags & (MSG_DONTWAIT | MSG_PEEK))) {
        long sent = shared[SENT], shut = shared[SHUT];
        ssize_t result = REAL(recv)(fd, data, count, flags | MSG_DONTWAIT);
        if (result != -1 || errno != EAGAIN)
            return result;
        window();
        if ((misses_send && sent != shared[SENT]) || (misses_shut && shut != shared[SHUT]))
            return sleep_for_ever();
    }
    return REAL(recv)(fd, data, count, flags);
}

int shutdown(int fd, int how)
{
    int result = REAL(shutdown)(fd, how);
    if (result == 0)
        shared[SHUT]++;
    return result;
}
