"""Which clauses must catch which lie about FIFOs."""

LIES = {
    "mkfifo_umask_ignored": ["mkfifo.umask"],
    "mkfifo_makes_a_file": ["mkfifo.creates"],
    "mkfifo_existing_accepted": ["mkfifo.eexist-even-dangling-symlink", "fifo.model"],
}
