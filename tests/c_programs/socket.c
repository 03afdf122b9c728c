/* A program with sockets: hands over a descriptor, echoes on one that it was given an address of, tells who asks.
 *
 *   socket pass PATH FILE   connects to PATH and sends a descriptor of FILE, opened for appending; then waits for the end
 *   socket take PATH        connects to PATH, receives one descriptor and writes "from C" to it
 *   socket echo             listens on the loopback device, prints the port, echoes one connection to its end
 *   socket ask PORT         connects to that port, sends "ask" and prints the answer
 *   socket who PATH         listens at PATH, prints "pid uid gid" of whoever connects
 *   socket abstract NAME    connects to the abstract name and prints what it reads
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int check(int result, const char *call)
{
    if (result == -1)
        err(1, "%s", call);
    return result;
}

static int unix_socket(const char *path, int abstract, int listening)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path + abstract, path, strlen(path));
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
    int fd = check(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
    if (listening) {
        check(bind(fd, (struct sockaddr *)&address, length), "bind");
        check(listen(fd, 1), "listen");
    } else {
        check(connect(fd, (struct sockaddr *)&address, length), "connect");
    }
    return fd;
}

static int inet_socket(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = check(socket(AF_INET, SOCK_STREAM, 0), "socket");
    if (port) {
        check(connect(fd, (struct sockaddr *)&address, sizeof address), "connect");
        return fd;
    }
    socklen_t length = sizeof address;
    check(bind(fd, (struct sockaddr *)&address, sizeof address), "bind");
    check(listen(fd, 1), "listen");
    check(getsockname(fd, (struct sockaddr *)&address, &length), "getsockname");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void pass(int fd, int carried)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } beside = {0};
    struct iovec data = {"C", 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &beside, .msg_controllen = sizeof beside.room};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &carried, sizeof carried);
    check((int)sendmsg(fd, &message, 0), "sendmsg");
}

static int take(int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } beside;
    char byte;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &beside, .msg_controllen = sizeof beside.room};
    check((int)recvmsg(fd, &message, 0), "recvmsg");
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
        errx(1, "no descriptor came");
    int carried;
    memcpy(&carried, CMSG_DATA(header), sizeof carried);
    return carried;
}

static void copy(int from, int to)
{
    char data[4096];
    ssize_t count;
    while ((count = read(from, data, sizeof data)) > 0)
        check((int)write(to, data, (size_t)count), "write");
    check((int)count, "read");
}

int main(int argc, char **argv)
{
    char byte;
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "pass") && argc == 4) {
        int fd = unix_socket(argv[2], 0, 0);
        pass(fd, check(open(argv[3], O_WRONLY | O_APPEND), "open"));
        check((int)read(fd, &byte, 1), "read");
    } else if (!strcmp(what, "take") && argc == 3) {
        int carried = take(unix_socket(argv[2], 0, 0));
        check((int)write(carried, "from C", 6), "write");
    } else if (!strcmp(what, "echo") && argc == 2) {
        int fd = check(accept(inet_socket(0), NULL, NULL), "accept");
        copy(fd, fd);
    } else if (!strcmp(what, "ask") && argc == 3) {
        int fd = inet_socket(atoi(argv[2]));
        check((int)write(fd, "ask", 3), "write");
        check(shutdown(fd, SHUT_WR), "shutdown");
        copy(fd, 1);
    } else if (!strcmp(what, "who") && argc == 3) {
        int fd = check(accept(unix_socket(argv[2], 0, 1), NULL, NULL), "accept");
        struct ucred who;
        socklen_t length = sizeof who;
        check(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length), "getsockopt");
        printf("%d %u %u\n", who.pid, who.uid, who.gid);
    } else if (!strcmp(what, "abstract") && argc == 3) {
        copy(unix_socket(argv[2], 1, 0), 1);
    } else {
        errx(2, "usage");
    }
    return 0;
}
