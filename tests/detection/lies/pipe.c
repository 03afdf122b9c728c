/* Lies about pipes. */
#include "lie.h"
#include <fcntl.h>
#include <sys/socket.h>

int pipe2(int fds[2], int flags)
{
    if (lie("pipe_two_way"))
        return socketpair(AF_UNIX, SOCK_STREAM | (flags & O_CLOEXEC ? SOCK_CLOEXEC : 0) | (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0),
                          0, fds);
    if (lie("pipe2_nonblock_ignored"))
        flags &= ~O_NONBLOCK;
    if (lie("pipe2_cloexec_ignored"))
        flags &= ~O_CLOEXEC;
    if (lie("pipe2_any_flag_accepted"))
        flags &= O_NONBLOCK | O_CLOEXEC | O_DIRECT;
    if (lie("pipe_ends_swapped")) {
        int result = REAL(pipe2)(fds, flags), first = fds[0];
        if (result == 0)
            fds[0] = fds[1], fds[1] = first;
        return result;
    }
    return REAL(pipe2)(fds, flags);
}
