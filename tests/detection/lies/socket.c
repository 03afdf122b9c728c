/* Lies about sockets. */
#include "lie.h"
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* glibc's header gives these a union of all address types; here they are what the manual says. */
#define ADDRESS(p) (*(const struct sockaddr *const *)&(p))

static int type_of(int fd)
{
    int type = 0;
    socklen_t length = sizeof type;
    REAL(getsockopt)(fd, SOL_SOCKET, SO_TYPE, &type, &length);
    return type;
}

int socketpair(int family, int type, int protocol, int fds[2])
{
    if (lie("socketpair_cloexec_ignored"))
        type &= ~SOCK_CLOEXEC;
    if (lie("socketpair_any_family"))
        family = AF_UNIX;
    int result = REAL(socketpair)(family, type, protocol, fds);
    if (lie("socketpair_fills_on_failure") && result == -1 && errno == EMFILE)
        fds[0] = 3, fds[1] = 4;
    return result;
}

static const char *path_of(const struct sockaddr *address, socklen_t length)
{
    const struct sockaddr_un *unix_address = (const void *)address;
    if (length <= offsetof(struct sockaddr_un, sun_path) + 1 || address->sa_family != AF_UNIX || !unix_address->sun_path[0])
        return NULL;
    return unix_address->sun_path;
}

int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    const char *path = path_of(ADDRESS(address), length);
    if (lie("bind_replaces_what_is_there") && path)
        unlink(path);
    int result = REAL(bind)(fd, address, length), kept = errno;
    if (lie("bind_ignores_the_umask") && path && result == 0)
        chmod(path, 0777);
    errno = kept;
    return result;
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    int result = REAL(connect)(fd, address, length);
    if (lie("connect_is_never_refused") && result == -1 && errno == ECONNREFUSED)
        return 0;
    if (lie("connect_again_is_accepted") && result == -1 && errno == EISCONN)
        return 0;
    return result;
}

int listen(int fd, int backlog)
{
    return REAL(listen)(fd, lie("listen_queue_is_endless") ? 4096 : backlog);
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *length, int flags)
{
    if (lie("accept_inherits_nonblock") && REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK)
        flags |= SOCK_NONBLOCK;
    if (lie("accept4_flags_ignored"))
        flags = 0;
    return REAL(accept4)(fd, address, length, flags);
}

int shutdown(int fd, int how)
{
    return lie("shutdown_does_nothing") ? 0 : REAL(shutdown)(fd, how);
}

int getsockname(int fd, __SOCKADDR_ARG address, socklen_t *length)
{
    int result = REAL(getsockname)(fd, address, length);
    if (lie("getsockname_without_the_nul") && result == 0 && path_of(ADDRESS(address), *length))
        --*length;
    return result;
}

int getpeername(int fd, __SOCKADDR_ARG address, socklen_t *length)
{
    return lie("getpeername_is_my_own") ? REAL(getsockname)(fd, address, length) : REAL(getpeername)(fd, address, length);
}

int getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
    int result = REAL(getsockopt)(fd, level, option, value, length);
    if (lie("peercred_is_the_caller") && level == SOL_SOCKET && option == SO_PEERCRED && result == 0)
        ((struct ucred *)value)->pid = getpid();
    return result;
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
    if (lie("setsockopt_passcred_does_nothing") && level == SOL_SOCKET && option == SO_PASSCRED)
        return 0;
    if (lie("setsockopt_reuseaddr_does_nothing") && level == SOL_SOCKET && option == SO_REUSEADDR)
        return 0;
    if (lie("setsockopt_oobinline_does_nothing") && level == SOL_SOCKET && option == SO_OOBINLINE)
        return 0;
    return REAL(setsockopt)(fd, level, option, value, length);
}

ssize_t send(int fd, const void *data, size_t count, int flags)
{
    if (lie("send_nosignal_ignored"))
        flags &= ~MSG_NOSIGNAL;
    ssize_t result = REAL(send)(fd, data, count, flags);
    if (lie("send_drops_datagrams") && result == -1 && errno == EAGAIN && type_of(fd) == SOCK_DGRAM)
        return (ssize_t)count;
    if (lie("send_without_a_connection") && result == -1 && errno == ENOTCONN)
        return (ssize_t)count;
    return result;
}

ssize_t recv(int fd, void *data, size_t count, int flags)
{
    if (lie("recv_peek_gives_nothing") && flags & MSG_PEEK)
        return 0;
    if (lie("recv_trunc_ignored"))
        flags &= ~MSG_TRUNC;
    if (lie("recv_gives_one_byte_of_a_stream") && type_of(fd) == SOCK_STREAM && count > 1)
        count = 1;
    if (lie("recv_waitall_ignored"))
        flags &= ~MSG_WAITALL;
    ssize_t result = REAL(recv)(fd, data, count, flags);
    if (lie("recv_hides_a_reset") && result == -1 && errno == ECONNRESET)
        return 0;
    return result;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct msghdr bare = *message;
    bare.msg_control = NULL;
    bare.msg_controllen = 0;
    if (lie("sendmsg_drops_what_is_beside") && message->msg_controllen)
        return REAL(sendmsg)(fd, &bare, flags);
    ssize_t result = REAL(sendmsg)(fd, message, flags);
    if (lie("sendmsg_forgery_passes") && result == -1 && errno == EPERM)
        return REAL(sendmsg)(fd, &bare, flags);
    if (lie("sendmsg_any_descriptor_passes") && result == -1 && errno == EBADF)
        return 1;
    if (lie("sendmsg_any_number_passes") && result == -1 && errno == EINVAL && message->msg_controllen)
        return 1;
    return result;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    if (lie("recvmsg_cloexec_ignored"))
        flags &= ~MSG_CMSG_CLOEXEC;
    ssize_t result = REAL(recvmsg)(fd, message, flags);
    if (lie("recvmsg_hides_what_was_cut"))
        message->msg_flags &= ~(MSG_CTRUNC | MSG_TRUNC);
    return result;
}
