"""FIFOs: fifo(7), mkfifo(3), mkfifoat(3), and what open(2) and pipe(7) say of them."""
