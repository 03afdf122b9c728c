"""A tally of several processes: commands arrive through a FIFO, the count is in shared memory."""

from __future__ import annotations

import os
import signal


def keep(path: str | os.PathLike[str], memory: memoryview, news: int) -> int:
    """Count the lines that arrive through the FIFO at *path* in *memory*, and report to *news*.

    The count at the end of file.

    SIGUSR1 starts the count again.
    """
    signal.signal(signal.SIGUSR1, lambda *_: memory.__setitem__(0, 0))
    with open(path, "rb", buffering=0) as lines:
        while line := lines.read(1):
            if line == b"\n":
                memory[0] += 1
                os.write(news, b".")
    return memory[0]
