"""The standard streams of a command: one that is full, closed or without a reader ends no command.

What cannot be written is dropped and the command goes on, because its files are still wanted. The failure of the
standard output is kept for the exit status; that of the standard error cannot be reported.
"""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

__all__ = ["Output", "standard_streams"]


class Output(io.FileIO):
    """A descriptor of which `failure` is the first OSError of a write; what cannot be written is dropped."""

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write *data*, unless a write has failed before; wait for the reader of a non-blocking descriptor."""
        if self.failure is None:
            try:
                while (count := super().write(data)) is None:  # it is non-blocking and full
                    select.select((), (self,), ())
                return count
            except OSError as error:
                self.failure = error
        return len(data)


@contextmanager
def standard_streams() -> Iterator[Output | None]:
    """Replace the standard streams in the block; yield the standard output, None if the caller has replaced it.

    A closed descriptor is occupied, as it would be that of the next file that is opened.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            # Not open for writing: a write fails with EBADF as before.
            os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)
    output = errors = None
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)
    if sys.stdout is sys.__stdout__:
        output, sys.stdout = _opened(1, sys.stdout)
    if sys.stderr is sys.__stderr__:
        errors, sys.stderr = _opened(2, sys.stderr)
    ours = sys.stdout, sys.stderr
    try:
        yield output
    finally:
        for stream, raw in zip(ours, (output, errors), strict=True):
            if raw is not None:
                stream.flush()
        sys.stdin, sys.stdout, sys.stderr = before


def _opened(fd: int, before: TextIO | None) -> tuple[Output, TextIO]:
    """Return an Output of *fd*, and the text stream on it, with the encoding of the stream *before*."""
    if before is not None:
        before.flush()
    output = Output(fd, "w", closefd=False)
    stream = io.TextIOWrapper(
        io.BufferedWriter(output),
        encoding=getattr(before, "encoding", "utf-8"),
        errors=getattr(before, "errors", "backslashreplace"),
        line_buffering=fd == 2 or getattr(before, "line_buffering", False) or getattr(before, "write_through", False),
    )
    return output, stream
