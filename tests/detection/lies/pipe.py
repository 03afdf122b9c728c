"""Which clauses must catch which lie about pipes."""

LIES = {
    "pipe_two_way": ["pipe.unidirectional-ebadf", "pipe.ends-access-modes"],
    "pipe_ends_swapped": ["pipe.unidirectional-ebadf", "pipe.ends-access-modes"],
    "pipe2_nonblock_ignored": ["pipe2.cloexec-nonblock"],
    "pipe2_cloexec_ignored": ["pipe2.cloexec-nonblock", "pipe2.cloexec-closed-by-exec"],
    "pipe2_any_flag_accepted": ["pipe2.einval-flags"],
}
