"""FIFOs: fifo(7), mkfifo(3), mkfifoat(3), and the sections of open(2) and pipe(7) about them."""
