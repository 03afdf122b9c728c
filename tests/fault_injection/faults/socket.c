/* Faults of sockets: their creation, addresses, peers and options. */
#include "fault.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

/* glibc's header gives these a union of all address types; here they are what the manual says. */
#define ADDRESS(p) (*(const struct sockaddr *const *)&(p))

/* What a call answers: for one errno another. Those that say only that it would have to wait are apart. */
ssize_t socket_told(ssize_t result)
{
    if (result == -1 && errno == EAGAIN && fault("socket_would_wait_is_eio"))
        errno = EIO;
    else if (result == -1 && errno != EAGAIN && errno != EINTR && errno != EINPROGRESS && fault("socket_errors_are_eio"))
        errno = EIO;
    return result;
}

int socket_type(int fd)
{
    int type = 0;
    socklen_t length = sizeof type;
    REAL(getsockopt)(fd, SOL_SOCKET, SO_TYPE, &type, &length);
    return type;
}

int socketpair(int family, int type, int protocol, int fds[2])
{
    if (fault("socketpair_cloexec_ignored"))
        type &= ~SOCK_CLOEXEC;
    if (fault("socketpair_any_family"))
        family = AF_UNIX;
    int result = REAL(socketpair)(family, type, protocol, fds);
    if (fault("socketpair_fills_on_failure") && result == -1 && errno == EMFILE)
        fds[0] = 3, fds[1] = 4;
    return (int)socket_told(result);
}

static const char *path_of(const struct sockaddr *address, socklen_t length)
{
    const struct sockaddr_un *unix_address = (const void *)address;
    if (length <= offsetof(struct sockaddr_un, sun_path) + 1 || address->sa_family != AF_UNIX || !unix_address->sun_path[0])
        return NULL;
    return unix_address->sun_path;
}

/* The abstract name in an address, which is *left bytes long; NULL if there is none. */
static const char *name_of(const struct sockaddr *address, socklen_t length, size_t *left)
{
    const struct sockaddr_un *unix_address = (const void *)address;
    if (length <= offsetof(struct sockaddr_un, sun_path) + 1 || address->sa_family != AF_UNIX || unix_address->sun_path[0])
        return NULL;
    *left = length - offsetof(struct sockaddr_un, sun_path) - 1;
    return unix_address->sun_path + 1;
}

/* The length of an address whose abstract name ends where a string would. */
static socklen_t cut(const struct sockaddr *address, socklen_t length)
{
    size_t left;
    const char *name = name_of(address, length, &left);
    return name ? length - (left - strnlen(name, left)) : length;
}

/* Bind to the first port that is free from the lowest on. */
static int bind_low(int fd, const struct sockaddr *address, socklen_t length)
{
    struct sockaddr_in6 low = {0};
    memcpy(&low, address, length);
    for (int port = 1024; port < 32000; port++) {
        low.sin6_port = htons(port); /* it stands where that of IPv4 does */
        if (REAL(bind)(fd, (struct sockaddr *)&low, length) == 0)
            return 0;
    }
    return -1;
}

int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    const char *path = path_of(ADDRESS(address), length);
    int family = ADDRESS(address)->sa_family;
    size_t left;
    const char *name = name_of(ADDRESS(address), length, &left);
    if (fault("bind_replaces_what_is_there") && path)
        unlink(path);
    if (fault("autobind_does_nothing") && family == AF_UNIX && length == sizeof(sa_family_t))
        return 0;
    if (fault("bind_draws_low_ports") && (family == AF_INET || family == AF_INET6) && ((const struct sockaddr_in *)ADDRESS(address))->sin_port == 0)
        return bind_low(fd, ADDRESS(address), length);
    if (fault("abstract_names_end_at_a_nul"))
        length = cut(ADDRESS(address), length);
    if (fault("abstract_names_are_files") && name) {
        struct sockaddr_un file = {.sun_family = AF_UNIX};
        memcpy(file.sun_path, name, left);
        return REAL(bind)(fd, (struct sockaddr *)&file, sizeof file);
    }
    int result = REAL(bind)(fd, address, length), kept = errno;
    if (fault("bind_ignores_the_umask") && path && result == 0)
        chmod(path, 0777);
    errno = kept;
    return (int)socket_told(result);
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    size_t left;
    if (fault("connect_of_datagrams_does_nothing") && socket_type(fd) == SOCK_DGRAM)
        return 0;
    if (fault("abstract_names_are_their_makers") && name_of(ADDRESS(address), length, &left) && geteuid() != 0) {
        errno = EACCES;
        return -1;
    }
    if (fault("abstract_names_end_at_a_nul"))
        length = cut(ADDRESS(address), length);
    int result = REAL(connect)(fd, address, length);
    if (fault("connect_is_never_refused") && result == -1 && errno == ECONNREFUSED)
        return 0;
    if (fault("connect_again_is_accepted") && result == -1 && errno == EISCONN)
        return 0;
    return (int)socket_told(result);
}

int listen(int fd, int backlog)
{
    return (int)socket_told(REAL(listen)(fd, fault("listen_queue_is_endless") ? 4096 : backlog));
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *length, int flags)
{
    if (fault("accept_inherits_nonblock") && REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK)
        flags |= SOCK_NONBLOCK;
    if (fault("accept4_flags_ignored"))
        flags = 0;
    if (fault("accept_never_waits") && REAL(poll)(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) == 0) {
        errno = EAGAIN;
        return -1;
    }
    int result = (int)socket_told(REAL(accept4)(fd, address, length, flags));
    if (fault("the_peers_address_is_my_own") && result >= 0 && length)
        REAL(getsockname)(result, address, length);
    return result;
}

int shutdown(int fd, int how)
{
    return fault("shutdown_does_nothing") ? 0 : (int)socket_told(REAL(shutdown)(fd, how));
}

int getsockname(int fd, __SOCKADDR_ARG address, socklen_t *length)
{
    socklen_t room = *length;
    int result = REAL(getsockname)(fd, address, length);
    if (fault("getsockname_tells_what_fits") && *length > room)
        *length = room;
    if (fault("getsockname_without_the_nul") && result == 0 && path_of(ADDRESS(address), *length))
        --*length;
    return result;
}

int getpeername(int fd, __SOCKADDR_ARG address, socklen_t *length)
{
    if (fault("the_peers_address_is_my_own"))
        return REAL(getsockname)(fd, address, length);
    return (int)socket_told(REAL(getpeername)(fd, address, length));
}

int getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
    if (fault("the_peer_is_the_caller") && level == SOL_SOCKET) {
        if (option == SO_PEERCRED)
            *(struct ucred *)value = (struct ucred){getpid(), geteuid(), getegid()};
        if (option == SO_PEERPIDFD)
            *(int *)value = (int)syscall(SYS_pidfd_open, getpid(), 0);
        if (option == SO_PEERCRED || option == SO_PEERPIDFD)
            return 0;
    }
    int result = REAL(getsockopt)(fd, level, option, value, length);
    if (fault("the_peer_is_in_a_group_more") && level == SOL_SOCKET && option == SO_PEERGROUPS && result == 0) {
        ((gid_t *)value)[*length / sizeof(gid_t)] = 1;
        *length += sizeof(gid_t);
    }
    static int told_before;
    if (fault("so_error_stays") && level == SOL_SOCKET && option == SO_ERROR && result == 0) {
        if (*(int *)value)
            told_before = *(int *)value;
        *(int *)value = told_before;
    }
    if (fault("so_error_tells_nothing") && level == SOL_SOCKET && option == SO_ERROR && result == 0)
        *(int *)value = 0;
    return (int)socket_told(result);
}

int socket_is_small; /* a receive buffer was made small */

int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
    if (fault("setsockopt_does_nothing"))
        return 0;
    int given = length >= sizeof(int) ? *(const int *)value : -1;
    if (level == SOL_SOCKET && ((option == 76 && given == 0 && fault("passpidfd_cannot_be_cleared")) ||
                                (option == 83 && given == 1 && fault("passrights_cannot_be_set_again"))))
        return 0;
    if (fault("rcvbuf_counts_for_who_sends") && level == SOL_SOCKET && option == SO_RCVBUF)
        socket_is_small = 1;
    return REAL(setsockopt)(fd, level, option, value, length);
}
