"""Which clause must find which race in UNIX sockets."""

RACES = {
    "send_lost_if_two_send": "unix.concurrent-dgram",
    "recv_gives_a_message_twice": "unix.concurrent-dgram",
    "recv_misses_a_message_sent_meanwhile": "unix.concurrent-seqpacket",
    "recv_misses_a_shutdown_meanwhile": "unix.concurrent-seqpacket",
}
