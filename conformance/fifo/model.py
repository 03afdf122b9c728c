"""A model of FIFOs that are opened, used, closed, unlinked and created again without blocking (fifo(7), open(2))."""

from __future__ import annotations

import os
from errno import EEXIST, ENOENT, ENXIO
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from pytest_ipc.kernel import getpipe_size, mkfifo
from pytest_ipc.kernel import open as open_file

from ..byte_stream import COUNTS, Stream, StreamModel
from ..model import fails

MAX_ENDS = 3  # per kind: for reading, for writing


class Fifos(StreamModel):
    """One path, and every FIFO that had this path and is still open."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.named: Stream | None = None
        self.streams: list[Stream] = []
        self.opened = 0

    @rule()
    def make(self) -> None:
        """Create the FIFO; fail with EEXIST if the path exists."""

        def model() -> None:
            if self.named is not None:
                fails(EEXIST)
            self.named = Stream(0)
            self.streams.append(self.named)

        self.same("mkfifo(F)", lambda: mkfifo(self.path, 0o600), model)

    @rule()
    def unlink(self) -> None:
        """Unlink the path; open descriptors stay usable."""

        def model() -> None:
            if self.named is None:
                fails(ENOENT)
            self.named = None

        self.same("unlink(F)", lambda: os.unlink(self.path), model)

    @rule(mode=st.sampled_from(("O_RDONLY", "O_WRONLY")))
    def open(self, mode: str) -> None:
        """Open the FIFO for reading or for writing."""
        stream = self.named or Stream(0)
        ends = stream.readers if mode == "O_RDONLY" else stream.writers
        if len(ends) >= MAX_ENDS:
            return
        got: list[int] = []

        def model() -> None:
            if self.named is None:
                fails(ENOENT)
            if mode == "O_WRONLY" and not self.named.readers:
                fails(ENXIO)

        flags = getattr(os, mode) | os.O_NONBLOCK | os.O_CLOEXEC
        name = f"{mode[2].lower()}{self.opened + 1}"
        self.same(f"{name} = open(F, {mode})", lambda: got.append(open_file(self.path, flags)), model)
        if got:
            self.opened += 1
            ends[name] = got[0]
            stream.capacity = getpipe_size(got[0])

    @precondition(lambda self: any(stream.writers for stream in self.streams))
    @rule(data=st.data(), count=st.sampled_from(COUNTS))
    def write(self, data: Any, count: int) -> None:
        """Write to an open FIFO."""
        stream = self.one_of(data, [stream for stream in self.streams if stream.writers])
        self.write_to(stream, self.one_of(data, [*stream.writers]), count)

    @precondition(lambda self: any(stream.readers for stream in self.streams))
    @rule(data=st.data(), count=st.sampled_from(COUNTS))
    def read(self, data: Any, count: int) -> None:
        """Read from an open FIFO."""
        stream = self.one_of(data, [stream for stream in self.streams if stream.readers])
        self.read_from(stream, self.one_of(data, [*stream.readers]), count)

    @precondition(lambda self: any(stream.readers or stream.writers for stream in self.streams))
    @rule(data=st.data())
    def close(self, data: Any) -> None:
        """Close a descriptor; the last close discards unread data."""
        stream = self.one_of(data, [stream for stream in self.streams if stream.readers or stream.writers])
        ends = self.one_of(data, [ends for ends in (stream.readers, stream.writers) if ends])
        self.close_end(ends, self.one_of(data, [*ends]))
        if not stream.readers and not stream.writers:
            stream.unread = b""

    @invariant()
    def the_ends_notice(self) -> None:
        """Compare poll() and FIONREAD of every descriptor with the model."""
        for stream in self.streams:
            self.notices(stream)

    def teardown(self) -> None:
        """Close all descriptors and unlink the path."""
        for stream in self.streams:
            for fd in (*stream.readers.values(), *stream.writers.values()):
                os.close(fd)
        self.path.unlink(missing_ok=True)
        super().teardown()
