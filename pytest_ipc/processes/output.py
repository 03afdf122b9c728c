"""The output of children and programs, in memory files, and passed on to the streams of the test.

A process never waits for a reader: its output is a file. That of a process which floods it would fill the memory, so
its middle is dropped when this process looks at it: while it waits, and at the end.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from ..custody.cleanup import failures_ignored
from ..kernel.files import FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, fallocate
from ..unpatched import os

__all__ = ["KEPT", "Output", "pass_all_on", "write_text"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# Bytes: an output is complete up to here; of a longer one the first and the last half are kept.
KEPT = 1 << 26
_HALF = KEPT // 2
# Bytes at the begin and at the end that are shown in a report or an error.
_SHOWN = 50_000


class Output:
    """The output of a process in the memory file *fd*."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._kept_from = _HALF  # the begin of the last part, after the first half; what is between is dropped
        self._passed_on = 0

    @property
    def size(self) -> int:
        """The number of bytes that the process has written. Raises OSError."""
        return os.fstat(self._fd).st_size

    def trim(self) -> None:
        """Drop the middle of an output that has become too long, and free its memory. Raises OSError."""
        size = self.size
        if size - self._kept_from > KEPT:
            with failures_ignored:  # a file system without holes: the memory is not freed
                mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
                fallocate(self._fd, mode, self._kept_from, size - _HALF - self._kept_from)
            self._kept_from = size - _HALF

    def read(self) -> bytes:
        """Return the output, with a line about what is dropped of it. Raises OSError."""
        self.trim()
        size, dropped = self.size, self._kept_from - _HALF
        if not dropped:
            return self._between(0, size)
        return (
            self._between(0, _HALF)
            + f"\n[… {dropped} bytes of {size} were dropped: only {KEPT} are kept …]\n".encode()
            + self._between(self._kept_from, size)
        )

    def text(self) -> str:
        """Return read() as text. Raises OSError."""
        return self.read().decode(errors="replace")

    def shown(self, start: int = 0) -> str:
        """Return the output from *start* as text, without its middle if it is long. Raises OSError."""
        size = self.size
        if size - start <= 2 * _SHOWN:
            return self._between(start, size).decode(errors="replace")
        begin, end = self._between(start, start + _SHOWN), self._between(size - _SHOWN, size)
        between = f"\n[… {size - start - 2 * _SHOWN} bytes …]\n"
        return begin.decode(errors="replace") + between + end.decode(errors="replace")

    def pass_on(self, stream: TextIO) -> None:
        """Write what is new to *stream*, so that the test's report shows it. Raises OSError."""
        start, self._passed_on = self._passed_on, self.size
        if start < self._passed_on:
            write_text(self.shown(start), stream)
        self.trim()

    def _between(self, start: int, end: int) -> bytes:
        parts = []
        while start < end and (part := os.pread(self._fd, end - start, start)):
            parts.append(part)
            start += len(part)
        return b"".join(parts)


def pass_all_on(outputs: Sequence[Output]) -> None:
    """Write what is new in *outputs*, of standard output and error, to those streams of this process."""
    for output, stream in zip(outputs, (sys.stdout, sys.stderr), strict=False):
        output.pass_on(stream)


def write_text(text: str, stream: TextIO) -> None:
    """Write *text* to a stream whose encoding may lack some of its characters."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()
