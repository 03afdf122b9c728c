/* Faults of the data in sockets: bytes, messages and ancillary data. */
#include "fault.h"
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* socket.c */
ssize_t socket_told(ssize_t result);
int socket_type(int fd);
extern int socket_is_small;

ssize_t send(int fd, const void *data, size_t count, int flags)
{
    if (fault("send_nosignal_ignored"))
        flags &= ~MSG_NOSIGNAL;
    if (fault("send_never_signals"))
        flags |= MSG_NOSIGNAL;
    if (socket_is_small) {
        errno = EAGAIN;
        return -1;
    }
    ssize_t result = REAL(send)(fd, data, count, flags);
    if (fault("send_drops_datagrams") && result == -1 && errno == EAGAIN && socket_type(fd) == SOCK_DGRAM)
        return (ssize_t)count;
    if (fault("send_without_a_connection") && result == -1 && errno == ENOTCONN)
        return (ssize_t)count;
    return socket_told(result);
}

ssize_t sendto(int fd, const void *data, size_t count, int flags, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    return socket_told(REAL(sendto)(fd, data, count, flags, address, length));
}

/* What was received, *count* bytes of it, and what is made of that. */
static ssize_t received(char *data, ssize_t count, size_t room)
{
    if (count > 0 && fault("received_bytes_are_changed"))
        data[0] ^= 1;
    if (count == 0 && room && fault("nothing_received_is_a_zero_byte")) {
        data[0] = 0;
        return 1;
    }
    return socket_told(count);
}

ssize_t recv(int fd, void *data, size_t count, int flags)
{
    if (fault("recv_peek_gives_nothing") && flags & MSG_PEEK)
        return 0;
    if (fault("recv_trunc_ignored"))
        flags &= ~MSG_TRUNC;
    if (fault("recv_gives_one_byte_of_a_stream") && socket_type(fd) == SOCK_STREAM && count > 1)
        count = 1;
    if (fault("recv_waitall_ignored"))
        flags &= ~MSG_WAITALL;
    if (fault("recv_never_waits"))
        flags |= MSG_DONTWAIT;
    if (fault("recv_keeps_what_is_cut") && socket_type(fd) != SOCK_STREAM && REAL(recv)(fd, data, count, flags | MSG_PEEK | MSG_TRUNC) > (ssize_t)count)
        return (ssize_t)count;
    ssize_t result = REAL(recv)(fd, data, count, flags);
    if (fault("recv_hides_a_reset") && result == -1 && errno == ECONNRESET)
        return 0;
    return received(data, result, count);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct msghdr bare = *message;
    bare.msg_control = NULL;
    bare.msg_controllen = 0;
    if (fault("sendmsg_drops_what_is_beside") && message->msg_controllen)
        return REAL(sendmsg)(fd, &bare, flags);
    ssize_t result = REAL(sendmsg)(fd, message, flags);
    if (fault("sendmsg_forgery_passes") && result == -1 && errno == EPERM)
        return REAL(sendmsg)(fd, &bare, flags);
    if (fault("sendmsg_any_descriptor_passes") && result == -1 && errno == EBADF)
        return 1;
    if (fault("sendmsg_any_number_passes") && result == -1 && errno == EINVAL && message->msg_controllen)
        return 1;
    return socket_told(result);
}

/* Credentials that came beside a message become the receiver's. */
static void take_over(struct msghdr *message)
{
    for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item; item = CMSG_NXTHDR(message, item))
        if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_CREDENTIALS)
            memcpy(CMSG_DATA(item), &(const struct ucred){getpid(), geteuid(), getegid()}, sizeof(struct ucred));
}

/* Descriptors of senders outlive an execve(2). */
static void let_inherit(struct msghdr *message)
{
    for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item; item = CMSG_NXTHDR(message, item))
        if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == 4)
            REAL(fcntl)(*(int *)CMSG_DATA(item), F_SETFD, 0);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    if (fault("recvmsg_cloexec_ignored"))
        flags &= ~MSG_CMSG_CLOEXEC;
    ssize_t result = REAL(recvmsg)(fd, message, flags);
    if (fault("recvmsg_hides_what_was_cut"))
        message->msg_flags &= ~(MSG_CTRUNC | MSG_TRUNC);
    if (fault("recvmsg_pidfd_is_inherited") && result >= 0)
        let_inherit(message);
    if (fault("recvmsg_credentials_are_the_receivers") && result >= 0)
        take_over(message);
    return message->msg_iovlen ? received(message->msg_iov->iov_base, result, message->msg_iov->iov_len) : socket_told(result);
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    struct stat st;
    int result = REAL(ioctl)(fd, request, argument);
    if (fault("siocinq_counts_nothing") && request == FIONREAD && result == 0 && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
        *(int *)argument = 0;
    if (fault("fionread_one_more") && request == FIONREAD && result == 0 && is_fifo(fd))
        *(int *)argument += 1;
    return (int)socket_told(result);
}
