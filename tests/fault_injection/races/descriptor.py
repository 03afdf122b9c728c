"""Which clause must find which race in pipes, FIFOs and counters."""

RACES = {
    "pipe_read_misses_a_write_meanwhile": "pipe.concurrent",
    "pipe_read_gives_bytes_twice": "pipe.concurrent",
    "pipe_write_in_two_pieces": "pipe.concurrent",
    "pipe_write_cut_short_if_two_write": "pipe.concurrent",
    "pipe_read_misses_the_last_close": "fifo.concurrent",
    "eventfd_read_misses_a_write_meanwhile": "eventfd.concurrent",
    "eventfd_read_gives_a_value_twice": "eventfd.concurrent",
    "eventfd_write_lost_if_two_write": "eventfd.concurrent",
    "eventfd_write_in_two_steps": "eventfd.concurrent",
}
